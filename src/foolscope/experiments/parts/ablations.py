"""One-factor ablations: cells around a baseline, crossed with seeds, and what they show."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import pydantic
from pydantic import Field

from foolscope.core.errors import RecipeError, did_you_mean
from foolscope.core.settings import Settings, finite_or_none
from foolscope.experiments.claims.sources import Design
from foolscope.experiments.parts.part import Context, Entry, Part
from foolscope.experiments.parts.predictions import LargestClass, largest_test_class, one_class_doubts
from foolscope.experiments.parts.training import check_trained_metric
from foolscope.experiments.recipe import Recipe, setting_words, short_name, with_values
from foolscope.experiments.running.packs import Pack
from foolscope.experiments.running.run import Observer, Session, ignore_events, plan_trials, run_trials
from foolscope.experiments.running.store import StoredTrial
from foolscope.experiments.study import Study
from foolscope.experiments.wording.doubts import doubt_words
from foolscope.experiments.wording.fields import field_words
from foolscope.experiments.wording.sentences import higher_is_better, scale_of
from foolscope.experiments.wording.verdicts import factor_sentence, verdict_sentence
from foolscope.statistics.blocks import BlockDesign, fit_additive, mean_interval
from foolscope.statistics.single_runs import single_run_difference
from foolscope.statistics.verdicts import Verdict, judge

__all__ = [
    "BASELINE",
    "PART",
    "AblationCell",
    "AblationPlan",
    "AblationRecord",
    "FactorRecord",
    "LevelRecord",
    "ablate",
    "ablation_cells",
    "plan_ablation",
    "summarize",
]

BASELINE = "baseline"

_ALPHA = 0.05  # level of the tests
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


class LevelRecord(Settings):
    """One value of a factor: its trials, and the verdict against the baseline."""

    label: str
    cell: str
    values: list[float | None] = Field(description="the metric, one per seed; null where the trial diverged")
    mean: float | None
    low: float | None = Field(description="lower end of the 95 % interval of the mean over seeds")
    high: float | None
    published: float | None = None
    outcome: Literal["baseline", "helps", "hurts", "no effect", "undecided", "diverged"]
    sentence: str
    difference: float | None = Field(None, description="from the baseline, in the metric's own unit")
    difference_low: float | None = None
    difference_high: float | None = None
    p_different: float | None = Field(None, description="adjusted by Holm over the ablation")
    p_equivalent: float | None = None
    seeds_needed: int | None = None
    published_difference: float | None = Field(None, description="published figure minus the baseline's")
    rests_on_noise: bool | None = Field(
        None, description="whether two single runs differ by as much as the published figures by chance"
    )


class FactorRecord(Settings):
    """One factor of an ablation."""

    field: str
    words: str
    baseline: str
    levels: list[LevelRecord]
    summary: str


class AblationRecord(Settings):
    """One ablation: its factors, and the statistics they share."""

    recipe: str
    metric: str
    seeds: list[int]
    practical_difference: float
    factors: list[FactorRecord]
    base: LevelRecord | None = Field(
        None, description="the baseline, whether or not a factor lists its value"
    )
    residual_deviation: float | None
    degrees_of_freedom: int
    minimum_detectable_effect: float | None
    doubts: list[str]
    prediction_doubts: list[str] = Field(
        default_factory=list, description="runs that predict one class only, which no seeds can help"
    )
    largest_class: LargestClass | None = Field(None, description="of the test images, where unequal")
    single_run_difference: float | None = Field(
        None, description="how far two single runs of one setting differ by chance, at most, 95 times in 100"
    )

    @property
    def sentences(self) -> list[str]:
        """The verdicts in words, factor by factor."""
        return [level.sentence for factor in self.factors for level in factor.levels if level.sentence]


@dataclass(frozen=True)
class AblationCell:
    """One setting of an ablation.

    Args:
        label: "baseline", or field and value as in ``batch_size = 512``.
        factor: short name of the field that differs from the baseline; ``None`` for the baseline.
        value: its value; ``None`` for the baseline.
        recipe: with the baseline's seed.
    """

    label: str
    factor: str | None
    value: Any
    recipe: Recipe


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
    values = np.array([trial.metric(metric) for trial in trials]).reshape(len(cells), seeds)
    design = BlockDesign(tuple(cell.label for cell in cells), seed_numbers, values)
    record = summarize(
        baseline.model.name, cells, design, vary, metric=metric, practical_difference=practical_difference
    )
    rows = [trials[start : start + seeds] for start in range(0, len(trials), seeds)]
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


def summarize(
    name: str,
    cells: Sequence[AblationCell],
    design: BlockDesign,
    vary: Mapping[str, Sequence[Any]],
    *,
    metric: str,
    practical_difference: float,
    published: Mapping[str, Sequence[float | None]] | None = None,
) -> AblationRecord:
    """Judge the cells of an ablation and put the verdicts into words, in the order of ``vary``."""
    verdicts = judge(
        design,
        BASELINE,
        practical_difference=practical_difference,
        alpha=_ALPHA,
        higher_is_better=higher_is_better(metric),
    )
    by_cell = {verdict.cell: verdict for verdict in verdicts}
    baseline = cells[0].recipe
    fit = fit_additive(design)
    noise = finite_or_none(single_run_difference(fit.residual_deviation, fit.degrees_of_freedom, 1 - _ALPHA))
    factors = []
    for field, values in vary.items():
        factor = short_name(baseline, field)
        figures = (published or {}).get(field) or [None] * len(values)
        levels = [
            _level(cells, design, by_cell, factor, value, metric, figure)
            for value, figure in zip(values, figures, strict=True)
        ]
        levels = _beside_published_baseline(levels, noise)
        base = setting_words(baseline, factor)
        own = {level.label: by_cell[level.cell] for level in levels if level.cell in by_cell}
        summary = factor_sentence(own, field_words(factor), base, scale_of(metric))
        factors.append(
            FactorRecord(
                field=factor, words=field_words(factor), baseline=base, levels=levels, summary=summary
            )
        )
    detectable = [verdict.minimum_detectable_effect for verdict in verdicts]
    return AblationRecord(
        recipe=name,
        metric=metric,
        seeds=list(design.blocks),
        practical_difference=practical_difference,
        factors=factors,
        base=LevelRecord(**_measured(design, BASELINE), label=BASELINE, outcome="baseline", sentence=""),
        residual_deviation=finite_or_none(fit.residual_deviation),
        degrees_of_freedom=fit.degrees_of_freedom,
        minimum_detectable_effect=finite_or_none(max(detectable, default=float("nan"))),
        doubts=doubt_words(doubt for verdict in verdicts for doubt in verdict.doubts),
        single_run_difference=noise,
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


def _beside_published_baseline(levels: Sequence[LevelRecord], noise: float | None) -> list[LevelRecord]:
    """Say how far each published figure is from the baseline's, and whether chance takes runs as far."""
    base = next((level.published for level in levels if level.outcome == "baseline"), None)
    if base is None:
        return list(levels)
    compared = []
    for level in levels:
        if level.published is not None and level.outcome != "baseline":
            gap = level.published - base
            within = None if noise is None else abs(gap) <= noise
            level = level.model_copy(update={"published_difference": gap, "rests_on_noise": within})
        compared.append(level)
    return compared


