"""What a claim says of its cells, taken apart into elementary statements."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from foolscope.core.errors import RecipeError
from foolscope.experiments.claims.claim import ComparisonClaim, TrendClaim, ValueClaim
from foolscope.experiments.wording.sentences import describe_steps
from foolscope.statistics.blocks import (
    AdditiveFit,
    BlockDesign,
    cell_mean,
    contrast,
    difference,
    fit_additive,
    trend_weights,
)
from foolscope.statistics.estimate import p_above, p_below, shifted
from foolscope.statistics.relations import RelationName, Statement
from foolscope.statistics.verdicts import contrast_doubts, spread_doubts

__all__ = ["Evidence", "compared", "gather"]


class Evidence(NamedTuple):
    """What a claim stands on.

    Args:
        statements: all of them must hold.
        doubts: beyond those of the statements.
        note: what else there is to say, such as how the means go over the levels.
    """

    statements: tuple[Statement, ...]
    doubts: tuple[str, ...] = ()
    note: str = ""


def gather(
    claim: ValueClaim | ComparisonClaim | TrendClaim,
    design: BlockDesign,
    cells: Sequence[str],
    *,
    at: str | None,
    practical_difference: float,
    alpha: float,
    higher_is_better: bool,
) -> Evidence:
    """Estimate everything that a claim is about.

    Args:
        claim: from the study file.
        design: none of whose ``cells`` diverged.
        cells: as for :func:`foolscope.experiments.claims.judgement.judge_claim`.
        at: label of a claimed peak's level.
        practical_difference: δ.
        alpha: level of the tests.
        higher_is_better: how the metric is read.

    Returns:
        The statements and what to say beside them.

    Raises:
        RecipeError: ``at`` is not an inner level.
    """
    if isinstance(claim, ValueClaim):
        return Evidence((_value(claim, design, cells[0], practical_difference),))
    fit = fit_additive(design)
    statements = compared(
        claim,
        fit,
        cells,
        at=at,
        practical_difference=practical_difference,
        alpha=alpha,
        higher_is_better=higher_is_better,
    )
    if isinstance(claim, ComparisonClaim):
        return Evidence(statements)
    means = [float(fit.values[fit.cells.index(level)].mean()) for level in cells]
    return Evidence(statements, _reversals(claim, fit, cells, alpha), describe_steps(cells, means))


def compared(
    claim: ComparisonClaim | TrendClaim,
    fit: AdditiveFit,
    cells: Sequence[str],
    *,
    at: str | None,
    practical_difference: float,
    alpha: float,
    higher_is_better: bool,
) -> tuple[Statement, ...]:
    """Take a claim about several cells apart into differences between them; see :func:`gather`."""
    better: RelationName = "more" if higher_is_better else "less"
    if isinstance(claim, TrendClaim):
        return _trend(claim, fit, cells, at, better, practical_difference, alpha)
    relation = _oriented(claim.relation, better)
    return tuple(
        _difference(fit, cells[0], other, relation, practical_difference, alpha) for other in cells[1:]
    )


def _value(claim: ValueClaim, design: BlockDesign, cell: str, practical_difference: float) -> Statement:
    names: dict[str, RelationName] = {"equal": "near", "at least": "at least", "at most": "at most"}
    tolerance = claim.tolerance
    if tolerance is None:
        tolerance = practical_difference if claim.relation == "equal" else 0.0
    mean = cell_mean(design, cell)
    return Statement(
        f"{cell} averages",
        names[claim.relation],
        shifted(mean, -claim.value),
        tolerance,
        claim.value,
        doubts=spread_doubts(mean),
    )


def _oriented(relation: str, better: RelationName) -> RelationName:
    worse: RelationName = "less" if better == "more" else "more"
    table: dict[str, RelationName] = {
        "better": better,
        "best": better,
        "worse": worse,
        "higher": "more",
        "lower": "less",
        "equal": "same",
    }
    return table[relation]


def _difference(
    fit: AdditiveFit, cell: str, against: str, relation: RelationName, margin: float, alpha: float
) -> Statement:
    weights = difference(cell, against)
    text = f"{cell} against {against} differs by"
    return Statement(
        text, relation, contrast(fit, weights), margin, doubts=contrast_doubts(fit, weights, alpha)
    )


def _trend(
    claim: TrendClaim,
    fit: AdditiveFit,
    levels: Sequence[str],
    at: str | None,
    better: RelationName,
    margin: float,
    alpha: float,
) -> tuple[Statement, ...]:
    if claim.relation in ("rises", "falls"):
        weights = trend_weights(levels)
        text = f"From {levels[0]} to {levels[-1]} the fitted line goes by"
        relation: RelationName = "more" if claim.relation == "rises" else "less"
        doubts = contrast_doubts(fit, weights, alpha)
        return (Statement(text, relation, contrast(fit, weights), margin, doubts=doubts),)
    if claim.relation in ("rises steadily", "falls steadily"):
        relation = "more" if claim.relation == "rises steadily" else "less"
        # A step may be as small as it likes, so long as it is one: no margin.
        return tuple(
            _difference(fit, later, earlier, relation, 0.0, alpha)
            for earlier, later in itertools.pairwise(levels)
        )
    if claim.relation == "flat":
        pairs = itertools.combinations(levels, 2)
        return tuple(_difference(fit, later, earlier, "same", margin, alpha) for earlier, later in pairs)
    if at is None or at not in levels[1:-1]:
        raise RecipeError(f"a peak must be at one of the inner levels {list(levels[1:-1])}; got {at!r}")
    return tuple(_difference(fit, at, end, better, margin, alpha) for end in (levels[0], levels[-1]))


def _reversals(claim: TrendClaim, fit: AdditiveFit, levels: Sequence[str], alpha: float) -> tuple[str, ...]:
    """Doubts about a linear trend some of whose steps go significantly the other way."""
    against = {"rises": p_below, "falls": p_above}.get(claim.relation)
    if against is None:
        return ()
    return tuple(
        f"from {earlier} to {later} the mean goes significantly the other way"
        for earlier, later in itertools.pairwise(levels)
        if against(contrast(fit, difference(later, earlier)), 0.0) < alpha / (len(levels) - 1)
    )
