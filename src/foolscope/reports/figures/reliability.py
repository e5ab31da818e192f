"""Reliability: how often a model is right against how sure it is, above how many images are so sure."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from foolscope.reports.figures.canvas import NICE_STEPS, Numbers, add_legend, drawing, finite, label
from foolscope.reports.theme import light

__all__ = ["ReliabilityBin", "reliability"]


class ReliabilityBin(NamedTuple):
    """The images of one bin of confidence.

    Args:
        low: lower end of the bin.
        high: its upper end.
        images: how many there are.
        confidence: their mean confidence; None for an empty bin, as what follows.
        accuracy: the share of them that is classified right.
        accuracy_low: lower end of its interval.
        accuracy_high: upper end.
    """

    low: float
    high: float
    images: int
    confidence: float | None
    accuracy: float | None
    accuracy_low: float | None
    accuracy_high: float | None


def reliability(bins: Sequence[ReliabilityBin], *, width: float = 560, height: float = 470) -> str:
    """Draw accuracy against confidence with intervals, the diagonal, and the share of images in each bin.

    Args:
        bins: from confidence 0 to 1.
        width: in CSS pixels.
        height: in CSS pixels.

    Returns:
        An ``<svg>`` element that follows the page's theme.

    Raises:
        ValueError: there is no image.
    """
    total = sum(each.images for each in bins)
    if not total:
        raise ValueError("reliability needs at least one image; got none")
    known = [each for each in bins if each.images]
    confidences, accuracies = (_percent([each[place] for each in known]) for place in (3, 4))
    lows, highs = (_percent([each[place] for each in known]) for place in (5, 6))
    edges = _percent([*(each.low for each in bins), bins[-1].high])
    with drawing(width, height) as sheet:
        above, below = sheet.figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        (diagonal,) = above.plot(
            [0, 100], [0, 100], color=light("muted"), linestyle=(0, (4, 3)), linewidth=1.2
        )
        above.vlines(confidences, lows, highs, color=light("series-1"), linewidth=1.6, alpha=0.55)
        (points,) = above.plot(confidences, accuracies, "o", color=light("series-1"), markersize=6)
        above.set_ylim(0, 103)
        above.set_title(label("Classified right, %"))
        shares = finite([100 * each.images / total for each in bins])
        below.stairs(shares, edges, fill=True, color=light("series-7"), alpha=0.45, linewidth=0)
        below.set_title(label("Images, %"))
        below.set_ylim(0, 1.06 * float(shares.max()))
        below.set_xlabel(label("confidence: probability of the predicted class, %"))
        for axes in (above, below):
            axes.set_xlim(-1.5, 101.5)
            axes.locator_params(axis="x", nbins=6, steps=NICE_STEPS)
        above.locator_params(axis="y", nbins=6, steps=NICE_STEPS)
        below.locator_params(axis="y", nbins=3, steps=NICE_STEPS)
        add_legend(
            sheet, [points, diagonal], ["accuracy in a bin, with 95 % interval", "as often as it says"]
        )
    return sheet.svg


def _percent(values: Numbers) -> np.ndarray:
    return 100 * finite(values)
