"""From claims to numbers: which cells a claim speaks of, and the design that holds their metric."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from foolscope.attacks import parse_epsilon
from foolscope.core.errors import RecipeError, did_you_mean
from foolscope.experiments.ablation import AblationCell
from foolscope.experiments.claims import ComparisonClaim, Selector, TrendClaim, ValueClaim
from foolscope.experiments.design import BlockDesign
from foolscope.experiments.judgements import ClaimResult, adjust, judge_claim
from foolscope.experiments.prose import PLAIN, POINTS
from foolscope.experiments.recipe import Recipe, short_name, value_of, with_values
from foolscope.experiments.records import ClaimRecord, CurveRecord
from foolscope.experiments.store import StoredTrial
from foolscope.experiments.study import Study
from foolscope.experiments.words import field_words, value_words

__all__ = ["AnyClaim", "claim_cells", "judge_claims"]

AnyClaim = ValueClaim | ComparisonClaim | TrendClaim

_ROBUST = "robust_accuracy:"


@dataclass(frozen=True)
class _Sources:
    """Where claims find their numbers."""

    study: Study
    ablations: Sequence[tuple[str, Sequence[AblationCell]]]
    trials: Mapping[Recipe, Sequence[StoredTrial]]
    curves: Sequence[CurveRecord]


def claim_cells(claim: AnyClaim, study: Study) -> list[tuple[Selector, Recipe]]:
    """List the cells of a claim with their recipes, in the order in which the test wants them.

    Raises:
        RecipeError: a trend names no levels and the study varies no such factor, or a field is unknown.
    """
    selectors = claim.cells()
    if isinstance(claim, TrendClaim) and not selectors:
        selectors = _levels_of_ablation(claim, study)
    return [(cell, with_values(study.recipes[str(cell.recipe)], cell.settings)) for cell in selectors]


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
                    Selector(recipe=claim.recipe, settings={**claim.settings, factor: value}) for value in ordered
                )
    raise RecipeError(
        f"claim {claim.sentence!r}: no ablation of {claim.recipe} varies {factor!r}; give the claim levels = [...]"
    )


def _rank(value: object) -> float:
    if isinstance(value, list | tuple):
        return float(sum(value))
    if isinstance(value, bool | int | float):
        return float(value)
    raise RecipeError(f"levels that are not numbers have no order of their own: {value!r}; give levels = [...]")


def judge_claims(
    study: Study,
    ablations: Sequence[tuple[str, Sequence[AblationCell]]],
    trials: Mapping[Recipe, Sequence[StoredTrial]],
    curves: Sequence[CurveRecord],
) -> list[ClaimRecord]:
    """Test every claim of a study, adjusted for their number.

    Args:
        study: its claims are tested.
        ablations: recipe name and cells of each ablation; they sharpen the pooled spread.
        trials: the finished trials of every recipe (as in the study, without the seed), one per seed.
        curves: robust accuracies, for claims about them.

    Raises:
        RecipeError: a claim names a metric, attack or ε that the study does not have.
    """
    sources = _Sources(study, ablations, trials, curves)
    results = adjust([_judge(claim, sources) for claim in study.claims])
    return [_record(claim, result) for claim, result in zip(study.claims, results, strict=True)]


def _judge(claim: AnyClaim, sources: _Sources) -> ClaimResult:
    study = sources.study
    cells = claim_cells(claim, study)
    labels = [_label(claim, selector, recipe, study) for selector, recipe in cells]
    if len(set(labels)) < len(labels):
        raise RecipeError(f"claim {claim.sentence!r} names the same cell twice: {', '.join(labels)}")
    rows = {
        label: _values(claim, selector, recipe, sources)
        for label, (selector, recipe) in zip(labels, cells, strict=True)
    }
    named = {recipe for _, recipe in cells}
    if not claim.metric.startswith(_ROBUST):
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
    accuracy = "accuracy" in claim.metric
    at = None
    if isinstance(claim, TrendClaim) and claim.at is not None:
        peak = Selector(recipe=claim.recipe, settings={**claim.settings, claim.factor: claim.at})
        at = _label(claim, peak, with_values(study.recipes[claim.recipe], peak.settings), study)
    return judge_claim(
        claim,
        design,
        labels,
        practical_difference=study.practical_difference,
        at=at,
        higher_is_better=not claim.metric.endswith("loss"),
        scale=POINTS if accuracy else PLAIN,
    )


def _label(claim: AnyClaim, cell: Selector, recipe: Recipe, study: Study) -> str:
    """Name a cell as briefly as the claim allows: its level, its settings, or its recipe."""
    if isinstance(claim, TrendClaim):
        return value_words(value_of(recipe, claim.factor))
    words = [f"{field_words(name)} {value_words(value_of(recipe, name))}" for name in cell.settings]
    same = len({selector.recipe for selector in claim.cells()}) == 1
    if words and same and isinstance(claim, ComparisonClaim):
        return ", ".join(words)
    return ", ".join([str(cell.recipe), *words])


def _values(claim: AnyClaim, cell: Selector, recipe: Recipe, sources: _Sources) -> list[float]:
    if claim.metric.startswith(_ROBUST):
        return _robust(claim, cell, sources)
    return [trial.metric(claim.metric) for trial in sources.trials[recipe]]


def _robust(claim: AnyClaim, cell: Selector, sources: _Sources) -> list[float]:
    attack, at, budget = claim.metric.removeprefix(_ROBUST).partition("@")
    curves = {(curve.attack, curve.recipe): curve for curve in sources.curves}
    curve = curves.get((attack, str(cell.recipe)))
    if not at or cell.settings or curve is None:
        known = [f"{_ROBUST}{name}@ε of {recipe}" for name, recipe in curves]
        raise RecipeError(f"claim {claim.sentence!r}: no metric {claim.metric!r}. {did_you_mean(claim.metric, known)}")
    epsilon = parse_epsilon(budget)
    for position, known_epsilon in enumerate(curve.epsilons):
        if abs(known_epsilon - epsilon) < 1e-9:
            return [accuracies[position] for accuracies in curve.accuracies]
    raise RecipeError(
        f"claim {claim.sentence!r}: the attack {attack!r} has no ε = {budget}; add it to its epsilons "
        f"({', '.join(f'{each:g}' for each in curve.epsilons)})"
    )


def _record(claim: AnyClaim, result: ClaimResult) -> ClaimRecord:
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
    )
