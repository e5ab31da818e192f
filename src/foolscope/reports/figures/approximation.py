"""Approximation as a drawing: a function with its staircase, and what a small error costs in units."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from foolscope.reports.figures.canvas import (
    NICE_STEPS,
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
    from matplotlib.axes import Axes

__all__ = ["Cost", "approximation"]


class Cost(NamedTuple):
    """Hidden units of some networks against what they reached.

    Args:
        name: in the legend.
        reached: t/ε with the measured error for ε, positive: (points,), or (functions, points).
        units: hidden units, positive, of the same shape.
        slope: of the line to be drawn through all of them in logarithms; for ``None`` the points of each
            function are joined instead.
    """

    name: str
    reached: Numbers
    units: Numbers
    slope: float | None = None


def approximation(
    points: Numbers,
    function: Numbers,
    network: Numbers,
    epsilon: float,
    costs: Sequence[Cost],
    *,
    title: str = "A function and its approximation",
    width: float = WIDTH,
    height: float = 400,
) -> str:
    """Draw a function with its approximation inside a band of ±ε, and beside it units against t/ε.

    Args:
        points: of the unit interval, ascending, (points,).
        function: its values there, (points,).
        network: the values of the network there, (points,).
        epsilon: half of the height of the band.
        costs: drawn as points, with a line for the slope, on logarithmic axes.
        title: of the first panel.
        width: in CSS pixels.
        height: in CSS pixels.

    Returns:
        An ``<svg>`` element that follows the page's theme.

    Raises:
        ValueError: there are no costs, or points and values differ in number, in a series too.
    """
    x, exact, approximate = finite(points), finite(function), finite(network)
    if not x.shape == exact.shape == approximate.shape or x.ndim != 1:
        raise ValueError(
            f"approximation needs two values for each of {x.size} points;"
            f" got {exact.size} and {approximate.size}"
        )
    if not costs:
        raise ValueError("approximation needs at least one series of costs")
    with drawing(width, height) as sheet:
        left, right = sheet.figure.subplots(1, 2)
        _draw_function(left, x, exact, approximate, epsilon)
        left.set_title(label(title))
        handles = [_draw_cost(right, cost, position) for position, cost in enumerate(costs)]
        _format_costs(right)
        add_legend(sheet, handles, [cost.name for cost in costs])
    return sheet.svg


def _draw_function(
    axes: "Axes",
    x: NDArray[np.float64],
    exact: NDArray[np.float64],
    approximate: NDArray[np.float64],
    epsilon: float,
) -> None:
    from matplotlib.ticker import MaxNLocator

    band = axes.fill_between(
        x, exact - epsilon, exact + epsilon, color=light("series-7"), alpha=0.16, linewidth=0
    )
    (curve,) = axes.plot(x, exact, color=light("ink"), linewidth=1.2)
    (stairs,) = axes.plot(x, approximate, color=light("series-1"))
    axes.legend([curve, stairs, band], ["function", "network", "± ε"], loc="best")
    axes.set_xlabel("x")
    axes.set_xlim(float(x[0]), float(x[-1]))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=NICE_STEPS))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, min_n_ticks=3, steps=NICE_STEPS))


def _draw_cost(axes: "Axes", cost: Cost, position: int) -> "Artist":
    """Draw one series: its points and, where it has a slope, the line through their middle."""
    style = line_style(position)
    reached, units = np.atleast_2d(finite(cost.reached)), np.atleast_2d(finite(cost.units))
    if reached.shape != units.shape or not reached.size:
        raise ValueError(
            f"series {cost.name!r} needs units for each of {reached.size} points; got {units.size}"
        )
    for across, up in zip(reached, units, strict=True):
        (marks,) = axes.plot(
            across,
            up,
            color=style.color,
            linestyle="none" if cost.slope is not None else style.dash,
            linewidth=0.6,
            marker=style.marker,
            markersize=4.5 if cost.slope is not None else 3.5,
            zorder=3 if cost.slope is not None else 2,
        )
    if cost.slope is None:
        return marks
    ends = np.array([np.nanmin(reached), np.nanmax(reached)])
    middle, height = np.nanmean(np.log(reached)), np.nanmean(np.log(units))
    (line,) = axes.plot(
        ends,
        np.exp(height + cost.slope * (np.log(ends) - middle)),
        color=style.color,
        linestyle=style.dash,
        marker=style.marker,
        markersize=0,
    )
    return line


def _format_costs(axes: "Axes") -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_title("Hidden units")
    axes.set_xlabel("t/ε: gradient bound over sup-norm error")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(numticks=8))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.12g}"))
        axis.set_minor_formatter(NullFormatter())
