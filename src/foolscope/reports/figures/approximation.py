"""The approximation figure: a function with its network, and hidden units against t/ε."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from foolscope.reports.figures import canvas
from foolscope.reports.theme import light

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from foolscope.experiments.parts.demonstrations.constructive_approximation import (
        ApproximatedFunction,
        UnitCosts,
    )

__all__ = ["approximation"]


def approximation(
    stated: "ApproximatedFunction",
    costs: Mapping[str, "UnitCosts"],
) -> str:
    """Draw a function with its approximation inside a band of ±ε, and beside it units against t/ε.

    Args:
        stated: the function and its network with stated weights.
        costs: domain, as in "on the line" -> units of stated and of trained networks; positive.

    Raises:
        ValueError: there are no costs.
    """
    if not costs:
        raise ValueError("approximation needs at least one series of costs")
    series: list[tuple[str, canvas.Numbers, canvas.Numbers, float | None]] = []
    for domain, each in costs.items():
        series.append((f"constructed, {domain}", each["reached"], each["units"], each["slope"]))
        series.append((f"trained, {domain}", each["trained_reached"], each["trained_units"], None))
    with canvas.drawing(canvas.WIDTH, 400) as sheet:
        left, right = sheet.figure.subplots(1, 2)
        _draw_function(left, stated)
        left.set_title("A function and its approximation")
        handles = [
            _draw_cost(right, reached, units, slope, canvas.line_style(position))
            for position, (_, reached, units, slope) in enumerate(series)
        ]
        _format_costs(right)
        canvas.add_legend(sheet, handles, [name for name, *_ in series])
    return sheet.svg


def _draw_function(axes: "Axes", stated: "ApproximatedFunction") -> None:
    from matplotlib.ticker import MaxNLocator

    x, exact, epsilon = canvas.finite(stated["x"]), canvas.finite(stated["function"]), stated["epsilon"]
    band = axes.fill_between(
        x, exact - epsilon, exact + epsilon, color=light("series-7"), alpha=0.16, linewidth=0
    )
    (curve,) = axes.plot(x, exact, color=light("ink"), linewidth=1.2)
    (stairs,) = axes.plot(x, canvas.finite(stated["network"]), color=light("series-1"))
    axes.legend([curve, stairs, band], ["function", "network", "± ε"], loc="best")
    axes.set_xlabel("x")
    axes.set_xlim(float(x[0]), float(x[-1]))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=canvas.NICE_STEPS))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, min_n_ticks=3, steps=canvas.NICE_STEPS))


def _draw_cost(
    axes: "Axes", reached: canvas.Numbers, units: canvas.Numbers, slope: float | None, style: canvas.LineStyle
) -> "Artist":
    """Draw the points of one series, and the line of its slope; without one, join each function's points."""
    reached, units = canvas.finite(reached), canvas.finite(units)
    for across, up in zip(reached, units, strict=True):
        (marks,) = axes.plot(
            across,
            up,
            color=style.color,
            linestyle="none" if slope is not None else style.dash,
            linewidth=0.6,
            marker=style.marker,
            markersize=4.5 if slope is not None else 3.5,
            zorder=3 if slope is not None else 2,
        )
    if slope is None:
        return marks
    ends = np.array([np.nanmin(reached), np.nanmax(reached)])
    middle, height = np.nanmean(np.log(reached)), np.nanmean(np.log(units))
    (line,) = axes.plot(
        ends,
        np.exp(height + slope * (np.log(ends) - middle)),
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
