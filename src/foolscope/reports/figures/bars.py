"""Bars with intervals, and histograms in small multiples."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

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

__all__ = ["bars_with_interval", "histograms"]


def bars_with_interval(
    names: Sequence[str],
    values: Numbers,
    low: Numbers | None = None,
    high: Numbers | None = None,
    *,
    x_label: str,
    x_limits: tuple[float, float] | None = None,
    number_format: str = ".3g",
    reference: tuple[str, float] | None = None,
    width: float = 640,
) -> str:
    """Draw horizontal bars from zero, each with its interval and its number.

    Args:
        names: one for each bar, from top to bottom.
        values: (bars,).
        low: lower ends of the intervals, (bars,).
        high: upper ends of the intervals, (bars,).
        x_label: the quantity, with its unit.
        x_limits: by default from zero to the longest bar.
        number_format: of the number beside a bar, as for :func:`format`.
        reference: words and value of a vertical line ("overall", 0.93).
        width: in CSS pixels.

    Returns:
        An ``<svg>`` element that follows the page's theme.

    Raises:
        ValueError: names and values differ in number.
    """
    heights = finite(values)
    if len(names) != heights.size:
        raise ValueError(
            f"bars_with_interval needs one value for each of the {len(names)} names; got {heights.size}"
        )
    positions = np.arange(len(names))
    with drawing(width, 27 * len(names) + 64) as sheet:
        axes = sheet.figure.subplots()
        axes.barh(positions, heights, height=0.66, color=light("series-1"), alpha=0.78, linewidth=0)
        if low is not None and high is not None:
            axes.hlines(positions, finite(low), finite(high), color=light("ink"), linewidth=1.8)
        if reference is not None:
            _draw_reference(axes, *reference)
        axes.set_yticks(positions, [label(name) for name in names])
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.margins(x=0.02)
        axes.set_xlim(*(x_limits or (min(0.0, axes.get_xlim()[0]), axes.get_xlim()[1])))
        _write_values(axes, positions, heights, number_format)
        axes.grid(visible=False, axis="y")
        axes.grid(visible=True, axis="x")
        axes.spines["bottom"].set_visible(False)
        axes.tick_params(axis="x", length=0)
        axes.set_xlabel(label(x_label))
    return sheet.svg


def histograms(
    panels: Mapping[str, Mapping[str, Numbers]],
    *,
    x_label: str,
    y_label: str = "share",
    bins: int = 40,
    width: float = WIDTH,
    panel_height: float = 220,
) -> str:
    """Draw histograms in small multiples, at most three side by side; the series of a panel overlap.

    Args:
        panels: title -> series name -> values, any shape; what is not finite is left out.
        x_label: the quantity, with its unit.
        y_label: what the height is; each histogram's heights add up to one.
        bins: of equal width over the panel's values.
        width: in CSS pixels.
        panel_height: in CSS pixels.

    Returns:
        An ``<svg>`` element that follows the page's theme.

    Raises:
        ValueError: there is no panel.
    """
    if not panels:
        raise ValueError("histograms needs at least one panel; got none")
    names = list(dict.fromkeys(name for series in panels.values() for name in series))
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    with drawing(width, rows * panel_height + (36 if len(names) > 1 else 0)) as sheet:
        grid = sheet.figure.subplots(rows, columns, squeeze=False)
        flat = list(grid.flat)
        handles: dict[str, Artist] = {}
        for axes, (title, series) in zip(flat, panels.items(), strict=False):
            handles |= _draw_histogram(axes, series, names, bins)
            axes.set_title(label(title))
            axes.set_xlabel(label(x_label))
        for axes in flat[len(panels) :]:
            axes.remove()
        for axes in grid[:, 0]:
            axes.set_ylabel(label(y_label))
        if len(names) > 1:
            add_legend(sheet, [handles[name] for name in names], names)
    return sheet.svg


def _draw_reference(axes: "Axes", words: str, value: float) -> None:
    axes.axvline(value, color=light("muted"), linewidth=1, linestyle=(0, (2, 2)))
    axes.annotate(
        label(words),
        (value, 1),
        xycoords=("data", "axes fraction"),
        xytext=(0, 2),
        textcoords="offset points",
        ha="center",
        va="bottom",
        color=light("muted"),
        fontsize=11,
    )


def _write_values(
    axes: "Axes", positions: NDArray[np.int_], heights: NDArray[np.float64], number_format: str
) -> None:
    """Write the numbers in a column at the right edge, where no bar or interval can cover them."""
    for position, value in zip(positions, heights, strict=True):
        words = format(value, number_format).replace("-", "−") if np.isfinite(value) else "–"
        axes.annotate(
            words,
            (1, position),
            xycoords=("axes fraction", "data"),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            color=light("ink"),
            fontsize=12,
        )


def _draw_histogram(
    axes: "Axes", series: Mapping[str, Numbers], names: Sequence[str], bins: int
) -> dict[str, "Artist"]:
    from matplotlib.ticker import MaxNLocator

    data = {name: finite(values).ravel() for name, values in series.items()}
    data = {name: values[np.isfinite(values)] for name, values in data.items()}
    everything = np.concatenate(list(data.values())) if data else np.zeros(0)
    edges = np.histogram_bin_edges(everything, bins=bins) if everything.size else np.linspace(0, 1, bins + 1)
    handles: dict[str, Artist] = {}
    tallest = 0.0
    for name, values in data.items():
        style = line_style(names.index(name))
        shares = np.histogram(values, bins=edges)[0] / max(1, values.size)
        tallest = max(tallest, float(shares.max()))
        axes.stairs(shares, edges, fill=True, color=style.color, alpha=0.22, linewidth=0)
        handles[name] = axes.stairs(shares, edges, color=style.color, linewidth=1.5, linestyle=style.dash)
    axes.margins(x=0.02)
    axes.set_ylim(0, 1.06 * tallest or 1.0)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=NICE_STEPS))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=NICE_STEPS))
    return handles
