"""The search figure: a panel for each dimension, a dot for each setting tried, the ranges as they narrow."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from foolscope.reports.figures import canvas
from foolscope.reports.theme import SERIES, light

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

__all__ = ["SearchAxis", "SearchRound", "Spot", "search_panels"]

_PANEL_WIDTH = 400  # CSS pixels; the most a panel takes
_NEEDED_WIDTH = 260  # CSS pixels; below, the ticks of a panel run into each other
_WIDE = 4  # largest error over smallest; from there on the axis is logarithmic in the error
_TICKS = (0, 50, 80, 90, 95, 98, 99, 99.5, 99.8, 99.9, 99.95, 99.98, 99.99)  # of accuracies, on that axis
_MARKERS = ("o", "s", "^", "D", "v", "P")


@dataclass(frozen=True)
class SearchAxis:
    """One dimension of a search.

    Args:
        name: as under the axis.
        scale: of the axis; choices are a list of names.
        low: lower end of what was searched; of choices -0.5.
        high: upper end; of choices their number less 0.5.
        labels: the choices.
    """

    name: str
    scale: Literal["log", "linear", "choices"]
    low: float
    high: float
    labels: Sequence[str] = ()


@dataclass(frozen=True)
class SearchRound:
    """Settings that were tried together.

    Args:
        ranges: from where to where they were drawn, one per axis; None for the whole axis.
        places: where on the axes each setting lies.
        values: the validation accuracy of each, in %; None where training diverged.
    """

    ranges: Sequence[tuple[float, float] | None]
    places: Sequence[Sequence[float]]
    values: Sequence[float | None]


@dataclass(frozen=True)
class Spot:
    """The winner on fresh seeds: where it lies on the axes, its mean, and the ends of the interval."""

    places: Sequence[float]
    mean: float
    low: float | None
    high: float | None


def search_panels(
    axes: Sequence[SearchAxis],
    rounds: Sequence[SearchRound],
    *,
    best: tuple[int, int] | None = None,
    winner: Spot | None = None,
    baseline: float | None = None,
    quantity: str = "validation accuracy, %",
) -> str:
    """Draw every setting of a search against its validation score in %.

    Where the scores differ widely, the axis is logarithmic in the error (100 - accuracy): the distance
    from 90 to 99 equals that from 0 to 90, so that good settings can be told apart.

    Args:
        axes: the dimensions, one for each panel.
        rounds: what was tried.
        best: the chosen setting: the number of its round, and its number in the round, from 0.
        winner: the same setting on fresh seeds.
        baseline: the score of the baseline on fresh seeds.
        quantity: what the score is, with its unit.

    Raises:
        ValueError: there is no axis or no round.
    """
    if not axes or not rounds:
        raise ValueError("search_panels needs at least one axis and one round")
    most = 2 if len(axes) == 4 else 3
    columns = max(1, min(most, len(axes), int(canvas.WIDTH // _NEEDED_WIDTH)))
    rows = -(-len(axes) // columns)
    panel_width = canvas.WIDTH / columns if columns > 1 else min(canvas.WIDTH, 1.5 * _PANEL_WIDTH)
    with canvas.drawing(columns * panel_width, rows * 260 + 40) as sheet:
        grid = sheet.figure.subplots(rows, columns, squeeze=False, sharey=True)
        panels = list(grid.flat)
        _draw_accuracies(panels[0], _shortfalls(rounds, winner, baseline))
        for position, (panel, axis) in enumerate(zip(panels, axes, strict=False)):
            _draw_axis(panel, axis)
            for number, each in enumerate(rounds):
                chosen = best[1] if best is not None and best[0] == number else None
                _draw_round(panel, position, axis, number, each, chosen)
            _draw_fresh(panel, position, winner, baseline)
        for panel in panels[len(axes) :]:
            panel.remove()
        for panel in grid[:, 0]:
            panel.set_ylabel(canvas.label(quantity))
        for position, panel in enumerate(panels[: len(axes)]):
            _draw_diverged(panel, position, rounds)
        handles, names = _legend(rounds, best is not None, winner, baseline)
        canvas.add_legend(sheet, handles, names)
    return sheet.svg


def _shortfalls(
    rounds: Sequence[SearchRound], winner: Spot | None, baseline: float | None
) -> NDArray[np.float64]:
    """Return how much every accuracy that is drawn falls short of 100 %."""
    drawn = [value for each in rounds for value in each.values]
    drawn += [baseline, *([winner.mean, winner.low, winner.high] if winner else [])]
    return 100 - np.array([value for value in drawn if value is not None], dtype=np.float64)


def _draw_accuracies(panel: "Axes", shortfalls: NDArray[np.float64]) -> None:
    """Scale the axis that all panels share: logarithmic in the error where accuracies differ widely."""
    from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

    panel.yaxis.set_major_locator(MaxNLocator(nbins=6, min_n_ticks=3, steps=canvas.NICE_STEPS))
    errors = shortfalls[shortfalls > 0]
    if not errors.size or errors.max() < _WIDE * errors.min():
        return
    least = errors.min() / (2 if errors.size < shortfalls.size else 1.2)  # also stands for no error at all

    def forward(accuracies: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(-np.log10(np.maximum(100 - accuracies, least)))

    def backward(heights: NDArray[Any]) -> NDArray[Any]:
        return 100 - 10.0**-heights

    panel.set_yscale("function", functions=(forward, backward))
    panel.yaxis.set_major_locator(FixedLocator([each for each in _TICKS if 100 - each >= least]))
    panel.yaxis.set_minor_locator(NullLocator())
    panel.set_ylim(100 - 1.2 * errors.max(), 100 - least)


def _draw_axis(panel: "Axes", axis: SearchAxis) -> None:
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    if axis.scale == "choices":
        panel.set_xticks(range(len(axis.labels)), [canvas.label(each) for each in axis.labels])
    elif axis.scale == "log":
        panel.set_xscale("log")
        few = axis.high < 1000 * axis.low
        panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,), numticks=7))
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.xaxis.set_major_formatter(_plainly)
    else:
        panel.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=canvas.NICE_STEPS))
    if axis.scale == "log":
        margin = (axis.high / axis.low) ** 0.03
        panel.set_xlim(axis.low / margin, axis.high * margin)
    else:
        margin = 0.03 * (axis.high - axis.low)
        panel.set_xlim(axis.low - margin, axis.high + margin)
    panel.set_xlabel(canvas.label(axis.name))


def _plainly(value: float, position: float | None = None) -> str:
    """Write a number as in a recipe: 0.01, 1e−5."""
    return f"{value:g}".replace("e-0", "e-").replace("-", "−")


def _draw_round(
    panel: "Axes", position: int, axis: SearchAxis, number: int, each: SearchRound, chosen: int | None
) -> None:
    color, marker = _round_style(number)
    drawn_from = each.ranges[position]
    if drawn_from is not None and drawn_from != (axis.low, axis.high):
        panel.axvspan(*drawn_from, color=color, alpha=0.1, linewidth=0, zorder=0)
    values = canvas.finite([np.nan if value is None else value for value in each.values])
    places = [place[position] for place in each.places]
    if axis.scale == "choices":
        places = [place + offset for place, offset in zip(places, _offsets(len(places)), strict=True)]
    panel.plot(places, values, marker, color=color, alpha=0.75, markersize=5.5, markeredgewidth=0, zorder=3)
    if chosen is not None:
        panel.plot([places[chosen]], [values[chosen]], **_BEST, zorder=5)


def _offsets(count: int) -> list[float]:
    """Spread settings of the same choice, so that they do not hide each other."""
    return np.linspace(-0.2, 0.2, count).tolist() if count > 1 else [0.0] * count


def _round_style(number: int) -> tuple[str, str]:
    return light(SERIES[number % len(SERIES)]), _MARKERS[number % len(_MARKERS)]


def _draw_fresh(panel: "Axes", position: int, winner: Spot | None, baseline: float | None) -> None:
    if baseline is not None:
        panel.axhline(baseline, color=light("muted"), linewidth=1.2, linestyle=(0, (4, 2)), zorder=2)
    if winner is not None:
        place = winner.places[position]
        if winner.low is not None and winner.high is not None:
            panel.plot([place, place], [winner.low, winner.high], color=light("ink"), linewidth=2, zorder=4)
        panel.plot([place], [winner.mean], **_WINNER, zorder=6)


def _draw_diverged(panel: "Axes", position: int, rounds: Sequence[SearchRound]) -> None:
    """Mark settings that diverged at the foot of the panel, once the axis is known."""
    places = [
        place[position]
        for each in rounds
        for place, value in zip(each.places, each.values, strict=True)
        if value is None
    ]
    if places:
        foot = [0.03] * len(places)
        panel.plot(places, foot, **_DIVERGED, transform=panel.get_xaxis_transform(), clip_on=False)


_BEST: dict[str, Any] = {
    "marker": "o",
    "color": light("ink"),
    "markerfacecolor": "none",
    "markersize": 11,
    "markeredgewidth": 1.6,
    "linestyle": "none",
}
_WINNER: dict[str, Any] = {"marker": "D", "color": light("ink"), "markersize": 6.5, "linestyle": "none"}
_DIVERGED: dict[str, Any] = {"marker": "X", "color": light("odd"), "markersize": 7, "linestyle": "none"}


def _legend(
    rounds: Sequence[SearchRound], has_best: bool, winner: Spot | None, baseline: float | None
) -> tuple[list["Artist"], list[str]]:
    from matplotlib.lines import Line2D

    handles: list[Artist] = []
    names: list[str] = []

    def add(name: str, **style: Any) -> None:
        handles.append(Line2D([], [], **style))
        names.append(name)

    for number in range(len(rounds)):
        color, marker = _round_style(number)
        name = f"round {number + 1}" if len(rounds) > 1 else "setting tried"
        add(name, color=color, marker=marker, markersize=5.5, markeredgewidth=0, linestyle="none")
    if has_best:
        add("chosen", **_BEST)
    if winner is not None:
        add("winner on fresh seeds", **{**_WINNER, "linestyle": "solid", "linewidth": 2})
    if baseline is not None:
        add("baseline on fresh seeds", color=light("muted"), linewidth=1.2, linestyle=(0, (4, 2)))
    if any(value is None for each in rounds for value in each.values):
        add("diverged", **_DIVERGED)
    return handles, names
