"""Two percentages for each of many rows, joined by a line: before and after."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from foolscope.reports.figures import canvas
from foolscope.reports.theme import light

if TYPE_CHECKING:
    from matplotlib.artist import Artist

__all__ = ["dumbbells"]


def dumbbells(
    rows: Sequence[str],
    before: tuple[str, canvas.Numbers],
    after: tuple[str, canvas.Numbers],
    *,
    x_label: str,
) -> str:
    """Draw two percentages in each row as a ring and a dot, joined by a line.

    Args:
        rows: a name for each, from top to bottom.
        before: words and values, drawn as rings.
        after: words and values, drawn as dots.
        x_label: the quantity, with its unit.

    Raises:
        ValueError: names and values differ in number.
    """
    first, second = canvas.finite(before[1]), canvas.finite(after[1])
    if not len(rows) == first.size == second.size:
        raise ValueError(
            f"dumbbells needs two values for each of the {len(rows)} rows; got {first.size} and {second.size}"
        )
    places = np.arange(len(rows))
    handles: list[Artist] = []
    with canvas.drawing(680, 25 * len(rows) + 98) as sheet:
        axes = sheet.figure.subplots()
        axes.hlines(places, second, first, color=light("rule"), linewidth=3, zorder=1)
        looks: tuple[tuple[canvas.Numbers, dict[str, Any]], ...] = (
            (first, {"markersize": 10, "markerfacecolor": light("paper"), "color": light("series-7")}),
            (second, {"markersize": 5.5, "color": light("series-1")}),
        )
        for values, look in looks:
            handles += axes.plot(
                values, places, linestyle="none", marker="o", markeredgewidth=1.8, clip_on=False, **look
            )
        for place, (start, end) in enumerate(zip(first, second, strict=True)):
            canvas.annotate(
                axes,
                f"{start:.0f} → {end:.0f}",
                (1, place),
                ("axes fraction", "data"),
                (14, 0),
                va="center_baseline",
                color=light("ink"),
                fontsize=12,
            )
        canvas.list_rows(axes, rows, -0.6)
        axes.set_xlim(0, 100)
        axes.set_xlabel(canvas.label(x_label))
        canvas.add_legend(sheet, handles, [before[0], after[0]])
    return sheet.svg
