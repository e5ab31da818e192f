"""Elementary statements about an estimate, and the tests that uphold or contradict one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from foolscope.statistics.estimate import (
    Estimate,
    negated,
    p_above,
    p_below,
    p_different,
    p_equivalent,
    p_outside,
    shifted,
)
from foolscope.statistics.power import (
    more_seeds,
    power_above,
    power_equivalent,
    power_outside,
)

__all__ = ["RELATIONS", "Relation", "RelationName", "Statement"]

RelationName = Literal["more", "less", "same", "near", "at least", "at most"]


class Relation(NamedTuple):
    """What a statement says of its estimate: a test that upholds it and one that contradicts it.

    Args:
        upheld: from (estimate, margin) to the p value of the statement being false.
        contradicted: from (estimate, margin) to the p value of the statement being true.
        power_upheld: from (truth, margin, level) to how often the statement would be upheld.
        power_contradicted: from (truth, margin, level) to how often it would be contradicted.
    """

    upheld: Callable[[Estimate, float], float]
    contradicted: Callable[[Estimate, float], float]
    power_upheld: Callable[[Estimate, float, float], float]
    power_contradicted: Callable[[Estimate, float, float], float]


def _mirrored(relation: Relation) -> Relation:
    """The same relation of the estimate with its sign reversed."""
    return Relation(
        lambda estimate, margin: relation.upheld(negated(estimate), margin),
        lambda estimate, margin: relation.contradicted(negated(estimate), margin),
        lambda truth, margin, level: relation.power_upheld(negated(truth), margin, level),
        lambda truth, margin, level: relation.power_contradicted(negated(truth), margin, level),
    )


def _p_positive(estimate: Estimate) -> float:
    """The two-sided p value where the estimate is positive: a direction is claimed by its ordinary t test."""
    return p_different(estimate) if estimate.value > 0 else 1.0


def _p_at_least(estimate: Estimate, margin: float) -> float:
    # Unlike "above", "at least" holds for seeds that all end exactly at the bound (100 % training accuracy).
    exactly = estimate.standard_error == 0 and shifted(estimate, margin).value == 0
    return 0.0 if exactly else p_above(estimate, -margin)


_MORE = Relation(
    upheld=lambda estimate, margin: _p_positive(estimate),
    contradicted=p_below,
    power_upheld=lambda truth, margin, level: power_above(truth, 0.0, level / 2),
    power_contradicted=lambda truth, margin, level: power_above(negated(truth), -margin, level),
)
_SAME = Relation(p_equivalent, p_outside, power_equivalent, power_outside)
_AT_LEAST = Relation(
    upheld=_p_at_least,
    contradicted=lambda estimate, margin: p_below(estimate, -margin),
    power_upheld=lambda truth, margin, level: power_above(truth, -margin, level),
    power_contradicted=lambda truth, margin, level: power_above(negated(truth), margin, level),
)

RELATIONS: dict[RelationName, Relation] = {
    "more": _MORE,
    "less": _mirrored(_MORE),
    "same": _SAME,
    "near": _SAME,
    "at least": _AT_LEAST,
    "at most": _mirrored(_AT_LEAST),
}


@dataclass(frozen=True)
class Statement:
    """What is stated of one estimate.

    ``more`` and ``less`` are upheld by the two-sided t test in that direction and contradicted where the
    difference is shown to be smaller than the margin: significantly opposite and practically equal
    differences both are. ``same`` and ``near`` are upheld by two one-sided tests and contradicted where the
    interval lies wholly outside the margin. ``at least`` and ``at most`` are one-sided t tests either way.

    Args:
        relation: one of :data:`RELATIONS`.
        estimate: of a difference, or of a mean minus the reference.
        margin: the smallest difference that matters, or a tolerance.
        reference: the stated value of a mean; 0 for a difference.

    Example:
        >>> gap = Estimate(0.03, standard_error=0.005, degrees_of_freedom=4, seeds=5)
        >>> statement = Statement("more", gap, margin=0.01)
        >>> round(statement.p_upheld, 4), round(statement.p_contradicted, 4)
        (0.0039, 0.9919)
    """

    relation: RelationName
    estimate: Estimate
    margin: float
    reference: float = 0.0

    @property
    def p_upheld(self) -> float:
        """Small where the estimate shows that the statement holds."""
        return RELATIONS[self.relation].upheld(self.estimate, self.margin)

    @property
    def p_contradicted(self) -> float:
        """Small where the estimate shows that the statement does not hold."""
        return RELATIONS[self.relation].contradicted(self.estimate, self.margin)

    def seeds_to_uphold(self, alpha: float) -> int | None:
        """How many more seeds would uphold it, if the estimate were true; None if over 1000 or never."""
        power = RELATIONS[self.relation].power_upheld
        return more_seeds(self.estimate, lambda truth: power(truth, self.margin, alpha))

    def seeds_to_contradict(self, alpha: float) -> int | None:
        """How many more seeds would contradict it, if the estimate were true; None if over 1000 or never."""
        power = RELATIONS[self.relation].power_contradicted
        return more_seeds(self.estimate, lambda truth: power(truth, self.margin, alpha))
