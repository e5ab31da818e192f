"""From claims to numbers: which cells a claim speaks of, and the test of their metric."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from foolscope.core.errors import FoolscopeError, RecipeError
from foolscope.experiments.claims.claim import (
    ComparisonClaim,
    CurveClaim,
    Selector,
    TrendClaim,
    ValueClaim,
)
from foolscope.experiments.claims.curves import EPOCHS, STEPS, curve_evidence
from foolscope.experiments.claims.judgement import (
    ClaimResult,
    adjust_claims,
    judge_claim,
    judge_evidence,
    untestable,
)
from foolscope.experiments.claims.metric import Metric
from foolscope.experiments.claims.published import (
    cell_figures,
    claim_noise,
    curve_figures,
    published_figures,
    step_figures,
)
from foolscope.experiments.claims.records import ClaimRecord, FigureRecord, NoiseRecord
from foolscope.experiments.claims.sources import Cell, Design, Measured, Sources
from foolscope.experiments.claims.statements import VALUE_RELATIONS, ClaimStatement, Evidence
from foolscope.experiments.recipe import setting_words, short_name, with_values
from foolscope.experiments.study import Study
from foolscope.experiments.wording.fields import field_words
from foolscope.experiments.wording.quantities import mean_of
from foolscope.statistics.blocks import BlockDesign, cell_mean, mean_interval
from foolscope.statistics.estimate import shifted
from foolscope.statistics.relations import Statement

__all__ = ["AnyClaim", "check_claims", "check_measurable", "claim_cells", "judge_claims"]

AnyClaim = ValueClaim | ComparisonClaim | TrendClaim | CurveClaim


def claim_cells(claim: AnyClaim, study: Study, designs: Sequence[Design]) -> list[Cell]:
    """List the cells of a claim with their recipes, in the order in which the test wants them.

    Raises:
        RecipeError: a trend names no levels and the study varies no such factor, or a field is unknown.
    """
    try:
        selectors = claim.cells()
        if isinstance(claim, TrendClaim) and not selectors:
            selectors = _levels_of_ablation(claim, study, designs)
        return [_cell(selector, study) for selector in selectors]
    except RecipeError as error:
        raise RecipeError(f"claim {claim.sentence!r}: {error}") from error


def check_claims(study: Study, sources: Sources) -> None:
    """Refuse claims that could not be tested, before anything is trained for them.

    Raises:
        RecipeError: a claim names a field, level, metric, attack or ε that the study does not have, or a cell
            twice.
    """
    for claim in study.claims:
        cells = claim_cells(claim, study, sources.designs())
        labels = [_label(claim, cell) for cell in cells]
        try:
            if len(set(labels)) < len(labels):
                raise RecipeError(f"it names the same cell twice: {', '.join(labels)}")
            peak = _peak(claim, study)
            if peak is not None and peak not in labels[1:-1]:
                raise RecipeError(
                    f"the peak must be at one of the inner levels {', '.join(labels[1:-1])}; got {peak}"
                )
            metric = _metric(claim, claim.metric, sources)
            _check_subject(claim, metric, cells)
            if isinstance(claim, CurveClaim) and claim.meanwhile is not None:
                if metric.axis != "epoch":
                    raise RecipeError(f"{metric} is by attack step, but meanwhile is by epoch")
                _metric(claim, claim.meanwhile.metric, sources)
        except FoolscopeError as error:
            raise RecipeError(f"claim {claim.sentence!r}: {error}") from error


def check_measurable(study: Study, sources: Sources) -> None:
    """Let models and data refuse claims, before anything is trained: a layer that is not there, say.

    Raises:
        RecipeError: which claim, and why.
    """
    for claim in study.claims:
        cells = claim_cells(claim, study, sources.designs())
        try:
            for cell in cells or (None,):
                sources.check(_metric(claim, claim.metric, sources), cell)
        except RecipeError as error:
            raise RecipeError(f"claim {claim.sentence!r}: {error}") from error


def judge_claims(study: Study, sources: Sources) -> list[ClaimRecord]:
    """Test every claim of a study, adjusted for their number.

    Args:
        study: its claims are tested; :func:`check_claims` has accepted them.
        sources: numbers and curves of every seed.
    """
    judged = [_judge(claim, study, sources) for claim in study.claims]
    results = adjust_claims([each.result for each in judged])
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


def _cell(selector: Selector, study: Study) -> Cell:
    name = str(selector.recipe)
    return Cell(name, selector.settings, with_values(study.recipes[name], selector.settings))


def _levels_of_ablation(claim: TrendClaim, study: Study, designs: Sequence[Design]) -> tuple[Selector, ...]:
    recipe = study.recipes[claim.recipe]
    factor = short_name(recipe, claim.factor)
    for design in designs:
        if design.recipe != claim.recipe:
            continue
        for field, values in design.vary.items():
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
    raise RecipeError(f"levels that are not numbers have no order: {value!r}; give levels = [...]")


def _metric(claim: AnyClaim, text: str, sources: Sources) -> Metric:
    return sources.find(text, of_curve=isinstance(claim, CurveClaim))


def _check_subject(claim: AnyClaim, metric: Metric, cells: Sequence[Cell]) -> None:
    """Refuse a claim about cells of which its metric is not measured."""
    if metric.stands_alone:
        if not isinstance(claim, ValueClaim):
            raise RecipeError(f'{metric} is one number; it needs kind = "value"')
        if claim.recipe is not None or claim.settings:
            raise RecipeError(f"{metric} belongs to {metric.part}; remove recipe and settings")
        if claim.relation == "equal" and claim.tolerance is None:
            raise RecipeError(f"tolerance is required where {metric} is claimed to be equal to a value")
        return
    if not cells:
        raise RecipeError(f"recipe is required: {metric} is measured on trained recipes")
    if metric.recipes is None:
        return
    for cell in cells:
        if cell.settings or cell.name not in metric.recipes:
            raise RecipeError(
                f"{metric} is not measured on {_cell_text(cell)}, only on {' and '.join(metric.recipes)}, "
                "unchanged"
            )


def _cell_text(cell: Cell) -> str:
    settings = ", ".join(f"{name} = {value}" for name, value in cell.settings.items())
    return f"{cell.name} with {settings}" if settings else cell.name


def _judge(claim: AnyClaim, study: Study, sources: Sources) -> _Judged:
    metric = _metric(claim, claim.metric, sources)
    cells = claim_cells(claim, study, sources.designs())
    if isinstance(claim, CurveClaim):
        return _judge_curve(claim, metric, cells[0], study, sources)
    if isinstance(claim, ValueClaim) and metric.stands_alone:
        return _judge_alone(claim, metric, sources.measured(metric, None))
    measured = {_label(claim, cell): sources.measured(metric, cell) for cell in cells}
    rows = {label: own.values for label, own in measured.items()}
    if metric.recipes is None:
        rows |= _other_rows({cell.recipe for cell in cells}, metric, sources)
    design = BlockDesign(
        tuple(rows),
        tuple(range(study.seeds)),
        np.array(list(rows.values()), dtype=float),
        step=max((own.step for own in measured.values()), default=0.0),
    )
    labels = list(measured)
    by_label = dict(zip(labels, [cell.recipe for cell in cells], strict=True))
    published = published_figures(claim, by_label, study, sources.designs())
    figures = cell_figures(claim.metric, design, labels, published)
    lacks = [f"{label} {own.lack}" for label, own in measured.items() if own.lack]
    if lacks:
        reason = f"{', '.join(lacks)}, so the claim cannot be tested."
        return _Judged(untestable(claim.sentence, reason), figures)
    options: dict[str, Any] = {
        "practical_difference": study.practical_difference,
        "at": _peak(claim, study),
        "higher_is_better": metric.higher_is_better,
        "scale": metric.scale,
    }
    return _Judged(
        judge_claim(claim, design, labels, **options),
        figures,
        claim_noise(claim, design, published, **options),
    )


def _other_rows(named: set[Any], metric: Metric, sources: Sources) -> Mapping[str, Any]:
    """Return the other cells of the claim's design: they sharpen the pooled spread."""
    for design in sources.designs():
        if named <= set(design.cells.values()):
            return {
                f"({label})": sources.measured(metric, Cell(design.recipe, {}, recipe)).values
                for label, recipe in design.cells.items()
                if recipe not in named
            }
    return {}


