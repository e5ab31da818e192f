"""Which trials train side by side: the plan of packs."""

import hashlib
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

from foolscope.experiments.recipe import Recipe

__all__ = ["PACKED_FIELDS", "Pack", "PendingTrial", "pack_size", "plan_packs", "seeds_per_pack"]

PACKED_FIELDS: dict[str, frozenset[str]] = {
    "model": frozenset({"dropout"}),
    "loss": frozenset({"label_smoothing"}),
    "optimizer": frozenset(
        {"learning_rate", "weight_decay", "momentum", "nesterov", "beta1", "beta2", "stability"}
    ),
    "regularization": frozenset({"l1", "l2"}),
    "training": frozenset({"clipping", "patience", "keep"}),
}
"""The fields in which the trials of one pack may differ, beside the seed and the whole schedule."""

_LARGEST_PACK = 32
_CACHE_BYTES = (
    32 * 2**20
)  # of the last level where the machine does not say, and the most that is ours where it is shared


@dataclass(frozen=True)
class PendingTrial:
    """A trial that has not been run.

    Args:
        identity: hash of what determines it.
        recipe: its recipe.
        parameter_count: of its model.
        flops: floating-point operations of its model's forward pass on one image.
        input_bytes: of a minibatch in float32; each seed of a pack has its own.
    """

    identity: str
    recipe: Recipe
    parameter_count: int
    flops: float = 0.0
    input_bytes: int = 0


@dataclass(frozen=True)
class Pack:
    """Trials of one shape, those of one seed next to each other."""

    trials: tuple[PendingTrial, ...]

    @property
    def identity(self) -> str:
        """Hash of the trials' identities, in order."""
        text = " ".join(trial.identity for trial in self.trials)
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    @property
    def flops_per_image(self) -> float:
        """Floating-point operations of all trials' forward passes on one image."""
        return sum(trial.flops for trial in self.trials)


def pack_size(parameter_count: int, cache_bytes: int | None = None) -> int:
    """Return how many trials may share a pack.

    The gain of a pack peaks while parameters, gradients and one moment of all its trials stay in the
    last-level cache.

    Args:
        parameter_count: of one trial's model.
        cache_bytes: of the last-level cache; read from the machine if not given.
    """
    if cache_bytes is None:
        cache_bytes = _last_level_cache_bytes()
    return max(1, min(_LARGEST_PACK, cache_bytes // (3 * 4 * parameter_count)))


def seeds_per_pack(input_bytes: int, cache_bytes: int | None = None) -> int:
    """Return how many seeds may share a pack: as many as fit their minibatches into the cache twice.

    A minibatch is written twice on its way to the first product. Past the cache, and past the size at which
    the allocator asks the system for fresh pages each time, that takes longer than the product.

    Args:
        input_bytes: of one minibatch in float32.
        cache_bytes: of the last-level cache; read from the machine if not given.
    """
    if cache_bytes is None:
        cache_bytes = _last_level_cache_bytes()
    return max(1, cache_bytes // (2 * max(1, input_bytes)))


def _last_level_cache_bytes() -> int:
    try:
        size = os.sysconf("SC_LEVEL3_CACHE_SIZE")
    except (ValueError, OSError):
        size = 0
    return min(size, _CACHE_BYTES) if size > 0 else _CACHE_BYTES


def plan_packs(pending: Sequence[PendingTrial], cache_bytes: int | None = None) -> list[Pack]:
    """Group trials by shape and cut the groups into packs.

    The plan of what is left after some packs are done is the rest of the plan, so a killed sweep that starts
    again finds the checkpoint of the pack it was in.
    """
    shapes: dict[str, list[PendingTrial]] = {}
    for trial in pending:
        shapes.setdefault(_shape(trial.recipe), []).append(trial)
    packs = []
    for _, trials in sorted(shapes.items()):  # not in the order they came: that changes as trials are done
        size = pack_size(trials[0].parameter_count, cache_bytes)
        by_seed: dict[int, list[PendingTrial]] = {}
        for trial in sorted(trials, key=lambda each: each.recipe.seed):
            by_seed.setdefault(trial.recipe.seed, []).append(trial)
        packs += _cut(list(by_seed.values()), size, seeds_per_pack(trials[0].input_bytes, cache_bytes))
    return packs


def _shape(recipe: Recipe) -> str:
    values = recipe.model_dump(mode="json")
    for part, fields in PACKED_FIELDS.items():
        for field in fields:
            values[part].pop(field, None)
    del values["seed"], values["schedule"]
    return json.dumps(values, sort_keys=True)


def _cut(seeds: list[list[PendingTrial]], size: int, most_seeds: int) -> list[Pack]:
    """Join seeds that have equally many trials as long as they fit; cut up a seed that alone is too large.

    A seed is cut evenly, larger pieces first, and its last piece is treated like a seed: then the pieces that
    are left when some are done are cut and joined in the same way again.
    """
    packs: list[list[PendingTrial]] = []
    joined = 0
    for trials in seeds:
        left = trials
        while len(left) > size:
            length = math.ceil(len(left) / math.ceil(len(left) / size))
            packs.append(left[:length])
            left, joined = left[length:], 0
        fits = joined == len(left) and len(packs[-1]) + len(left) <= min(size, most_seeds * len(left))
        if fits:
            packs[-1] += left
        else:
            packs.append(list(left))
            joined = len(left)
    return [Pack(tuple(trials)) for trials in packs]
