"""The learning-rate range test: loss against learning rate, with diverged runs and the suggested range."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from foolscope.inspection.checks.learning_rate_range import LearningRateRange
from foolscope.reports.figures import canvas
from foolscope.reports.theme import light

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

__all__ = ["learning_rate_range"]

_HEADROOM = 0.35  # of the greatest fall, above the initial loss: losses higher still are drawn at the top


def learning_rate_range(test: LearningRateRange) -> str:
    """Draw the loss that training reaches at each learning rate; crosses at the top are off the scale.

    Args:
        test: its losses, sweep, suggested range and own rate are drawn.
    """
    x, y, initial_loss = canvas.finite(test.rates), canvas.finite(test.losses), test.initial_loss
    lowest = min([initial_loss, *y[np.isfinite(y)]])
    fall = (initial_loss - lowest) or abs(initial_loss) or 1.0
    top = initial_loss + _HEADROOM * fall
    with canvas.drawing(canvas.WIDTH, 340) as sheet:
        axes = sheet.figure.subplots()
        handles: dict[str, Artist] = {
            "one run per rate": _draw(axes, x, y, top, 0),
            "one run, growing rate": _draw(axes, x, canvas.finite(test.sweep), top, 1),
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
        canvas.draw_level(axes, "initial loss", initial_loss, (4, 8))
        _format(axes, x, lowest - 0.1 * fall, top)
        axes.set_title(canvas.label(f"Training loss after {test.steps} steps"))
        canvas.add_legend(sheet, list(handles.values()), list(handles))
    return sheet.svg


def _draw(
    axes: "Axes", x: NDArray[np.float64], y: NDArray[np.float64], top: float, position: int
) -> "Artist":
    style = canvas.line_style(position)
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
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, min_n_ticks=3, steps=canvas.NICE_STEPS))
