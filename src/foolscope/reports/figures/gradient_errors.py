"""Gradient checks: relative errors by layer on a logarithmic scale, with the largest that passes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from foolscope.inspection.check import Check, TensorError
from foolscope.reports.figures.canvas import (
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

__all__ = ["gradient_errors"]

_ENDS = (1e-16, 1e-4)  # of the axis, which grows where an error is larger
_NONE = 3e-17  # where errors of zero, and smaller ones, are drawn


def gradient_errors(checks: Mapping[str, Check], *, width: float = WIDTH) -> str:
    """Draw the largest relative error of each layer, and a line at each check's goal.

    Args:
        checks: name in the legend -> gradient check, with its tensors.
        width: in CSS pixels.

    Returns:
        An ``<svg>`` element that follows the page's theme.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    layers = list(dict.fromkeys(_layer(each) for check in checks.values() for each in check.tensors))
    handles: list[Artist] = []
    largest = _ENDS[1]
    with drawing(width, 25 * len(layers) + 112) as sheet:
        axes = sheet.figure.subplots()
        for position, check in enumerate(checks.values()):
            style = line_style(position)
            errors = [
                max((each.error for each in check.tensors if _layer(each) == layer), default=None)
                for layer in layers
            ]
            drawn = np.maximum(finite(errors), _NONE)
            largest = max([largest, *drawn[np.isfinite(drawn)]])
            look: dict[str, Any] = {"color": style.color, "marker": style.marker, "markersize": 6.5}
            handles += axes.plot(drawn, range(len(layers)), linestyle="none", clip_on=False, **look)
            goal = check.numbers["goal"]
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
        add_legend(sheet, handles, list(checks))
    return sheet.svg


def _layer(tensor: TensorError) -> str:
    return tensor.tensor.rpartition(".")[0] or tensor.tensor
