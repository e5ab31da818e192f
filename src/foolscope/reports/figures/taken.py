"""Which attack fooled how many images: one divided bar per budget."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from foolscope.reports.figures import canvas
from foolscope.reports.theme import SERIES, light

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

__all__ = ["taken_by_attack"]

_ATTACK_COLORS = tuple(name for name in SERIES if name not in ("series-1", "series-7"))
_PALE = 0.45  # of the attacks that come after all colors have been used
_WRITTEN_FROM = 3.5  # per cent of the bar, where its number has room
_BAR = 27  # CSS pixels


def taken_by_attack(
    panels: Mapping[str, canvas.Numbers], budgets: Sequence[str], attacks: Sequence[str]
) -> str:
    """Draw bars divided into images wrong without an attack, fooled by each attack, and not fooled.

    Args:
        panels: title -> counts (budgets, attacks + 2): wrong without an attack, by attack, not fooled.
        budgets: words for each bar, from top to bottom.
        attacks: their names.

    Raises:
        ValueError: there is no panel, or the counts have another shape.
    """
    if not panels:
        raise ValueError("taken_by_attack needs at least one panel; got none")
    shape = (len(budgets), len(attacks) + 2)
    for title, values in panels.items():
        if np.shape(values) != shape:
            raise ValueError(f"panel {title!r} needs counts of shape {shape}; got {np.shape(values)}")
    names = ["wrong without attack", *attacks, "not fooled"]
    handles: list[Artist] = []
    height = len(panels) * (_BAR * len(budgets) + 34) + 88
    with canvas.drawing(760, height) as sheet:
        grid = sheet.figure.subplots(len(panels), 1, squeeze=False, sharex=True)
        for axes, (title, values) in zip(grid[:, 0], panels.items(), strict=True):
            counts = np.asarray(values, dtype=np.float64)
            totals = counts.sum(axis=1, keepdims=True)
            shares = 100 * np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
            handles = [_draw_part(axes, shares, position, len(attacks)) for position in range(len(names))]
            axes.set_yticks(range(len(budgets)), [canvas.label(words) for words in budgets])
            axes.set_ylim(len(budgets) - 0.45, -0.55)
            axes.set_xlim(0, 100)
            axes.grid(visible=False)
            axes.spines["bottom"].set_visible(False)
            if title:
                axes.set_title(canvas.label(title))
        grid[-1, 0].set_xlabel("images, %")
        canvas.add_legend(sheet, handles, names)
    return sheet.svg


def _draw_part(axes: "Axes", shares: NDArray[np.float64], position: int, attacks: int) -> "Artist":
    """Draw one part of every bar, with its number where there is room."""
    from matplotlib.patches import Patch

    color, opacity = _look(position, attacks)
    ends = shares.cumsum(axis=1)[:, position]
    style: dict[str, Any] = {"facecolor": light(color), "alpha": opacity, "edgecolor": light("paper")}
    axes.barh(
        np.arange(len(shares)), shares[:, position], left=ends - shares[:, position], height=0.74, **style
    )
    for row, share in enumerate(shares[:, position]):
        if share >= _WRITTEN_FROM:
            axes.text(
                ends[row] - share / 2,
                row,
                f"{share:.0f}" if share >= 10 else f"{share:.1f}",
                ha="center",
                va="center_baseline",
                color=light("paper" if opacity == 1 else "ink"),
                fontsize=11.5,
            )
    return Patch(**style)


def _look(position: int, attacks: int) -> tuple[str, float]:
    """Return color and opacity: gray for wrong without an attack, blue for not fooled."""
    if position == 0:
        return "series-7", 1.0
    if position == attacks + 1:
        return "series-1", 1.0
    turn, place = divmod(position - 1, len(_ATTACK_COLORS))
    return _ATTACK_COLORS[place], 1.0 if turn == 0 else _PALE
