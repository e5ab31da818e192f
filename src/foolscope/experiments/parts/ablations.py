"""One-factor ablations: cells around a baseline, crossed with seeds, trained and judged."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import pydantic
from pydantic import Field

from foolscope.core.errors import RecipeError, did_you_mean
from foolscope.core.settings import Settings
from foolscope.experiments.claims.sources import Design
from foolscope.experiments.parts.ablation_record import BASELINE, AblationCell, AblationRecord, summarize
from foolscope.experiments.parts.part import Context, Entry, Part
from foolscope.experiments.parts.predictions import (
    largest_test_class,
    one_class_doubts,
    results_by_image,
)
from foolscope.experiments.parts.training import check_trained_metric
from foolscope.experiments.recipe import Recipe, setting_words, short_name, with_values
from foolscope.experiments.running.packs import Pack
from foolscope.experiments.running.run import Observer, Session, ignore_events, plan_trials, run_trials
from foolscope.experiments.running.store import StoredTrial
from foolscope.experiments.study import Study
from foolscope.statistics.blocks import BlockDesign

__all__ = [
    "PART",
    "AblationPlan",
    "ablate",
    "ablation_cells",
    "plan_ablation",
]

_Values = Annotated[tuple[pydantic.JsonValue, ...], Field(min_length=1)]


class AblationPlan(Settings):
    """One-factor ablations around a recipe."""

    recipe: str
    vary: Annotated[dict[str, _Values], Field(min_length=1)]
    published: dict[str, tuple[float | None, ...]] = Field(
        default_factory=dict, description="published figures, field by field, one per value of vary"
    )
    metric: str = "test_accuracy"

    @pydantic.model_validator(mode="after")
    def _published_figures_fit(self) -> "AblationPlan":
        for field, figures in self.published.items():
            if field not in self.vary:
                raise ValueError(f"published: nothing varies {field!r}. {did_you_mean(field, self.vary)}")
            if len(figures) != len(self.vary[field]):
                raise ValueError(
                    f"published: {len(figures)} figures for the {len(self.vary[field])} values of {field}; "
                    "give one per value"
                )
        return self


def ablation_cells(baseline: Recipe, vary: Mapping[str, Sequence[Any]]) -> tuple[AblationCell, ...]:
    """List the cells of a one-factor ablation, the baseline first.

    Fields have short or dotted names; a value equal to the baseline's is the baseline.

    Raises:
        RecipeError: an unknown field, a value out of range, or a factor with nothing to compare.

    Example:
        >>> [cell.label for cell in ablation_cells(Recipe(), {"batch_size": [64, 128, 256]})]
        ['baseline', 'batch_size = 64', 'batch_size = 256']
    """
    cells = [AblationCell(BASELINE, None, None, baseline)]
    factors: set[str] = set()
    for name, values in vary.items():
        factor = name if name == "seed" else short_name(baseline, name)
        if factor in factors:
            raise RecipeError(f"{name!r} is varied twice; put all its values into one list")
        factors.add(factor)
        if factor == "seed":
            raise RecipeError("seed cannot be varied as a factor; set the number of seeds with seeds")
        others = 0
        for value in values:
            recipe = with_values(baseline, {factor: value})
            if recipe == baseline or any(recipe == cell.recipe for cell in cells):
                continue
            cells.append(AblationCell(f"{factor} = {setting_words(recipe, factor)}", factor, value, recipe))
            others += 1
        if others == 0:
            raise RecipeError(
                f"factor {factor!r} needs at least one value other than the baseline's; got {list(values)}"
            )
    return tuple(cells)


def ablate(
    baseline: Recipe,
    vary: Mapping[str, Sequence[Any]],
    *,
    seeds: int,
    session: Session,
    metric: str = "test_accuracy",
    practical_difference: float = 0.005,
    observe: Observer = ignore_events,
) -> AblationRecord:
    """Run a one-factor ablation, or read what of it the store has, and judge every cell against the baseline.

    Args:
        baseline: the recipe around which to vary.
        vary: field to values.
        seeds: how many, from the baseline's seed upwards; at least 2 for a verdict.
        session: store, data and device.
        metric: which result decides.
        practical_difference: δ, the smallest difference that matters, in the metric's own unit.
        observe: called after every epoch.

    Returns:
        Verdicts and the numbers they rest on.

    Raises:
        RecipeError: fewer than 2 seeds, an unknown metric or field, or a value out of range.
    """
    check_trained_metric(metric, baseline, session.dataset(baseline.dataset))
    cells, seed_numbers = _cells_and_seeds(baseline, vary, seeds)
    trials = run_trials(_crossed(cells, seed_numbers), session, observe)
    rows = [trials[start : start + seeds] for start in range(0, len(trials), seeds)]
    design = _design(cells, seed_numbers, rows, metric)
    record = summarize(
        baseline.model.name, cells, design, vary, metric=metric, practical_difference=practical_difference
    )
    return _with_predictions(record, cells, rows)


def plan_ablation(
    baseline: Recipe, vary: Mapping[str, Sequence[Any]], *, seeds: int, session: Session
) -> tuple[list[Pack], int]:
    """Return the packs that :func:`ablate` would train, and how many of its trials the store already has."""
    recipes = _crossed(*_cells_and_seeds(baseline, vary, seeds))
    packs = plan_trials(recipes, session)
    return packs, len(recipes) - sum(len(pack.trials) for pack in packs)


def _cells_and_seeds(
    baseline: Recipe, vary: Mapping[str, Sequence[Any]], seeds: int
) -> tuple[tuple[AblationCell, ...], tuple[int, ...]]:
    _enough_seeds(seeds)
    return ablation_cells(baseline, vary), tuple(range(baseline.seed, baseline.seed + seeds))


def _enough_seeds(seeds: int) -> None:
    if seeds < 2:
        raise RecipeError(f"a verdict needs at least 2 seeds; got {seeds}")


def _crossed(cells: Sequence[AblationCell], seeds: Sequence[int]) -> list[Recipe]:
    return [with_values(cell.recipe, {"seed": seed}) for cell in cells for seed in seeds]


def _design(
    cells: Sequence[AblationCell],
    seeds: tuple[int, ...],
    trials: Sequence[Sequence[StoredTrial]],
    metric: str,
) -> BlockDesign:
    """Collect a metric of the trials of every cell, with the images behind an accuracy."""
    every = [trial for own in trials for trial in own]
    correct = results_by_image(metric, every)
    return BlockDesign(
        tuple(cell.label for cell in cells),
        seeds,
        np.array([[trial.metric(metric) for trial in own] for own in trials]),
        step=max(trial.step(metric) for trial in every),
        correct=None if correct is None else correct.reshape(len(cells), len(seeds), -1),
    )


def _with_predictions(
    record: AblationRecord, cells: Sequence[AblationCell], trials: Sequence[Sequence[StoredTrial]]
) -> AblationRecord:
    """Add what the trials of each cell predict as a whole."""
    labels = [cell.label for cell in cells]
    return record.model_copy(
        update={
            "prediction_doubts": one_class_doubts(list(zip(labels, trials, strict=True))),
            "largest_class": largest_test_class([trial for own in trials for trial in own]),
        }
    )


def _check(plan: AblationPlan, context: Context) -> None:
    _enough_seeds(context.study.seeds)
    baseline = context.study.recipes[plan.recipe]
    check_trained_metric(plan.metric, baseline, context.session.dataset(baseline.dataset))
    ablation_cells(baseline, plan.vary)


def _designs(study: Study) -> Iterator[Design]:
    for plan in study.entries("ablations"):
        cells = ablation_cells(study.recipes[plan.recipe], plan.vary)
        by_label = {cell.label: cell.recipe for cell in cells}
        yield Design(plan.recipe, plan.metric, by_label, plan.vary, plan.published)


def _run(plan: AblationPlan, context: Context, entry: Entry) -> list[AblationRecord]:
    study = context.study
    cells = ablation_cells(study.recipes[plan.recipe], plan.vary)
    trials = [context.trials[cell.recipe] for cell in cells]
    design = _design(cells, tuple(range(study.seeds)), trials, plan.metric)
    record = summarize(
        plan.recipe,
        cells,
        design,
        plan.vary,
        metric=plan.metric,
        practical_difference=study.practical_difference,
        published=plan.published,
    )
    return [_with_predictions(record, cells, trials)]


PART = Part(
    plan=AblationPlan,
    record=AblationRecord,
    run=_run,
    activity="comparing settings",
    recipes=lambda plan: [plan.recipe],
    check=_check,
    designs=_designs,
)
