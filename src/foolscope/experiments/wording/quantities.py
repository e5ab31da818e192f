"""Estimates in words: what was measured, how large it is, and its interval."""

from dataclasses import dataclass

from foolscope.experiments.wording.sentences import Scale, number, percent

__all__ = ["Quantity", "change_of", "difference_between", "estimate_words", "interval_words", "mean_of"]


@dataclass(frozen=True)
class Quantity:
    """What an estimate is of, in words; ``{}`` in a sentence stands for its size.

    Args:
        label: for a figure: "between mlp and softmax", "From the first epoch to the last the training loss".
        above: the sentence where the estimate is positive: "mlp is {} above softmax".
        below: the sentence where it is negative: "mlp is {} below softmax".
        level: the sentence where it is written as 0: "mlp is level with softmax".
        noun: "difference", "change" or "trend"; empty for a value, whose sign is written.
        scale: how the estimate is written, where it is not as the claim's metric is.
        exact: whether every seed gives the same number, by the nature of the quantity.
    """

    label: str
    above: str
    below: str
    level: str
    noun: str = ""
    scale: Scale | None = None
    exact: bool = False


def difference_between(cell: str, against: str) -> Quantity:
    """The difference of one cell to another.

    Example:
        >>> difference_between("mlp", "softmax").above
        'mlp is {} above softmax'
    """
    return Quantity(
        label=f"between {cell} and {against}",
        above=f"{cell} is {{}} above {against}",
        below=f"{cell} is {{}} below {against}",
        level=f"{cell} is level with {against}",
        noun="difference",
    )


def change_of(subject: str, span: str, *, noun: str = "change", scale: Scale | None = None) -> Quantity:
    """The change of something over a span.

    Example:
        >>> change_of("the fitted trend", "from 128 to 1024", noun="trend").below
        'From 128 to 1024 the fitted trend falls by {}'
    """
    begin = f"{span[:1].upper()}{span[1:]} {subject}"
    return Quantity(
        label=span if noun == "trend" else begin,
        above=f"{begin} rises by {{}}",
        below=f"{begin} falls by {{}}",
        level=f"{begin} stays level",
        noun=noun,
        scale=scale,
    )


def mean_of(words: str, *, exact: bool = False) -> Quantity:
    """A mean over seeds, as in "mlp averages {}" from ``mlp averages``."""
    sentence = f"{words} {{}}"
    return Quantity(words, sentence, sentence, sentence, exact=exact)


def estimate_words(quantity: Quantity, value: float, half_width: float, scale: Scale) -> str:
    """Say how large an estimate is.

    Args:
        quantity: what it is of.
        value: the estimate, in the metric's own unit.
        half_width: of its interval; it decides how many decimals are written.
        scale: how it is written.

    Example:
        >>> from foolscope.experiments.wording.sentences import POINTS
        >>> estimate_words(difference_between("mlp", "softmax"), -0.012, 0.004, POINTS)
        'mlp is 1.2 points below softmax'
    """
    if not quantity.noun:
        return quantity.level.replace("{}", number(value, scale, half_width) + scale.level_unit)
    size = number(abs(value), scale, half_width)
    if float(size.replace("−", "-")) == 0:
        return quantity.level
    sentence = quantity.above if value > 0 else quantity.below
    return sentence.replace("{}", size + scale.unit)


def interval_words(
    quantity: Quantity,
    value: float,
    half_width: float,
    scale: Scale,
    confidence: float,
    *,
    is_adjusted: bool = False,
) -> str:
    """Write an interval as sizes like the estimate's, or with signs where it holds both.

    ``is_adjusted`` says that it is wider than ``confidence`` asks of one interval alone.

    Example:
        >>> from foolscope.experiments.wording.sentences import POINTS
        >>> interval_words(difference_between("mlp", "softmax"), -0.012, 0.004, POINTS, 0.95)
        '95 % interval 0.8 to 1.6'
        >>> interval_words(difference_between("mlp", "softmax"), -0.012, 0.014, POINTS, 0.95)
        '95 % interval of the difference −2.6 to 0.2'
    """
    low, high, of = value - half_width, value + half_width, ""
    if quantity.noun and low < 0 < high:
        of = f" of the {quantity.noun}"
    elif quantity.noun and value < 0:
        low, high = -high, -low
    ends = " to ".join(number(end, scale, half_width) for end in (low, high))
    return f"{'adjusted ' * is_adjusted}{percent(confidence)} interval{of} {ends}"
