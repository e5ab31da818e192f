"""Losses of gradient descents by step on logarithmic axes, and fitted curves with their data."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from foolscope.reports.figures import canvas
from foolscope.reports.theme import light

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

__all__ = ["descent_curves", "fitted_curve"]

Descent = tuple[canvas.Numbers, canvas.Numbers]
"""Steps, counted from 0, and the loss at each."""

_MANY = 1e5  # from there on an axis has powers of ten


def descent_curves(
    curves: Mapping[str, Descent],
    *,
    levels: Mapping[str, float] | None = None,
    title: str = "Loss",
) -> str:
    """Draw losses by step on logarithmic axes that include step 0.

    Args:
        curves: name -> steps and losses, which are positive; what is not finite leaves a gap.
        levels: words -> loss, drawn as horizontal lines ("closed form").
        title: the quantity.

    Raises:
        ValueError: there is no curve.
    """
    if not curves:
        raise ValueError("descent_curves needs at least one curve; got none")
    with canvas.drawing(680, 340) as sheet:
        axes = sheet.figure.subplots()
        handles = _draw_descents(axes, curves, levels or {}, title)
        canvas.add_legend(sheet, list(handles.values()), list(handles))
    return sheet.svg


def fitted_curve(
    points: tuple[canvas.Numbers, canvas.Numbers],
    grid: canvas.Numbers,
    lines: Mapping[str, canvas.Numbers],
    losses: Descent,
    *,
    levels: Mapping[str, float] | None = None,
) -> str:
    """Draw data with fitted curves, and beside them the loss by step.

    Args:
        points: places and heights.
        grid: places of the curves.
        lines: name -> height at each place of the grid.
        losses: steps and losses.
        levels: words -> loss, as in :func:`descent_curves`.
    """
    with canvas.drawing(canvas.WIDTH, 340) as sheet:
        left, right = sheet.figure.subplots(1, 2)
        handles: dict[str, Artist] = {
            "data": left.scatter(
                *map(canvas.finite, points), s=16, color=light("muted"), alpha=0.7, linewidths=0
            )
        }
        for position, (name, heights) in enumerate(lines.items()):
            style = canvas.line_style(position)
            (handles[name],) = left.plot(
                canvas.finite(grid), canvas.finite(heights), color=style.color, linestyle=style.dash
            )
        left.set_title("Data and curves")
        left.set_xlabel("x")
        _draw_descents(right, {next(iter(lines)): losses}, levels or {}, "Loss")
        canvas.add_legend(sheet, list(handles.values()), list(handles))
    return sheet.svg


def _draw_descents(
    axes: "Axes", curves: Mapping[str, Descent], levels: Mapping[str, float], title: str
) -> dict[str, "Artist"]:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    handles: dict[str, Artist] = {}
    for position, (name, (steps, losses)) in enumerate(curves.items()):
        style = canvas.line_style(position)
        (handles[name],) = axes.plot(
            canvas.finite(steps), canvas.finite(losses), color=style.color, linestyle=style.dash
        )
    for words, height in levels.items():
        canvas.draw_level(axes, words, height, (4, -5), va="top")
    axes.set_title(canvas.label(title))
    axes.set_xlabel("step")
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.set_ylim(low / (1 + 0.4 * bool(levels)), high)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    if high / low < 30:  # no power of ten, or one, would be written
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    elif high > _MANY:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: canvas.power_of_ten(value)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    return handles
