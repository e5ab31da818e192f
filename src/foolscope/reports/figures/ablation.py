"""The ablation figure: a panel for each factor, a dot for each seed, a mean with interval for each level."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from foolscope.reports.figures import canvas
from foolscope.reports.theme import light

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

__all__ = ["Factor", "Level", "LevelOutcome", "ablation_effects"]

LevelOutcome = Literal[
    "baseline", "helps", "hurts", "smaller than matters", "no effect", "undecided", "diverged"
]

_MARKS: dict[str, tuple[str, str, bool]] = {  # outcome -> marker, color, filled
    "baseline": ("o", "ink", True),
    "helps": ("^", "good", True),
    "hurts": ("v", "bad", True),
    "smaller than matters": ("s", "quiet", True),
    "no effect": ("s", "quiet", True),
    "undecided": ("o", "caution", False),
    "diverged": ("X", "odd", True),
}
_PUBLISHED: dict[str, Any] = {
    "marker": "D",
    "color": light("accent"),
    "markerfacecolor": "none",
    "markersize": 5.5,
}
_LETTER = 7.6  # CSS pixels, a generous mean of the tick labels' font
_AXIS_ROOM = 60  # CSS pixels beside a panel's plotting area
_WIDEST_LEVELS = 300  # CSS pixels; a panel is no wider than this without need


@dataclass(frozen=True)
class Level:
    """One setting of a factor.

    Args:
        label: the setting, as on the axis.
        values: the measured value of each seed; empty or not finite where training diverged.
        mean: their mean, or None.
        low: lower end of the interval, or None.
        high: upper end of the interval, or None.
        outcome: against the baseline.
        published: the published figure, or None.
    """

    label: str
    values: Sequence[float]
    mean: float | None
    low: float | None
    high: float | None
    outcome: LevelOutcome
    published: float | None = None


@dataclass(frozen=True)
class Factor:
    """A factor with its levels in the order of the axis, the baseline among them."""

    name: str
    levels: Sequence[Level]


def ablation_effects(factors: Sequence[Factor], *, quantity: str) -> str:
    """Draw one panel for each factor of an ablation.

    Args:
        factors: one for each panel.
        quantity: what was measured.

    Raises:
        ValueError: there is no factor, or a factor without levels.
    """
    if not factors or not all(factor.levels for factor in factors):
        raise ValueError("ablation_effects needs at least one factor, each with at least one level")
    columns = _column_count(factors)
    rows = -(-len(factors) // columns)
    panel_width = min(canvas.WIDTH / columns, max(_WIDEST_LEVELS, max(map(_needed_width, factors))))
    height = 215 + max(_label_drop(factor, panel_width) for factor in factors)
    with canvas.drawing(columns * panel_width, rows * height + 40) as sheet:
        grid = sheet.figure.subplots(rows, columns, squeeze=False, sharey=True)
        panels = list(grid.flat)
        for axes, factor in zip(panels, factors, strict=False):
            _draw_factor(axes, factor, panel_width)
        for axes in panels[len(factors) :]:
            axes.remove()
        for axes in grid[:, 0]:
            axes.set_ylabel(canvas.label(quantity))
        for axes, factor in zip(panels, factors, strict=False):
            _draw_diverged(axes, factor)
        handles, names = _legend(factors)
        canvas.add_legend(sheet, handles, names)
    return sheet.svg


def _column_count(factors: Sequence[Factor]) -> int:
    """Take as many panels side by side as leave room for the level labels, at most three."""
    return max(1, min(3, len(factors), int(canvas.WIDTH // max(map(_needed_width, factors)))))


def _needed_width(factor: Factor) -> float:
    """Estimate the width at which all level labels stand side by side."""
    longest = max(len(canvas.label(level.label)) for level in factor.levels)
    return len(factor.levels) * (longest * _LETTER + 6) + _AXIS_ROOM


def _label_drop(factor: Factor, panel_width: float) -> float:
    """Estimate how much height the labels need beyond a line: none unless they must be slanted."""
    longest = max(len(canvas.label(level.label)) for level in factor.levels)
    return 0.5 * longest * _LETTER if _needed_width(factor) > panel_width else 0.0


def _draw_factor(axes: "Axes", factor: Factor, panel_width: float) -> None:
    from matplotlib.ticker import MaxNLocator

    levels = factor.levels
    pixel = (len(levels) + 0.2) / (panel_width - _AXIS_ROOM)  # one CSS pixel along the axis
    half = min(0.42, 34 * pixel)
    for position, level in enumerate(levels):
        if level.outcome == "baseline":
            axes.axvspan(position - half, position + half, color=light("raised"), linewidth=0, zorder=0)
            if level.mean is not None:
                axes.axhline(level.mean, color=light("muted"), linewidth=1, linestyle=(0, (2, 2)), zorder=1)
        _draw_level(axes, position, level, pixel)
    names = [canvas.label(level.label) for level in levels]
    axes.set_xticks(range(len(levels)), names)
    for tick, level in zip(axes.get_xticklabels(), levels, strict=True):
        if level.outcome == "baseline":
            tick.set(fontweight="bold", color=light("ink"))
    if _label_drop(factor, panel_width):
        for tick in axes.get_xticklabels():
            tick.set(rotation=30, ha="right", rotation_mode="anchor")
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-0.6, len(levels) - 0.4)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, min_n_ticks=3, steps=canvas.NICE_STEPS))
    axes.set_title(canvas.label(factor.name))


def _draw_level(axes: "Axes", position: int, level: Level, pixel: float) -> None:
    marker, color, filled = _MARKS[level.outcome]
    values = canvas.finite(level.values)
    values = values[np.isfinite(values)]
    spread = min(0.24, 13 * pixel)
    offsets = np.linspace(-spread, spread, values.size) if values.size > 1 else np.zeros(values.size)
    axes.plot(
        position + offsets, values, "o", color=light("muted"), alpha=0.6, markersize=3.6, markeredgewidth=0
    )
    if level.mean is not None and np.isfinite(level.mean):
        if level.low is not None and level.high is not None:
            axes.plot(
                [position, position], [level.low, level.high], color=light(color), linewidth=2.2, zorder=3
            )
        face = light(color) if filled else light("paper")
        axes.plot(
            [position], [level.mean], marker, color=light(color), markerfacecolor=face, markersize=7, zorder=4
        )
    if level.published is not None:
        axes.plot([position + min(0.34, 19 * pixel)], [level.published], linestyle="none", **_PUBLISHED)


def _draw_diverged(axes: "Axes", factor: Factor) -> None:
    """Mark levels without any value at the foot of the panel, once the axis is known."""
    marker, color, _ = _MARKS["diverged"]
    for position, level in enumerate(factor.levels):
        if level.outcome == "diverged" and level.mean is None:
            axes.plot(
                [position],
                [0.06],
                marker,
                color=light(color),
                markersize=8,
                transform=axes.get_xaxis_transform(),
                clip_on=False,
            )


def _legend(factors: Sequence[Factor]) -> tuple[list["Artist"], list[str]]:
    from matplotlib.lines import Line2D

    levels = [level for factor in factors for level in factor.levels]
    handles: list[Artist] = []
    names: list[str] = []
    for outcome, (marker, color, filled) in _MARKS.items():
        if any(level.outcome == outcome for level in levels):
            face = light(color) if filled else light("paper")
            look: dict[str, Any] = {"color": light(color), "marker": marker, "markerfacecolor": face}
            look["linestyle"] = "none" if outcome == "diverged" else "solid"
            handles.append(Line2D([], [], markersize=7, **look))
            names.append(outcome)
    if any(len(level.values) for level in levels):
        handles.append(
            Line2D([], [], color=light("muted"), marker="o", markersize=3.6, alpha=0.6, linestyle="none")
        )
        names.append("one seed")
    if any(level.published is not None for level in levels):
        handles.append(Line2D([], [], linestyle="none", **_PUBLISHED))
        names.append("published")
    return handles, names
