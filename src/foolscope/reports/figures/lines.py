"""Panels of curves with bands over one axis, such as training curves by epoch."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from foolscope.reports.figures import canvas

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

__all__ = ["Curve", "line_panels"]

Curve = canvas.Band | tuple[canvas.Numbers, canvas.Numbers | None, canvas.Numbers | None]
"""A mean with the ends of its interval: a :class:`Band` or a plain triple."""

_MANY_POINTS = 16


def line_panels(
    x: canvas.Numbers,
    panels: Mapping[str, Mapping[str, Curve]],
    *,
    x_label: str,
    y_limits: tuple[float, float] | None = None,
    levels: Mapping[str, float] | None = None,
    rows: int = 1,
    width: float = canvas.WIDTH,
    height: float = 290,
) -> str:
    """Draw panels side by side, each a set of curves with bands over the same axis.

    Args:
        x: the points, (points,).
        panels: title, which names the quantity -> series name -> curve, each array (points,). A series keeps
            its style through all panels. What is not finite leaves a gap.
        x_label: what the axis is, with its unit.
        y_limits: for all panels; by default each panel fits its data.
        levels: words -> height, drawn as horizontal lines ("chance").
        rows: into how many rows the panels are divided.
        width: in CSS pixels.
        height: in CSS pixels.

    Raises:
        ValueError: there is no panel, a panel has no curve, or a curve and the axis differ in length.
    """
    if not panels or not all(panels.values()):
        raise ValueError("line_panels needs at least one panel, each with at least one curve")
    points = canvas.finite(x)
    names = list(dict.fromkeys(name for curves in panels.values() for name in curves))
    with canvas.drawing(width, height) as sheet:
        all_axes = sheet.figure.subplots(rows, -(-len(panels) // rows), squeeze=False).ravel()
        for axes in all_axes[len(panels) :]:
            axes.set_axis_off()
        handles: dict[str, Artist] = {}
        for axes, (title, curves) in zip(all_axes, panels.items(), strict=False):
            for name, curve in curves.items():
                handles[name] = _draw_curve(axes, points, name, canvas.Band(*curve), names.index(name))
            axes.set_title(canvas.label(title))
            axes.set_xlabel(canvas.label(x_label))
            _format_axis(axes, points)
            if y_limits is not None:
                axes.set_ylim(*y_limits)
            for words, level in (levels or {}).items():
                canvas.draw_level(axes, words, level, (0, 4), at=1, ha="right")
        if len(names) > 1 or len(panels) == 1:
            canvas.add_legend(sheet, [handles[name] for name in names], names)
    return sheet.svg


def _draw_curve(axes: "Axes", x: canvas.Numbers, name: str, band: canvas.Band, position: int) -> "Artist":
    style = canvas.line_style(position)
    points, mean = canvas.finite(x), canvas.finite(band.mean)
    if points.shape != mean.shape:
        raise ValueError(
            f"curve {name!r} needs one value for each of the {points.size} points; got {mean.size}"
        )
    if band.low is not None and band.high is not None:
        axes.fill_between(
            points,
            canvas.finite(band.low),
            canvas.finite(band.high),
            color=style.color,
            alpha=0.16,
            linewidth=0,
        )
    every = 1 if points.size <= _MANY_POINTS else points.size // 8
    (line,) = axes.plot(
        points,
        mean,
        color=style.color,
        linestyle=style.dash,
        marker=style.marker,
        markevery=every,
        label=canvas.label(name),
    )
    return line


def _format_axis(axes: "Axes", x: canvas.Numbers) -> None:
    from matplotlib.ticker import MaxNLocator

    points = canvas.finite(x)
    points = points[np.isfinite(points)]
    if points.size > 1:
        margin = 0.03 * (points.max() - points.min())
        axes.set_xlim(points.min() - margin, points.max() + margin)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, min_n_ticks=3, steps=canvas.NICE_STEPS))
    whole = bool(points.size) and bool(np.all(np.equal(np.mod(points, 1), 0)))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=whole, min_n_ticks=2, steps=canvas.NICE_STEPS))
