"""Statements and decisions about claims as sentences."""

import itertools
from collections.abc import Sequence

from foolscope.experiments.wording.quantities import Quantity, estimate_words, interval_words
from foolscope.experiments.wording.sentences import Scale, amount, exactly, p_text
from foolscope.statistics.estimate import half_width
from foolscope.statistics.relations import RelationName, Statement

__all__ = ["describe_steps", "statement_sentence"]

_PHRASES: dict[RelationName, tuple[str, str]] = {
    "more": ("higher", "less than {margin} higher"),
    "less": ("lower", "less than {margin} lower"),
    "same": ("a difference below {margin}", "a difference above {margin}"),
    "near": ("within {margin} of {reference}", "more than {margin} from {reference}"),
    "at least": ("at least {low}", "below {low}"),
    "at most": ("at most {high}", "above {high}"),
}
_DIFFERENCES: dict[RelationName, tuple[str, str]] = {
    "at least": ("less than {margin} lower", "more than {margin} lower"),
    "at most": ("less than {margin} higher", "more than {margin} higher"),
}
_CHANGES: dict[RelationName, tuple[str, str]] = {
    "more": ("a rise", "a rise below {margin}"),
    "less": ("a fall", "a fall below {margin}"),
}


def statement_sentence(
    statement: Statement, quantity: Quantity, scale: Scale, alpha: float, *, contradicting: bool
) -> str:
    """Say an estimate, its interval and the p value of a statement about it, without a full stop.

    Args:
        statement: what is stated.
        quantity: what its estimate is of.
        scale: how the estimate is written, unless the quantity has a scale of its own.
        alpha: the interval has confidence ``1 - alpha``.
        contradicting: give the p value of the test that contradicts, not of the one that upholds.

    Example:
        >>> from foolscope.experiments.wording.quantities import difference_between
        >>> from foolscope.experiments.wording.sentences import POINTS
        >>> from foolscope.statistics.estimate import Estimate
        >>> statement = Statement("more", Estimate(0.03, 0.00468, 4, 5), margin=0.01)
        >>> quantity = difference_between("a", "b")
        >>> statement_sentence(statement, quantity, POINTS, 0.05, contradicting=False)
        'a is 3.0 points above b (95 % interval 1.7 to 4.3; test for higher: p = 0.003)'
    """
    scale = quantity.scale or scale
    value, half = statement.estimate.value + statement.reference, half_width(statement.estimate, 1 - alpha)
    said = estimate_words(quantity, value, half, scale)
    if statement.estimate.seeds < 2:
        return f"{said} in one seed"
    phrase = _phrase(statement, quantity, contradicting).format(
        margin=amount(statement.margin, scale),
        reference=exactly(statement.reference, scale),
        low=exactly(statement.reference - statement.margin, scale),
        high=exactly(statement.reference + statement.margin, scale),
    )
    if quantity.exact:
        return f"{quantity.level.replace('{}', exactly(value, scale))} in every seed, {phrase}"
    p = p_text(statement.p_contradicted if contradicting else statement.p_upheld)
    return f"{said} ({interval_words(quantity, value, half, scale, 1 - alpha)}; test for {phrase}: {p})"


def _phrase(statement: Statement, quantity: Quantity, contradicting: bool) -> str:
    relation = statement.relation
    if contradicting and statement.margin == 0 and relation in ("more", "less"):
        relation, contradicting = "less" if relation == "more" else "more", False
    by_noun = {"": {}, "difference": _DIFFERENCES}
    phrases = _PHRASES | by_noun.get(quantity.noun, _CHANGES)
    return phrases[relation][contradicting]


def describe_steps(levels: Sequence[str], means: Sequence[float]) -> str:
    """Say how means go over ordered levels: alike at every step, or which steps go against the rest.

    Example:
        >>> describe_steps(("128", "256", "512"), (0.51, 0.50, 0.47))
        'the means fall at every step'
        >>> describe_steps(("128", "256", "512"), (0.51, 0.52, 0.47))
        'the means fall except from 128 to 256'
    """
    steps = [later - earlier for earlier, later in itertools.pairwise(means)]
    verb, sign = ("rise", 1) if means[-1] >= means[0] else ("fall", -1)
    against = [
        f"from {levels[index]} to {levels[index + 1]}" for index, step in enumerate(steps) if step * sign <= 0
    ]
    return f"the means {verb} " + (f"except {', '.join(against)}" if against else "at every step")
