"""Gradient checks as a drawing: relative errors by layer on a logarithmic scale, with what may be at most."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from foolscope.reports.figures.canvas import (
    WIDTH,
    Numbers,
    add_legend,
    drawing,
    finite,
    label,
    line_style,
)
from foolscope.reports.theme import light

if TYPE_CHECKING:
    from matplotlib.artist import Artist

__all__ = ["gradient_errors"]

_ENDS = (1e-16, 1e-4)  # of the axis, which grows where an error is larger
_NONE = 3e-17  # where errors of zero, and smaller ones, are drawn


def gradient_errors(
    layers: Sequence[str],
    errors: Mapping[str, Numbers],
    goals: Mapping[str, float],
    *,
    width: float = WIDTH,
) -> str:
    """Draw relative errors in one row per layer, and a line where each comparison's goal is.

    Args:
        layers: names, from top to bottom.
        errors: comparison -> one error per layer, not negative; a gap where there is none.
        goals: comparison -> the largest error that passes.
        width: in CSS pixels.

    Returns:
        An ``<svg>`` element that follows the page's theme.

    Raises:
        ValueError: layers and errors differ in number.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if any(len(values) != len(layers) for values in errors.values()):
        raise ValueError(f"each comparison needs one error for each of the {len(layers)} layers")
    handles: list[Artist] = []
    largest = _ENDS[1]
    with drawing(width, 25 * len(layers) + 112) as sheet:
        axes = sheet.figure.subplots()
        for position, (name, values) in enumerate(errors.items()):
            style = line_style(position)
            drawn = np.maximum(finite(values), _NONE)
            largest = max([largest, *drawn[np.isfinite(drawn)]])
            look: dict[str, Any] = {"color": style.color, "marker": style.marker, "markersize": 6.5}
            handles += axes.plot(drawn, range(len(layers)), linestyle="none", clip_on=False, **look)
            goal = goals[name]
            axes.axvline(goal, color=style.color, linewidth=1.2, linestyle=(0, (5, 2)), zorder=1)
            axes.annotate(
                "goal",
                (goal, 1),
                xycoords=("data", "axes fraction"),
                xytext=(4, -2),
                textcoords="offset points",
                va="top",
                color=light("muted"),
                fontsize=11,
            )
        axes.set_xscale("log")
        axes.set_xlim(_NONE / 1.6, 3 * largest)
        axes.set_yticks(range(len(layers)), [label(name) for name in layers])
        axes.set_ylim(len(layers) - 0.4, -0.95)
        axes.grid(visible=False, axis="y")
        axes.grid(visible=True, axis="x")
        axes.spines["bottom"].set_visible(False)
        axes.tick_params(axis="x", length=0)
        axes.xaxis.set_major_locator(LogLocator(numticks=9))
        axes.xaxis.set_major_formatter(
            FuncFormatter(lambda value, _: f"{value:.0e}".replace("-", "\N{MINUS SIGN}"))
        )
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_minor_locator(LogLocator(subs=()))
        axes.set_xlabel("relative error of the gradient")
        add_legend(sheet, handles, list(errors))
    return sheet.svg
