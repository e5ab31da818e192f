"""From claims to numbers: which cells a claim speaks of, and the design that holds their metric."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from foolscope.core.errors import FoolscopeError, RecipeError
from foolscope.experiments.claims.claim import (
    INSPECTION,
    MEASURE,
    ComparisonClaim,
    CurveClaim,
    Selector,
    TrendClaim,
    ValueClaim,
)
from foolscope.experiments.claims.curves import EPOCHS, STEPS, Curves, check_curve, curve_evidence, curve_of
from foolscope.experiments.claims.judgement import (
    ClaimResult,
    adjust,
    judge_claim,
    judge_evidence,
    untestable,
)
from foolscope.experiments.claims.published import (
    cell_figures,
    claim_noise,
    curve_figures,
    published_figures,
    step_figures,
)
from foolscope.experiments.parts.ablation import AblationCell, check_metric, setting_words
from foolscope.experiments.parts.attacks.metrics import (
    ATTACK_LOSS,
    attack_losses,
    attack_metric,
    attack_values,
    is_measured,
)
from foolscope.experiments.parts.check_metrics import CHECK, CheckErrors, check_of
from foolscope.experiments.parts.demonstrations.metrics import check_measure, judge_measure
from foolscope.experiments.parts.demonstrations.records import DemonstrationRecord
from foolscope.experiments.parts.inspections.metrics import check_inspection, judge_inspection
from foolscope.experiments.parts.inspections.records import InspectedRecord
from foolscope.experiments.parts.trace_records import TraceRecord
from foolscope.experiments.recipe import Recipe, short_name, with_values
from foolscope.experiments.records import ClaimRecord, CurveRecord, FigureRecord, NoiseRecord
from foolscope.experiments.running.store import StoredTrial
from foolscope.experiments.study import Study
from foolscope.experiments.wording.fields import field_words
from foolscope.experiments.wording.sentences import Scale, scale_of
from foolscope.statistics.blocks import BlockDesign

__all__ = ["AnyClaim", "check_claims", "claim_cells", "judge_claims"]

AnyClaim = ValueClaim | ComparisonClaim | TrendClaim | CurveClaim


@dataclass(frozen=True)
class _Sources:
    """Where claims find their numbers."""

    study: Study
    ablations: Sequence[tuple[str, Sequence[AblationCell]]]
    trials: Mapping[Recipe, Sequence[StoredTrial]]
    curves: Sequence[CurveRecord]
    traces: Sequence[TraceRecord]
    demonstrations: Sequence[DemonstrationRecord]
    checks: CheckErrors
    inspections: Sequence[InspectedRecord]


def claim_cells(claim: AnyClaim, study: Study) -> list[tuple[Selector, Recipe]]:
    """List the cells of a claim with their recipes, in the order in which the test wants them.

    Raises:
        RecipeError: a trend names no levels and the study varies no such factor, or a field is unknown.
    """
    try:
        selectors = claim.cells()
        if isinstance(claim, TrendClaim) and not selectors:
            selectors = _levels_of_ablation(claim, study)
        return [(cell, with_values(study.recipes[str(cell.recipe)], cell.settings)) for cell in selectors]
    except RecipeError as error:
        raise RecipeError(f"claim {claim.sentence!r}: {error}") from error


def _levels_of_ablation(claim: TrendClaim, study: Study) -> tuple[Selector, ...]:
    recipe = study.recipes[claim.recipe]
    factor = short_name(recipe, claim.factor)
    for plan in study.ablations:
        if plan.recipe != claim.recipe:
            continue
        for field, values in plan.vary.items():
            if short_name(recipe, field) == factor:
                ordered = sorted(values, key=_rank)
                return tuple(
                    Selector(recipe=claim.recipe, settings={**claim.settings, factor: value})
                    for value in ordered
                )
    raise RecipeError(f"no ablation of {claim.recipe} varies {factor!r}; give the claim levels = [...]")


def _rank(value: object) -> float:
    if isinstance(value, list | tuple):
        return float(sum(value))
    if isinstance(value, bool | int | float):
        return float(value)
    raise RecipeError(
        f"levels that are not numbers have no order of their own: {value!r}; give levels = [...]"
    )


def check_claims(study: Study) -> None:
    """Refuse claims that could not be tested, before anything is trained for them.

    Raises:
        RecipeError: a claim names a field, level, metric, attack or ε that the study does not have, or a cell
            twice.
    """
    for claim in study.claims:
        cells = claim_cells(claim, study)
        labels = [_label(claim, selector, recipe, study) for selector, recipe in cells]
        try:
            if len(set(labels)) < len(labels):
                raise RecipeError(f"it names the same cell twice: {', '.join(labels)}")
            peak = _peak(claim, study)
            if peak is not None and peak not in labels[1:-1]:
                raise RecipeError(
                    f"the peak must be at one of the inner levels {', '.join(labels[1:-1])}; got {peak}"
                )
            if claim.metric.startswith((MEASURE, INSPECTION)):
                if not isinstance(claim, ValueClaim):
                    raise RecipeError(f'{claim.metric} is one number; it goes with kind = "value"')
                if claim.metric.startswith(MEASURE):
                    check_measure(claim.metric, study.demonstrations)
                else:
                    check_inspection(claim.metric, study.inspections)
            elif claim.metric.startswith(CHECK):
                check_of(claim.metric)
                if not isinstance(claim, ValueClaim) or claim.settings:
                    raise RecipeError(f'{claim.metric} goes with kind = "value", of a recipe as it is')
            elif is_measured(claim.metric):
                _check_measured(claim)
                for selector, _ in cells:
                    attack_metric(claim.metric, selector, study)
            elif isinstance(claim, CurveClaim):
                check_curve(claim.metric)
                if claim.meanwhile is not None:
                    check_curve(claim.meanwhile.metric)
            else:
                check_metric(claim.metric)
        except FoolscopeError as error:
            raise RecipeError(f"claim {claim.sentence!r}: {error}") from error


def _check_measured(claim: AnyClaim) -> None:
    """Refuse a number where a curve belongs, and the other way round."""
    is_loss = claim.metric.startswith(f"{ATTACK_LOSS}:")
    if is_loss != isinstance(claim, CurveClaim):
        wanted = 'needs kind = "curve"' if is_loss else 'is no curve; kind = "curve" does not go with it'
        raise RecipeError(f"{claim.metric} {wanted}")
    if isinstance(claim, CurveClaim) and claim.meanwhile is not None:
        raise RecipeError(f"{claim.metric} goes by attack step; meanwhile is about epochs")


def judge_claims(
    study: Study,
    ablations: Sequence[tuple[str, Sequence[AblationCell]]],
    trials: Mapping[Recipe, Sequence[StoredTrial]],
    curves: Sequence[CurveRecord],
    traces: Sequence[TraceRecord] = (),
    demonstrations: Sequence[DemonstrationRecord] = (),
    checks: CheckErrors = MappingProxyType({}),
    inspections: Sequence[InspectedRecord] = (),
) -> list[ClaimRecord]:
    """Test every claim of a study, adjusted for their number.

    Args:
        study: its claims are tested.
        ablations: recipe name and cells of each ablation; they sharpen the pooled spread.
        trials: the finished trials of every recipe (as in the study, without the seed), one per seed.
        curves: robust accuracies, for claims about them.
        traces: followed attacks, likewise.
        demonstrations: likewise.
        checks: errors of gradients, likewise.
        inspections: looks into the models of every seed, likewise.

    Raises:
        RecipeError: a claim names a metric, attack or ε that the study does not have.
    """
    sources = _Sources(study, ablations, trials, curves, traces, demonstrations, checks, inspections)
    judged = [_judge(claim, sources) for claim in study.claims]
    results = adjust([each.result for each in judged])
    return [
        _record(claim, result, each)
        for claim, result, each in zip(study.claims, results, judged, strict=True)
    ]


@dataclass(frozen=True)
class _Judged:
    """A claim tested by itself, and its numbers."""

    result: ClaimResult
    figures: list[FigureRecord]
    noise: NoiseRecord | None = None


def _judge(claim: AnyClaim, sources: _Sources) -> _Judged:
    if isinstance(claim, CurveClaim):
        return _judge_curve(claim, sources)
    if isinstance(claim, ValueClaim) and claim.metric.startswith(MEASURE):
        return _Judged(*judge_measure(claim, sources.demonstrations))
    if isinstance(claim, ValueClaim) and claim.metric.startswith(INSPECTION):
        return _Judged(*judge_inspection(claim, sources.study, sources.trials, sources.inspections))
    study = sources.study
    cells = claim_cells(claim, study)
    labels = [_label(claim, selector, recipe, study) for selector, recipe in cells]
    rows = {
        label: _values(claim, selector, recipe, sources)
        for label, (selector, recipe) in zip(labels, cells, strict=True)
    }
    named = {recipe for _, recipe in cells}
    if not (is_measured(claim.metric) or claim.metric.startswith(CHECK)):
        for _, ablation in sources.ablations:
            recipes = {cell.recipe for cell in ablation}
            if named <= recipes:
                rows |= {
                    f"({cell.label})": [trial.metric(claim.metric) for trial in sources.trials[cell.recipe]]
                    for cell in ablation
                    if cell.recipe not in named
                }
                break
    design = BlockDesign(tuple(rows), tuple(range(study.seeds)), np.array(list(rows.values()), dtype=float))
    published = published_figures(
        claim, {label: recipe for label, (_, recipe) in zip(labels, cells, strict=True)}, study
    )
    options: dict[str, Any] = {
        "practical_difference": study.practical_difference,
        "at": _peak(claim, study),
        "higher_is_better": not claim.metric.endswith("loss"),
        "scale": scale_of(claim.metric),
    }
    empty = _nothing_counted(labels, rows, [sources.trials[recipe] for _, recipe in cells])
    if empty:
        result = untestable(claim.sentence, f"{empty}, so that the claim cannot be tested.")
        return _Judged(result, cell_figures(claim.metric, design, labels, published))
    return _Judged(
        judge_claim(claim, design, labels, **options),
        cell_figures(claim.metric, design, labels, published),
        claim_noise(claim, design, published, **options),
    )


def _nothing_counted(
    labels: Sequence[str], rows: Mapping[str, Sequence[float]], trials: Sequence[Sequence[StoredTrial]]
) -> str:
    """Say which cells lack a number though their trials did not diverge: an attack found nothing to count."""
    said = []
    for label, own in zip(labels, trials, strict=True):
        lacking = [math.isnan(value) for value in rows[label]]
        if any(lacking) and all(trial.status != "diverged" for trial in own):
            said.append(f"{label} gets no image right that counts, in {sum(lacking)} of {len(own)} seeds")
    return ", ".join(said)


def _judge_curve(claim: CurveClaim, sources: _Sources) -> _Judged:
    """Test a claim about curves; what the seeds have in common of their epochs counts."""
    ((selector, recipe),) = claim_cells(claim, sources.study)
    trials, scale = sources.trials[recipe], scale_of(claim.metric)
    diverged = sum(trial.status == "diverged" for trial in trials)
    if diverged:
        lack = f"diverged in {diverged} of {len(trials)} seeds"
        return _untested(claim, lack, scale)
    if is_measured(claim.metric):
        return _judge_losses(
            claim,
            attack_losses(attack_metric(claim.metric, selector, sources.study), sources.traces),
            sources,
        )
    epochs = min(len(trial.outcome["history"]) for trial in trials)
    names = [claim.metric, *([claim.meanwhile.metric] if claim.meanwhile else [])]
    curves = {
        name: np.array([curve_of(trial.outcome["history"][:epochs], name) for trial in trials], dtype=float)
        for name in names
    }
    missing = [name for name, values in curves.items() if not np.isfinite(values).all()]
    if missing or epochs < 2:
        lack = f"no {field_words(missing[0])}" if missing else "one epoch only"
        return _untested(claim, f"has {lack}", scale)
    evidence = curve_evidence(claim, curves, sources.study.practical_difference, EPOCHS)
    result = judge_evidence(claim.sentence, evidence, scale=scale)
    return _Judged(result, curve_figures(claim, evidence.statements))


def _judge_losses(claim: CurveClaim, losses: Curves, sources: _Sources) -> _Judged:
    """Test a claim about the loss by attack step."""
    scale = scale_of(claim.metric)
    if not np.isfinite(losses).all():
        return _untested(claim, "has a loss under attack that is not finite", scale)
    evidence = curve_evidence(claim, {claim.metric: losses}, sources.study.practical_difference, STEPS)
    return _Judged(judge_evidence(claim.sentence, evidence, scale=scale), step_figures(claim.metric, losses))


def _untested(claim: CurveClaim, lack: str, scale: Scale) -> _Judged:
    reason = f"{claim.recipe} {lack}, so that the claim cannot be tested."
    return _Judged(untestable(claim.sentence, reason, scale=scale), [])


def _peak(claim: AnyClaim, study: Study) -> str | None:
    """Name the level of a claimed peak."""
    if not isinstance(claim, TrendClaim) or claim.at is None:
        return None
    peak = Selector(recipe=claim.recipe, settings={**claim.settings, claim.factor: claim.at})
    return _label(claim, peak, with_values(study.recipes[claim.recipe], peak.settings), study)


def _label(claim: AnyClaim, cell: Selector, recipe: Recipe, study: Study) -> str:
    """Name a cell as briefly as the claim allows: its level, its settings, or its recipe."""
    if isinstance(claim, TrendClaim):
        return setting_words(recipe, claim.factor)
    words = [f"{field_words(name)} {setting_words(recipe, name)}" for name in cell.settings]
    same = len({selector.recipe for selector in claim.cells()}) == 1
    if words and same and isinstance(claim, ComparisonClaim):
        return ", ".join(words)
    return ", ".join([str(cell.recipe), *words])


def _values(claim: AnyClaim, cell: Selector, recipe: Recipe, sources: _Sources) -> list[float]:
    trials = sources.trials[recipe]
    if claim.metric.startswith(CHECK):
        return list(sources.checks[str(cell.recipe), check_of(claim.metric)])
    if not is_measured(claim.metric):
        return [trial.metric(claim.metric) for trial in trials]
    asked = attack_metric(claim.metric, cell, sources.study)
    return attack_values(asked, str(cell.recipe), trials, sources.curves, sources.traces)


def _record(claim: AnyClaim, result: ClaimResult, judged: _Judged) -> ClaimRecord:
    return ClaimRecord(
        sentence=claim.sentence,
        outcome=result.outcome,
        reason=result.reason,
        p_upheld=result.p_upheld,
        p_contradicted=result.p_contradicted,
        seeds_needed=result.seeds_needed,
        doubts=list(result.doubts),
        published=claim.published,
        source=claim.source,
        figures=judged.figures,
        noise=judged.noise,
    )
