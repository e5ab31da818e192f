"""Reliability diagram: accuracy against confidence, above the distribution of the confidences."""

from collections.abc import Sequence

from foolscope.inspection.answers.calibration import CalibrationBin
from foolscope.reports.figures import canvas
from foolscope.reports.theme import light

__all__ = ["reliability"]


def reliability(bins: Sequence[CalibrationBin]) -> str:
    """Draw accuracy against confidence with intervals, the diagonal, and the share of images in each bin.

    Args:
        bins: from confidence 0 to 1.

    Raises:
        ValueError: there is no image.
    """
    total = sum(each.images for each in bins)
    if not total:
        raise ValueError("reliability needs at least one image; got none")
    known = [each for each in bins if each.images]
    confidences, accuracies, lows, highs = (
        100 * canvas.finite([getattr(each, name) for each in known])
        for name in ("confidence", "accuracy", "accuracy_low", "accuracy_high")
    )
    edges = 100 * canvas.finite([*(each.low for each in bins), bins[-1].high])
    with canvas.drawing(560, 470) as sheet:
        above, below = sheet.figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        (diagonal,) = above.plot(
            [0, 100], [0, 100], color=light("muted"), linestyle=(0, (4, 3)), linewidth=1.2
        )
        above.vlines(confidences, lows, highs, color=light("series-1"), linewidth=1.6, alpha=0.55)
        (points,) = above.plot(confidences, accuracies, "o", color=light("series-1"), markersize=6)
        above.set_ylim(0, 103)
        above.set_title(canvas.label("Accuracy, %"))
        shares = canvas.finite([100 * each.images / total for each in bins])
        below.stairs(shares, edges, fill=True, color=light("series-7"), alpha=0.45, linewidth=0)
        below.set_title(canvas.label("Images, %"))
        below.set_ylim(0, 1.06 * float(shares.max()))
        below.set_xlabel(canvas.label("confidence: probability of the predicted class, %"))
        for axes in (above, below):
            axes.set_xlim(-1.5, 101.5)
            axes.locator_params(axis="x", nbins=6, steps=canvas.NICE_STEPS)
        above.locator_params(axis="y", nbins=6, steps=canvas.NICE_STEPS)
        below.locator_params(axis="y", nbins=3, steps=canvas.NICE_STEPS)
        canvas.add_legend(
            sheet, [points, diagonal], ["accuracy in a bin, with 95 % interval", "perfect calibration"]
        )
    return sheet.svg
