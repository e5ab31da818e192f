"""Gradient checks: relative errors by layer on a logarithmic scale, with the largest that passes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from foolscope.inspection.check import Check, TensorError
from foolscope.reports.figures import canvas

if TYPE_CHECKING:
    from matplotlib.artist import Artist

__all__ = ["gradient_errors"]

_ENDS = (1e-16, 1e-4)  # of the axis, which grows where an error is larger
_NONE = 3e-17  # where errors of zero, and smaller ones, are drawn


def gradient_errors(checks: Mapping[str, Check]) -> str:
    """Draw the largest relative error of each layer, and a line at each check's goal.

    Args:
        checks: name in the legend -> gradient check, with its tensors.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    layers = list(dict.fromkeys(_layer(each) for check in checks.values() for each in check.tensors))
    handles: list[Artist] = []
    largest = _ENDS[1]
    with canvas.drawing(canvas.WIDTH, 25 * len(layers) + 112) as sheet:
        axes = sheet.figure.subplots()
        for position, check in enumerate(checks.values()):
            style = canvas.line_style(position)
            errors = [
                max((each.error for each in check.tensors if _layer(each) == layer), default=None)
                for layer in layers
            ]
            drawn = np.maximum(canvas.finite(errors), _NONE)
            largest = max([largest, *drawn[np.isfinite(drawn)]])
            look: dict[str, Any] = {"color": style.color, "marker": style.marker, "markersize": 6.5}
            handles += axes.plot(drawn, range(len(layers)), linestyle="none", clip_on=False, **look)
            goal = check.numbers["goal"]
            axes.axvline(goal, color=style.color, linewidth=1.2, linestyle=(0, (5, 2)), zorder=1)
            canvas.annotate(axes, "goal", (goal, 1), ("data", "axes fraction"), (4, -2), va="top")
        axes.set_xscale("log")
        axes.set_xlim(_NONE / 1.6, 3 * largest)
        canvas.list_rows(axes, layers, -0.95)
        axes.xaxis.set_major_locator(LogLocator(numticks=9))
        axes.xaxis.set_major_formatter(
            FuncFormatter(lambda value, _: f"{value:.0e}".replace("-", "\N{MINUS SIGN}"))
        )
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_minor_locator(LogLocator(subs=()))
        axes.set_xlabel("relative error of the gradient")
        canvas.add_legend(sheet, handles, list(checks))
    return sheet.svg


def _layer(tensor: TensorError) -> str:
    return tensor.tensor.rpartition(".")[0] or tensor.tensor
