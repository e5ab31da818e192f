"""Conjunctions of statements: upheld if all are, contradicted if any is; adjusted for their number."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from foolscope.statistics.estimate import holm, holm_levels
from foolscope.statistics.relations import Statement

__all__ = ["Decision", "DecisionOutcome", "conjunction_p_values", "decide"]

DecisionOutcome = Literal["upheld", "smaller than matters", "contradicted", "undecided"]


@dataclass(frozen=True)
class Decision:
    """What the tests say of a conjunction.

    Args:
        outcome: the decision.
        p_upheld: of "not every statement holds", adjusted by Holm over the family.
        p_contradicted: of "every statement holds", adjusted by Holm over the family.
        seeds_needed: about how many more would decide; 0 if decided, None if over 1000 or unknown.
        decisive: position of the statement on which the outcome rests; None if there are no statements.
    """

    outcome: DecisionOutcome
    p_upheld: float
    p_contradicted: float
    seeds_needed: int | None
    decisive: int | None


def conjunction_p_values(statements: Sequence[Statement]) -> tuple[float, float]:
    """P values of "not every statement holds" and of "every statement holds"; both 1 without statements.

    The first is the largest p value of the statements (an intersection-union test, which needs no
    adjustment); the second is the smallest, multiplied with their number (Bonferroni).

    References:
        Berger (1982), "Multiparameter hypothesis testing and acceptance sampling", Technometrics 24, 295-300.
    """
    upheld = max((statement.p_upheld for statement in statements), default=1.0)
    contradicted = min((statement.p_contradicted for statement in statements), default=1.0)
    return upheld, min(1.0, max(1, len(statements)) * contradicted)


def decide(family: Sequence[Sequence[Statement]], alpha: float = 0.05) -> tuple[Decision, ...]:
    """Decide a family of conjunctions, such as all claims of one study.

    Holm adjusts the p values of upholding as one family and those of contradicting as another: at most a
    fraction α of families upholds any conjunction wrongly, and at most a fraction α contradicts any wrongly.
    Where both tests succeed, a difference is real but smaller than its margin: "smaller than matters". A
    conjunction without statements stays undecided, and counts.
    """
    p_values = np.array([conjunction_p_values(statements) for statements in family]).reshape(-1, 2).T
    adjusted = (holm(p_values[0]).tolist(), holm(p_values[1]).tolist())
    levels = (holm_levels(p_values[0], alpha).tolist(), holm_levels(p_values[1], alpha).tolist())
    return tuple(
        _decision(statements, alpha, *numbers)
        for statements, *numbers in zip(family, *adjusted, *levels, strict=True)
    )


def _decision(
    statements: Sequence[Statement],
    alpha: float,
    p_upheld: float,
    p_contradicted: float,
    level_upheld: float,
    level_contradicted: float,
) -> Decision:
    if not statements:
        return Decision("undecided", 1.0, 1.0, None, None)
    positions = range(len(statements))
    weakest = max(positions, key=lambda position: statements[position].p_upheld)
    if p_contradicted < alpha and p_upheld < alpha:
        return Decision("smaller than matters", p_upheld, p_contradicted, 0, weakest)
    if p_contradicted < alpha:
        refuted = min(positions, key=lambda position: statements[position].p_contradicted)
        return Decision("contradicted", p_upheld, p_contradicted, 0, refuted)
    if p_upheld < alpha:
        return Decision("upheld", p_upheld, p_contradicted, 0, weakest)
    needed = _seeds_needed(statements, level_upheld, level_contradicted)
    return Decision("undecided", p_upheld, p_contradicted, needed, weakest)


def _seeds_needed(
    statements: Sequence[Statement], level_upheld: float, level_contradicted: float
) -> int | None:
    """Seeds until all statements are upheld or one is contradicted, whichever takes fewer."""
    uphold = [statement.seeds_to_uphold(level_upheld) for statement in statements]
    level = level_contradicted / len(statements)
    contradict = [statement.seeds_to_contradict(level) for statement in statements]
    options = [needed for needed in contradict if needed is not None]
    if None not in uphold:
        options.append(max(needed for needed in uphold if needed is not None))
    return min(options, default=None)