def _judge_curve(claim: CurveClaim, metric: Metric, cell: Cell, study: Study, sources: Sources) -> _Judged:
    """Test a claim about curves: over the epochs that all seeds have in common, or over attack steps."""
    metrics = [metric]
    if claim.meanwhile is not None:
        metrics.append(_metric(claim, claim.meanwhile.metric, sources))
    found = [sources.measured(each, cell) for each in metrics]
    lack = next((each.lack for each in found if each.lack), "")
    if lack:
        reason = f"{claim.recipe} {lack}, so the claim cannot be tested."
        return _Judged(untestable(claim.sentence, reason, scale=metric.scale), [])
    texts = [claim.metric, *([claim.meanwhile.metric] if claim.meanwhile else [])]
    curves = {text: each.values for text, each in zip(texts, found, strict=True)}
    by_epoch = metric.axis == "epoch"
    evidence = curve_evidence(claim, curves, study.practical_difference, EPOCHS if by_epoch else STEPS)
    result = judge_evidence(claim.sentence, evidence, scale=metric.scale)
    figures = (
        curve_figures(claim, evidence.statements) if by_epoch else step_figures(claim.metric, found[0].values)
    )
    return _Judged(result, figures)


def _judge_alone(claim: ValueClaim, metric: Metric, found: Measured) -> _Judged:
    """Test a claim about a metric that stands alone; what has no spread by its nature is decided exactly."""
    figures: list[FigureRecord] = []
    if found.values.size:
        seeds = tuple(range(len(found.values)))
        design = BlockDesign((claim.metric,), seeds, np.array([found.values], dtype=float))
        value, low, high = mean_interval(design, claim.metric)
        figures = [
            FigureRecord(
                label=found.words,
                metric=claim.metric,
                value=value,
                low=None if found.is_exact else low,
                high=None if found.is_exact else high,
                published=claim.published if isinstance(claim.published, float) else None,
            )
        ]
    if found.lack:
        reason = f"{found.words} {found.lack}, so the claim cannot be tested.".lstrip()
        return _Judged(untestable(claim.sentence, reason, scale=metric.scale), figures)
    statement = Statement(
        VALUE_RELATIONS[claim.relation],
        shifted(cell_mean(design, claim.metric), -claim.value),
        claim.tolerance or 0.0,
        claim.value,
    )
    words = f"{found.words}:" if found.is_exact else f"{found.words}, mean:"
    evidence = Evidence((ClaimStatement(statement, mean_of(words, exact=found.is_exact)),))
    return _Judged(judge_evidence(claim.sentence, evidence, scale=metric.scale), figures)


def _peak(claim: AnyClaim, study: Study) -> str | None:
    """Name the level of a claimed peak."""
    if not isinstance(claim, TrendClaim) or claim.at is None:
        return None
    peak = Selector(recipe=claim.recipe, settings={**claim.settings, claim.factor: claim.at})
    return _label(claim, _cell(peak, study))


def _label(claim: AnyClaim, cell: Cell) -> str:
    """Name a cell as briefly as the claim allows: its level, its settings, or its recipe."""
    if isinstance(claim, TrendClaim):
        return setting_words(cell.recipe, claim.factor)
    words = [f"{field_words(name)} {setting_words(cell.recipe, name)}" for name in cell.settings]
    same = len({selector.recipe for selector in claim.cells()}) == 1
    if words and same and isinstance(claim, ComparisonClaim):
        return ", ".join(words)
    return ", ".join([cell.name, *words])


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