def _level(
    cells: Sequence[AblationCell],
    design: BlockDesign,
    verdicts: Mapping[str, Verdict],
    factor: str,
    value: Any,
    metric: str,
    published: float | None,
) -> LevelRecord:
    baseline = cells[0].recipe
    recipe = with_values(baseline, {factor: value})
    cell = next(each for each in cells if each.recipe == recipe)
    label, verdict = setting_words(recipe, factor), verdicts.get(cell.label)
    measured = {**_measured(design, cell.label), "label": label, "published": published}
    if verdict is None:
        return LevelRecord(**measured, outcome="baseline", sentence="")
    base = setting_words(baseline, factor)
    return LevelRecord(
        **measured,
        outcome=verdict.outcome,
        sentence=verdict_sentence(verdict, field_words(factor), label, base, scale_of(metric)),
        difference=finite_or_none(verdict.estimate),
        difference_low=finite_or_none(verdict.interval[0]),
        difference_high=finite_or_none(verdict.interval[1]),
        p_different=verdict.p_different,
        p_equivalent=verdict.p_equivalent,
        seeds_needed=verdict.seeds_needed,
    )


def _measured(design: BlockDesign, cell: str) -> dict[str, Any]:
    """Return the metric of a cell by seed, with its mean and interval."""
    mean, low, high = mean_interval(design, cell)
    values = [finite_or_none(each) for each in design.row(cell).tolist()]
    return {"cell": cell, "values": values, "mean": mean, "low": low, "high": high}


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
    rows = [[trial.metric(plan.metric) for trial in own] for own in trials]
    design = BlockDesign(tuple(cell.label for cell in cells), tuple(range(study.seeds)), np.array(rows))
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
