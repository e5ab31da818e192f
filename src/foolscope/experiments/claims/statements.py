"""What a claim says of its cells, split into elementary statements that a test upholds or contradicts."""

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from foolscope.core.errors import RecipeError
from foolscope.experiments.claims.claim import ComparisonClaim, TrendClaim, ValueClaim
from foolscope.experiments.wording.doubts import doubt_words
from foolscope.experiments.wording.quantities import Quantity, change_of, difference_between, mean_of
from foolscope.experiments.wording.statements import describe_steps
from foolscope.statistics.blocks import (
    AdditiveFit,
    BlockDesign,
    cell_mean,
    contrast,
    difference,
    fit_additive,
    trend_weights,
)
from foolscope.statistics.doubts import Doubt, estimate_doubts
from foolscope.statistics.estimate import Estimate, p_above, p_below, shifted
from foolscope.statistics.relations import RelationName, Statement
from foolscope.statistics.spread import robust_contrast

__all__ = ["VALUE_RELATIONS", "ClaimStatement", "Evidence", "claim_evidence", "comparison_statements"]

VALUE_RELATIONS: dict[str, RelationName] = {"equal": "near", "at least": "at least", "at most": "at most"}
"""From the relation of a value claim to that of its statement."""


class ClaimStatement(NamedTuple):
    """One elementary statement of a claim, and the words for it.

    Args:
        statement: what is tested.
        quantity: what its estimate is of.
        doubts: why the estimate should be read with care.
    """

    statement: Statement
    quantity: Quantity
    doubts: tuple[Doubt, ...] = ()


class Evidence(NamedTuple):
    """What the decision about a claim rests on.

    Args:
        statements: all of them must hold.
        doubts: in words, beyond those of the statements.
        note: a further remark, such as how the means go over the levels.
    """

    statements: tuple[ClaimStatement, ...]
    doubts: tuple[str, ...] = ()
    note: str = ""

    @property
    def all_doubts(self) -> tuple[str, ...]:
        """The doubts about the claim and about its statements, each once."""
        said = doubt_words(doubt for each in self.statements for doubt in each.doubts)
        return tuple(dict.fromkeys([*self.doubts, *said]))


def claim_evidence(
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

    The arguments are those of :func:`foolscope.experiments.claims.judgement.judge_claim`; none of the cells
    diverged.

    Raises:
        RecipeError: ``at`` is not an inner level.
    """
    if isinstance(claim, ValueClaim):
        return Evidence((_value(claim, design, cells[0], practical_difference),))
    fit = fit_additive(design)
    statements = comparison_statements(
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


def comparison_statements(
    claim: ComparisonClaim | TrendClaim,
    fit: AdditiveFit,
    cells: Sequence[str],
    *,
    at: str | None,
    practical_difference: float,
    alpha: float,
    higher_is_better: bool,
) -> tuple[ClaimStatement, ...]:
    """Split a claim about several cells into differences between them; see :func:`claim_evidence`."""
    better: RelationName = "more" if higher_is_better else "less"
    if isinstance(claim, TrendClaim):
        return _trend(claim, fit, cells, at, better, practical_difference)
    relation = _oriented(claim.relation, better)
    return tuple(_difference(fit, cells[0], other, relation, practical_difference) for other in cells[1:])


def _value(claim: ValueClaim, design: BlockDesign, cell: str, practical_difference: float) -> ClaimStatement:
    tolerance = claim.tolerance
    if tolerance is None:
        tolerance = practical_difference if claim.relation == "equal" else 0.0
    mean = cell_mean(design, cell)
    statement = Statement(
        VALUE_RELATIONS[claim.relation], shifted(mean, -claim.value), tolerance, claim.value
    )
    return ClaimStatement(statement, mean_of(f"{cell} averages"), estimate_doubts(mean))


def _oriented(relation: str, better: RelationName) -> RelationName:
    worse: RelationName = "less" if better == "more" else "more"
    table: dict[str, RelationName] = {
        "better": better,
        "best": better,
        "worse": worse,
        "higher": "more",
        "lower": "less",
        "equal": "same",
        "no better": "at most" if better == "more" else "at least",
        "no worse": "at least" if better == "more" else "at most",
    }
    return table[relation]


def _difference(
    fit: AdditiveFit, cell: str, against: str, relation: RelationName, margin: float
) -> ClaimStatement:
    estimate = _estimate(fit, difference(cell, against))
    statement = Statement(relation, estimate, margin)
    return ClaimStatement(statement, difference_between(cell, against), estimate_doubts(estimate))


def _estimate(fit: AdditiveFit, weights: Mapping[str, float]) -> Estimate:
    """Estimate a contrast; of single runs, published as they are, with the spread that is given for them."""
    return contrast(fit, weights) if fit.seeds == 1 else robust_contrast(fit, weights)


def _trend(
    claim: TrendClaim,
    fit: AdditiveFit,
    levels: Sequence[str],
    at: str | None,
    better: RelationName,
    margin: float,
) -> tuple[ClaimStatement, ...]:
    if claim.relation in ("rises", "falls"):
        weights = trend_weights(levels)
        relation: RelationName = "more" if claim.relation == "rises" else "less"
        estimate = _estimate(fit, weights)
        statement = Statement(relation, estimate, margin)
        trend = change_of("the fitted trend", f"from {levels[0]} to {levels[-1]}", noun="trend")
        return (ClaimStatement(statement, trend, estimate_doubts(estimate)),)
    if claim.relation in ("rises steadily", "falls steadily"):
        relation = "more" if claim.relation == "rises steadily" else "less"
        # Any step in the right direction counts, however small: no margin.
        return tuple(
            _difference(fit, later, earlier, relation, 0.0) for earlier, later in itertools.pairwise(levels)
        )
    if claim.relation == "flat":
        pairs = itertools.combinations(levels, 2)
        return tuple(_difference(fit, later, earlier, "same", margin) for earlier, later in pairs)
    if at is None or at not in levels[1:-1]:
        raise RecipeError(f"a peak must be at one of the inner levels {list(levels[1:-1])}; got {at!r}")
    place = list(levels).index(at)
    return tuple(
        _difference(fit, at, neighbour, better, margin)
        for neighbour in (levels[place - 1], levels[place + 1])
    )


def _reversals(claim: TrendClaim, fit: AdditiveFit, levels: Sequence[str], alpha: float) -> tuple[str, ...]:
    """Doubt a linear trend if one of its steps goes significantly the other way."""
    against = {"rises": p_below, "falls": p_above}.get(claim.relation)
    if against is None:
        return ()
    return tuple(
        f"from {earlier} to {later} the mean goes significantly the other way"
        for earlier, later in itertools.pairwise(levels)
        if against(_estimate(fit, difference(later, earlier)), 0.0) < alpha / (len(levels) - 1)
    )
