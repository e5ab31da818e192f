"""One-factor ablations: cells around a baseline, crossed with seeds, trained and judged."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import pydantic
from pydantic import Field

from foolscope.core.errors import RecipeError, did_you_mean
from foolscope.core.settings import Settings
from foolscope.experiments.claims.sources import Design
from foolscope.experiments.parts.ablation_record import BASELINE, AblationCell, AblationRecord, summarize
from foolscope.experiments.parts.looks import EarlierLooks, earlier_looks, remember_look
from foolscope.experiments.parts.part import Context, Entry, Part
from foolscope.experiments.parts.predictions import (
    largest_test_class,
    one_class_doubts,
)
from foolscope.experiments.parts.training import check_trained_metric
from foolscope.experiments.parts.until_decided import (
    budget_of,
    check_most_seeds,
    design_of,
    train_until_decided,
)
from foolscope.experiments.recipe import Recipe, setting_words, short_name, with_values
from foolscope.experiments.running.packs import Pack
from foolscope.experiments.running.run import Observer, Session, ignore_events, plan_trials, run_trials
from foolscope.experiments.running.store import StoredTrial
from foolscope.experiments.study import Study
from foolscope.experiments.wording.sentences import higher_is_better
from foolscope.statistics.any_look import judge_at_any_look
from foolscope.statistics.blocks import BlockDesign
from foolscope.statistics.verdicts import Verdict

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
    until_decided: bool = Field(False, description="add seeds to the open settings until all are decided")
    most_seeds: int | None = Field(
        None, ge=2, le=1000, description="with until_decided: seeds at most, 60 if not given"
    )

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
    known = {baseline.model_dump_json()}
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
            identity = recipe.model_dump_json()
            if identity in known:
                continue
            known.add(identity)
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
    most_seeds: int | None = None,
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
        most_seeds: seeds are added to the cells that are still open until each is decided or has so many;
            None to stop after ``seeds``.
        observe: called after every epoch.

    Returns:
        Verdicts and the numbers they rest on.

    Raises:
        RecipeError: fewer than 2 seeds, an unknown metric or field, or a value out of range.
    """
    check_trained_metric(metric, baseline, session.dataset(baseline.dataset))
    cells, seed_numbers = _cells_and_seeds(baseline, vary, seeds)
    if most_seeds is not None:
        check_most_seeds(seeds, most_seeds)
    ablation = _Ablation(baseline.model.name, cells, vary, metric, practical_difference, baseline.seed)
    if most_seeds is not None:
        return _until_decided(ablation, seeds, most_seeds, session, observe)
    trials = run_trials(_crossed(cells, seed_numbers), session, observe)
    rows = [trials[start : start + seeds] for start in range(0, len(trials), seeds)]
    return _judged(ablation, rows, session)


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


@dataclass(frozen=True)
class _Ablation:
    """An ablation as it was planned; ``first_label`` is what the record calls the first seed."""

    name: str
    cells: tuple[AblationCell, ...]
    vary: Mapping[str, Sequence[Any]]
    metric: str
    practical_difference: float
    first_label: int
    published: Mapping[str, Sequence[float | None]] | None = None


def _judged(ablation: _Ablation, trials: Sequence[Sequence[StoredTrial]], session: Session) -> AblationRecord:
    """Judge cells with the same seeds; by sequential tests if fewer seeds were judged before."""
    cells, seeds = ablation.cells, len(trials[0])
    identities = [own[0].identity for own in trials]
    design = design_of(cells, trials, ablation.metric, ablation.first_label)
    earlier = _earlier(ablation, identities, seeds, session)
    verdicts = None
    if earlier.seeds:
        looks = judge_at_any_look(
            design,
            BASELINE,
            practical_difference=ablation.practical_difference,
            alpha=earlier.alpha,
            higher_is_better=higher_is_better(ablation.metric),
        )
        verdicts = [look.verdict for look in looks]
    record = _summary(ablation, design, trials, verdicts)
    outcomes = {level.cell: level.outcome for factor in record.factors for level in factor.levels}
    remember_look(
        session.store,
        baseline=identities[0],
        metric=ablation.metric,
        seeds=dict.fromkeys(identities[1:], seeds),
        outcomes=outcomes,
        mode="any look" if earlier.seeds else "fixed",
    )
    return record.model_copy(update={"earlier_looks": earlier.seeds, "level": earlier.alpha})


def _until_decided(
    ablation: _Ablation, seeds: int, most_seeds: int, session: Session, observe: Observer
) -> AblationRecord:
    """Add seeds to the open cells until everything is decided."""
    identities = [session.identify(cell.recipe) for cell in ablation.cells]
    earlier = _earlier(ablation, identities, most_seeds + 1, session)
    decided = train_until_decided(
        ablation.cells,
        seeds=seeds,
        most_seeds=most_seeds,
        metric=ablation.metric,
        practical_difference=ablation.practical_difference,
        session=session,
        observe=observe,
        first_label=ablation.first_label,
        alpha=earlier.alpha,
    )
    record = _summary(ablation, decided.design, decided.trials, decided.verdicts)
    return record.model_copy(
        update={"until_decided": decided.record, "earlier_looks": earlier.fixed, "level": earlier.alpha}
    )


def _earlier(ablation: _Ablation, identities: Sequence[str], seeds: int, session: Session) -> EarlierLooks:
    return earlier_looks(
        session.store, baseline=identities[0], metric=ablation.metric, cells=identities[1:], seeds=seeds
    )


def _summary(
    ablation: _Ablation,
    design: BlockDesign,
    trials: Sequence[Sequence[StoredTrial]],
    verdicts: Sequence[Verdict] | None,
) -> AblationRecord:
    record = summarize(
        ablation.name,
        ablation.cells,
        design,
        ablation.vary,
        metric=ablation.metric,
        practical_difference=ablation.practical_difference,
        published=ablation.published,
        verdicts=verdicts,
    )
    return _with_predictions(record, ablation.cells, trials)


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
    most_seeds = budget_of(plan.until_decided, plan.most_seeds)
    if most_seeds is not None:
        check_most_seeds(context.study.seeds, most_seeds)


def _designs(study: Study) -> Iterator[Design]:
    for plan in study.entries("ablations"):
        cells = ablation_cells(study.recipes[plan.recipe], plan.vary)
        by_label = {cell.label: cell.recipe for cell in cells}
        yield Design(plan.recipe, plan.metric, by_label, plan.vary, plan.published)


def _run(plan: AblationPlan, context: Context, entry: Entry) -> list[AblationRecord]:
    study = context.study
    cells = ablation_cells(study.recipes[plan.recipe], plan.vary)
    ablation = _Ablation(
        plan.recipe, cells, plan.vary, plan.metric, study.practical_difference, 0, plan.published
    )
    most_seeds = budget_of(plan.until_decided, plan.most_seeds)
    if most_seeds is not None:
        return [_until_decided(ablation, study.seeds, most_seeds, context.session, context.observe)]
    return [_judged(ablation, [context.trials[cell.recipe] for cell in cells], context.session)]


def _identities(record: AblationRecord) -> list[str]:
    return [] if record.until_decided is None else record.until_decided.identities


PART = Part(
    plan=AblationPlan,
    record=AblationRecord,
    run=_run,
    activity="comparing settings",
    recipes=lambda plan: [plan.recipe],
    check=_check,
    designs=_designs,
    identities=_identities,
)
