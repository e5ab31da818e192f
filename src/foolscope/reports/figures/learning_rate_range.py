"""The learning-rate range test: loss against learning rate, with diverged runs and the suggested range."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from foolscope.inspection.checks.learning_rate_range import LearningRateRange
from foolscope.reports.figures.canvas import (
    NICE_STEPS,
    WIDTH,
    add_legend,
    drawing,
    finite,
    label,
    line_style,
)
from foolscope.reports.theme import light

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

__all__ = ["learning_rate_range"]

_HEADROOM = 0.35  # of the greatest fall, above the initial loss: losses higher still are drawn at the top


def learning_rate_range(test: LearningRateRange, *, width: float = WIDTH, height: float = 340) -> str:
    """Draw the loss that training reaches at each learning rate; crosses at the top are off the scale.

    Args:
        test: its losses, sweep, suggested range and own rate are drawn.
        width: in CSS pixels.
        height: in CSS pixels.

    Returns:
        An ``<svg>`` element that follows the page's theme.
    """
    x, y, initial_loss = finite(test.rates), finite(test.losses), test.initial_loss
    lowest = min([initial_loss, *y[np.isfinite(y)]])
    fall = (initial_loss - lowest) or abs(initial_loss) or 1.0
    top = initial_loss + _HEADROOM * fall
    with drawing(width, height) as sheet:
        axes = sheet.figure.subplots()
        handles: dict[str, Artist] = {
            "one run per rate": _draw(axes, x, y, top, 0),
            "one run, growing rate": _draw(axes, x, finite(test.sweep), top, 1),
        }
        gone = x[~(y <= top)]
        if gone.size:
            (handles["diverged or higher"],) = axes.plot(
                gone, np.full(gone.size, top), linestyle="none", marker="x", markersize=7, color=light("bad")
            )
        if test.suggestion is not None:
            handles["suggested range"] = axes.axvspan(
                *test.suggestion, color=light("series-3"), alpha=0.16, linewidth=0, zorder=0
            )
        handles["this recipe"] = axes.axvline(test.own_rate, color=light("ink"), linewidth=1.2, zorder=1)
        axes.axhline(initial_loss, color=light("muted"), linewidth=1, linestyle=(0, (2, 2)), zorder=0)
        axes.annotate(
            "initial loss",
            (0, initial_loss),
            xycoords=("axes fraction", "data"),
            xytext=(4, 8),
            textcoords="offset points",
            color=light("muted"),
            fontsize=11,
        )
        _format(axes, x, lowest - 0.1 * fall, top)
        axes.set_title(label(f"Training loss after {test.steps} steps"))
        add_legend(sheet, list(handles.values()), list(handles))
    return sheet.svg


def _draw(
    axes: "Axes", x: NDArray[np.float64], y: NDArray[np.float64], top: float, position: int
) -> "Artist":
    style = line_style(position)
    (line,) = axes.plot(
        x,
        np.where(y <= top, y, np.nan),
        color=style.color,
        linestyle=style.dash,
        marker=style.marker if position == 0 else "",
        zorder=3 - position,
    )
    return line


def _format(axes: "Axes", x: NDArray[np.float64], bottom: float, top: float) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    axes.set_xscale("log")
    axes.set_xlim(x[0] / 1.3, x[-1] * 1.3)
    axes.set_ylim(bottom, top + 0.04 * (top - bottom))
    axes.set_xlabel("learning rate")
    axes.xaxis.set_major_locator(LogLocator(numticks=12))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, min_n_ticks=3, steps=NICE_STEPS))
