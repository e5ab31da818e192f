"""The plan of packs in words, as ``foolscope ablate --explain`` prints it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from foolscope.experiments.recipe import COMPONENTS, LISTS, Recipe, fields_of, value_of
from foolscope.experiments.running.packs import Pack, PackLimits, PendingTrial, pack_size, seeds_per_pack
from foolscope.experiments.wording.fields import field_words, value_words
from foolscope.learning.packs.packing import solo_reason
from foolscope.models import ImageShape, build_model

__all__ = ["PackExplanation", "explain_pack"]

_MOST_VALUES = 4


@dataclass(frozen=True)
class PackExplanation:
    """One pack in words.

    Args:
        trials: how many train side by side.
        seeds: of how many seeds; those of one seed share their minibatches.
        common: model and batch size.
        differences: a phrase for each field in which the trials differ, beside the seed.
        step_flops: floating-point operations of one step of the whole pack.
        limit: how many trials fit, and into what.
        sequential_reason: why its trials run one after another; ``None`` if they run together.
    """

    trials: int
    seeds: int
    common: str
    differences: tuple[str, ...]
    step_flops: float
    limit: str
    sequential_reason: str | None


def explain_pack(pack: Pack, limits: PackLimits, image_shape: ImageShape, classes: int) -> PackExplanation:
    """Say which trials a pack has, what they share, in what they differ, and why there are not more."""
    recipes = [trial.recipe for trial in pack.trials]
    widest = max(pack.trials, key=lambda trial: trial.flops)
    first = recipes[0]
    settings = first.model.model_copy(update={"normalization": "none"})
    return PackExplanation(
        trials=len(recipes),
        seeds=len({recipe.seed for recipe in recipes}),
        common=f"{first.model.name} on {first.dataset.name}, batch size {first.training.batch_size}",
        differences=tuple(_differences(recipes)),
        step_flops=sum(trial.step_flops for trial in pack.trials),
        limit=_limit_words(pack, limits, widest),
        sequential_reason=solo_reason(build_model(settings, image_shape, classes, seed=0)),
    )


def _differences(recipes: Sequence[Recipe]) -> list[str]:
    tables = [
        {**{part: value_of(recipe, part) for part in (*COMPONENTS, *LISTS)}, **fields_of(recipe)}
        for recipe in recipes
    ]
    phrases = []
    for path in dict.fromkeys(path for table in tables for path in table if path != "seed"):
        values = list(dict.fromkeys(table[path] for table in tables if path in table))
        if len(values) > 1:
            phrases.append(f"{field_words(path)} {_listed(values)}")
    return phrases


def _listed(values: Sequence[Any]) -> str:
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        values = sorted(values)
    words = [value_words(value) for value in values]
    if len(words) > _MOST_VALUES:
        words = [*words[: _MOST_VALUES - 2], "…", words[-1]]
    return ", ".join(words)


def _limit_words(pack: Pack, limits: PackLimits, widest: PendingTrial) -> str:
    if pack.threads is not None:
        return (
            "cut so that packs train side by side in worker processes, each on "
            f"{_counted(pack.threads, 'thread', 'threads')}"
        )
    most, most_seeds = pack_size(widest, limits), seeds_per_pack(widest, limits)
    where = f"in {limits.bytes / 2**20:.0f} MB of {'cache' if limits.in_cache else 'free memory'}"
    if limits.memory is not None and most < pack_size(widest, replace(limits, memory=None)):
        where = f"in {limits.memory / 2**20:.0f} MB of memory"
    per_seed = len(pack.trials) // len({trial.recipe.seed for trial in pack.trials})
    if most_seeds * per_seed < most:
        return f"room for {_counted(most_seeds, 'minibatch', 'minibatches')} of this size {where}"
    if most == limits.most_trials:
        return f"room for {most} trials, beyond which a pack gains nothing"
    return f"room for {_counted(most, 'trial', 'trials')} of this size {where}"


def _counted(count: int, one: str, several: str) -> str:
    return f"{count} {one if count == 1 else several}"
