"""Numbers in words: scales of display, amounts, p values, and the seeds that a decision needs."""

import math
from dataclasses import dataclass, replace
from typing import Literal

from foolscope.statistics.power import MOST_SEEDS

__all__ = [
    "PLAIN",
    "POINTS",
    "SCALES",
    "Scale",
    "ScaleName",
    "amount",
    "capitalized",
    "exactly",
    "higher_is_better",
    "more_seeds_text",
    "number",
    "p_text",
    "percent",
    "scale_of",
]


@dataclass(frozen=True)
class Scale:
    """How a metric is written.

    Args:
        factor: what a value is multiplied with.
        unit: what follows a difference, with its space.
        level_unit: what follows the metric itself, with its space.
        decimals: the fewest that are written; more where the interval is narrower than they show.
        gain: words between a better value and the baseline; ``{}`` stands for the size.
        loss: words between a worse value and the baseline.
    """

    factor: float
    unit: str
    level_unit: str
    decimals: int
    gain: str
    loss: str


POINTS = Scale(100.0, " points", " %", 1, "gains {} over", "costs {} compared with")
PLAIN = Scale(1.0, "", "", 2, "is {} better than", "is {} worse than")

ScaleName = Literal["points", "error points", "plain"]
SCALES: dict[ScaleName, Scale] = {
    "points": POINTS,
    "error points": replace(POINTS, gain=PLAIN.gain, loss=PLAIN.loss),
    "plain": PLAIN,
}
"""Scales by name; a lower share of errors is not a loss of points."""

_FRACTIONS = ("accuracy", "success_rate", "probability", "recall", "precision", "f1", "auc", "corruption")
_HUGE = 1e5  # larger values are written with two digits and a power of ten


def scale_of(metric: str) -> Scale:
    """How to write a metric: in percentage points if it is a fraction, else as it is.

    Example:
        >>> scale_of("robust_accuracy:linf@8/255") is scale_of("success_rate:linf@8/255") is POINTS
        True
    """
    quantity = metric.partition(":")[0].partition("@")[0]
    is_fraction = quantity.endswith(_FRACTIONS)
    return POINTS if is_fraction else PLAIN


def higher_is_better(metric: str) -> bool:
    """Return whether a high value of what a training measures is good.

    Example:
        >>> higher_is_better("test_balanced_accuracy"), higher_is_better("validation_log_loss")
        (True, False)
    """
    return not metric.endswith(("loss", "brier", "cost"))


def number(value: float, scale: Scale, half_width: float = math.inf) -> str:
    """Write a value with a true minus sign and as many decimals as its uncertainty deserves.

    Args:
        value: in the metric's own unit.
        scale: how to write it.
        half_width: of its interval; decimals are added until it shows.

    Example:
        >>> number(-0.0437, POINTS), number(0.00012, POINTS, 0.0002), number(2.5e-14, PLAIN)
        ('−4.4', '0.01', '2.5e−14')
        >>> number(1785437.03, PLAIN, 7e5)
        '1.8e6'
    """
    scaled = value * scale.factor
    if abs(scaled) >= _HUGE:
        return f"{scaled:.2g}".replace("e+0", "e").replace("e+", "e").replace("-", "−")
    tiny = 0 < abs(scaled) < 10.0**-scale.decimals
    resolution = half_width * scale.factor
    if math.isfinite(resolution) and resolution > 0:
        decimals = max(scale.decimals, -math.floor(math.log10(resolution)))
    elif tiny and scale is not POINTS:
        return f"{scaled:.2g}".replace("-", "−")
    else:
        decimals = scale.decimals
    if decimals > 6:
        return f"{scaled:.2g}".replace("-", "−")
    text = f"{scaled:.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "−")


def amount(value: float, scale: Scale) -> str:
    """Write a difference that a person chose, such as δ, in full: ``0.5 points``."""
    written = f"{value * scale.factor:.6g}".replace("-", "−")
    return f"{written}{scale.unit.removesuffix('s') if written == '1' else scale.unit}"


def exactly(value: float, scale: Scale) -> str:
    """Write a value of the metric itself in full: ``51.25 %``."""
    return f"{value * scale.factor:.6g}{scale.level_unit}".replace("-", "−")


def percent(fraction: float) -> str:
    """Write a fraction as per cent: ``95 %``."""
    return f"{100 * fraction:g} %"


def _rounded(count: int) -> int:
    """Round a rough guide to two digits."""
    return int(float(f"{count:.2g}"))


def p_text(p: float, name: str = "p") -> str:
    """Write a p value: ``p = 0.012`` or ``p < 0.001``."""
    return f"{name} < 0.001" if p < 0.001 else f"{name} = {p:.2g}"


def capitalized(text: str) -> str:
    """The text with its first letter, and no other, in upper case."""
    return text[:1].upper() + text[1:]


def more_seeds_text(
    seeds_needed: int | None, seeds: int, images: int = 0, images_needed: int | None = None
) -> str:
    """Say what would decide: ``about 7 more seeds would decide``.

    Args:
        seeds_needed: how many more; None for none up to :data:`~foolscope.statistics.power.MOST_SEEDS`.
        seeds: how many there are.
        images: how many test images there are, where the verdict is about new ones; else 0.
        images_needed: how many in all would decide; None where no number would.
    """
    if seeds < 2:
        return "one seed has no error bar: run at least three"
    if images:
        plural = "" if seeds_needed == 1 else "s"
        more = "" if seeds_needed is None else f"about {seeds_needed} more seed{plural}"
        larger = "" if images_needed is None else f"a test set of about {_rounded(images_needed):,} images"
        if more and larger:
            return f"{more} would decide, or {larger}"
        if more or larger:
            other = "more seeds alone" if larger else "more images alone"
            return f"{larger or more} would decide; {other} would not"
        return "it would take more seeds and more images"
    if seeds_needed is None:
        return f"more than {MOST_SEEDS} more seeds would be needed"
    return f"about {seeds_needed} more {'seed' if seeds_needed == 1 else 'seeds'} would decide"
