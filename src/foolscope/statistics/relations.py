"""The elementary statements that claims are made of, and the tests that uphold or contradict one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from foolscope.experiments.wording.sentences import Scale, amount, number, p_text, percent
from foolscope.statistics.estimate import (
    Estimate,
    half_width,
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
    """What a statement says of its estimate, as a pair of tests that exclude each other's error.

    Args:
        upheld: from (estimate, margin) to the p value of the statement being false.
        contradicted: from (estimate, margin) to the p value of the statement being true.
        power_upheld: from (truth, margin, level) to how often it would be upheld.
        power_contradicted: likewise.
        says: the statement in words, with ``{margin}``, ``{reference}``, ``{low}`` and ``{high}`` to fill in.
        denies: its contradiction in words.
    """

    upheld: Callable[[Estimate, float], float]
    contradicted: Callable[[Estimate, float], float]
    power_upheld: Callable[[Estimate, float, float], float]
    power_contradicted: Callable[[Estimate, float, float], float]
    says: str
    denies: str


def _mirrored(relation: Relation, says: str, denies: str) -> Relation:
    """The same relation about the estimate with its sign reversed."""
    return Relation(
        lambda estimate, margin: relation.upheld(negated(estimate), margin),
        lambda estimate, margin: relation.contradicted(negated(estimate), margin),
        lambda truth, margin, level: relation.power_upheld(negated(truth), margin, level),
        lambda truth, margin, level: relation.power_contradicted(negated(truth), margin, level),
        says,
        denies,
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
    says="higher",
    denies="less than {margin} higher",
)
_SAME = Relation(
    p_equivalent,
    p_outside,
    power_equivalent,
    power_outside,
    "less than {margin} apart",
    "more than {margin} apart",
)
_AT_LEAST = Relation(
    upheld=_p_at_least,
    contradicted=lambda estimate, margin: p_below(estimate, -margin),
    power_upheld=lambda truth, margin, level: power_above(truth, -margin, level),
    power_contradicted=lambda truth, margin, level: power_above(negated(truth), margin, level),
    says="at least {low}",
    denies="less than {low}",
)

RELATIONS: dict[RelationName, Relation] = {
    "more": _MORE,
    "less": _mirrored(_MORE, "lower", "less than {margin} lower"),
    "same": _SAME,
    "near": _SAME._replace(
        says="within {margin} of {reference}", denies="more than {margin} from {reference}"
    ),
    "at least": _AT_LEAST,
    "at most": _mirrored(_AT_LEAST, "at most {high}", "more than {high}"),
}


@dataclass(frozen=True)
class Statement:
    """One estimate and what is said of it.

    ``more`` and ``less`` are upheld by the two-sided t test in that direction and contradicted where the
    difference is shown to be smaller than the margin: significantly opposite and practically equal
    differences both are. ``same`` and ``near`` are upheld by two one-sided tests and contradicted where the
    interval lies wholly outside the margin. ``at least`` and ``at most`` are one-sided t tests either way.

    Args:
        text: what the estimate is of, up to its number: "l1 against none differs by".
        relation: one of :data:`RELATIONS`.
        estimate: of a difference, or of a mean minus the reference.
        margin: δ or a tolerance.
        reference: the claimed value; 0 for a difference.
        doubts: why the estimate should be read with care.
        scale: how this estimate is written, where it is not as the claim's metric is.
        exact: whether every seed gives the very same number, by its nature; it is then decided as it stands.
    """

    text: str
    relation: RelationName
    estimate: Estimate
    margin: float
    reference: float = 0.0
    doubts: tuple[str, ...] = ()
    scale: Scale | None = None
    exact: bool = False

    @property
    def p_upheld(self) -> float:
        """Small means the statement holds."""
        return RELATIONS[self.relation].upheld(self.estimate, self.margin)

    @property
    def p_contradicted(self) -> float:
        """Small means the statement does not hold."""
        return RELATIONS[self.relation].contradicted(self.estimate, self.margin)

    def seeds_to_uphold(self, alpha: float) -> int | None:
        """How many seeds more would uphold it, were the estimate true; None if over 1000 or never."""
        power = RELATIONS[self.relation].power_upheld
        return more_seeds(self.estimate, lambda truth: power(truth, self.margin, alpha))

    def seeds_to_contradict(self, alpha: float) -> int | None:
        """How many seeds more would contradict it, were the estimate true; None if over 1000 or never."""
        power = RELATIONS[self.relation].power_contradicted
        return more_seeds(self.estimate, lambda truth: power(truth, self.margin, alpha))

    def _phrase(self, *, contradicting: bool) -> str:
        if contradicting and self.margin == 0 and self.relation in ("more", "less"):
            return RELATIONS["less" if self.relation == "more" else "more"].says
        relation = RELATIONS[self.relation]
        return relation.denies if contradicting else relation.says

    def evidence(self, scale: Scale, alpha: float, *, contradicting: bool) -> str:
        """The estimate, its interval and the p value in words, without a full stop."""
        scale = self.scale or scale
        half = half_width(self.estimate, 1 - alpha)
        is_level = self.relation in ("near", "at least", "at most")
        unit = scale.level_unit if is_level else scale.unit

        def write(value: float) -> str:
            return number(value, scale, half)

        middle = self.estimate.value + self.reference
        said = f"{self.text} {write(middle)}{unit}"
        if self.estimate.seeds < 2:
            return f"{said} in one seed"
        phrase = self._phrase(contradicting=contradicting).format(
            margin=amount(self.margin, scale),
            reference=_written_exactly(self.reference, scale),
            low=_written_exactly(self.reference - self.margin, scale),
            high=_written_exactly(self.reference + self.margin, scale),
        )
        if self.exact:
            return f"{self.text} {_written_exactly(middle, scale)} with every seed, {phrase}"
        p = p_text(self.p_contradicted if contradicting else self.p_upheld)
        ends = f"{percent(1 - alpha)} interval {write(middle - half)} to {write(middle + half)}"
        return f"{said} ({ends}, {p} for {phrase})"


def _written_exactly(value: float, scale: Scale) -> str:
    return f"{value * scale.factor:.6g}{scale.level_unit}".replace("-", "−")
