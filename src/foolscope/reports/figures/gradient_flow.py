"""Gradients through time as a drawing: the norm by time step, relative to the last one, beside its bound."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from foolscope.reports.figures import canvas
from foolscope.reports.theme import light

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

__all__ = ["FlowLine", "gradient_flow"]

_ROOM_FOR_BOUNDS = 100.0  # times the largest norm: a bound that leaves the data behind leaves the panel
_LOWEST = 1e-12
_FAR_OUTSIDE = 1e100  # matplotlib's own arithmetic overflows further out
_BOUND = "bound ‖w‖^(T−t)"
_BOUND_STYLE: dict[str, Any] = {"linestyle": (0, (4, 3)), "linewidth": 1.2, "zorder": 1}


class FlowLine(NamedTuple):
    """One setting: the gradient's norm by the state after each time step, and what bounds it.

    Args:
        norms: from the first step to the last, (time,).
        spectral_norm: ‖w‖ of a recurrence whose gradient, relative to the last step, is at most ‖w‖^(T−t);
            ``None`` where nothing bounds it, as in an LSTM.
    """

    norms: canvas.Numbers
    spectral_norm: float | None = None


def gradient_flow(panels: Mapping[str, Mapping[str, FlowLine]], *, width: float = canvas.WIDTH) -> str:
    """Draw how gradients vanish or explode on their way back from the last time step, on a log scale.

    Args:
        panels: title, such as "tanh, at initialization" -> series name -> line. A series keeps its style
            through all panels, and panels share one scale. A series whose last norm is zero or not finite has
            no line; the panel says so.
        width: in CSS pixels.

    Raises:
        ValueError: there is no panel, or a panel has no line.
    """
    if not panels or not all(panels.values()):
        raise ValueError("gradient_flow needs at least one panel, each with at least one line")
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    shown = {
        title: {name: (_relative(line.norms), _bound(line)) for name, line in lines.items()}
        for title, lines in panels.items()
    }
    limits = _limits([each for lines in shown.values() for each in lines.values()])
    with canvas.drawing(width, 330) as sheet:
        all_axes = sheet.figure.subplots(1, len(panels), squeeze=False)[0]
        all_axes[0].set_ylabel("gradient norm / that of the last step")
        handles: dict[str, Artist] = {}
        for axes, (title, lines) in zip(all_axes, shown.items(), strict=True):
            for name, (norms, bound) in lines.items():
                handles[name] = _draw(axes, norms, bound, names.index(name))
            _name_missing(axes, panels[title])
            axes.set_title(canvas.label(title))
            axes.set_xlabel("time step")
            _format(axes, max(norms.size for norms, _ in lines.values()), limits)
        if any(bound is not None for lines in shown.values() for _, bound in lines.values()):
            (handles[_BOUND],) = all_axes[0].plot([], [], color=light("muted"), **_BOUND_STYLE)
        entries = [*names, _BOUND] if _BOUND in handles else names
        canvas.add_legend(sheet, [handles[name] for name in entries], entries)
    return sheet.svg


def _relative(norms: canvas.Numbers) -> NDArray[np.float64]:
    """Divide by the last norm; what is not positive has no place on a log scale."""
    values = canvas.finite(norms)
    values = np.where(values > 0, values, np.nan)
    with np.errstate(over="ignore"):
        return canvas.finite(values / values[-1] if values.size else values)


def _bound(line: FlowLine) -> NDArray[np.float64] | None:
    count = len(canvas.finite(line.norms))
    if line.spectral_norm is None or not np.isfinite(line.spectral_norm):
        return None
    with np.errstate(over="ignore", under="ignore"):
        bound = np.power(float(line.spectral_norm), np.arange(count)[::-1])
    return np.clip(bound, 1 / _FAR_OUTSIDE, _FAR_OUTSIDE)


def _limits(
    lines: list[tuple[NDArray[np.float64], NDArray[np.float64] | None]],
) -> tuple[float, float]:
    norms = np.concatenate([[1.0], *(each[np.isfinite(each)] for each, _ in lines)])
    bounds = np.concatenate([[1.0], *(each[np.isfinite(each)] for _, each in lines if each is not None)])
    low = max(_LOWEST, min(norms.min(), bounds.min()))
    high = max(norms.max(), min(bounds.max(), _ROOM_FOR_BOUNDS * norms.max()))
    return low / 2, high * 2


def _draw(
    axes: "Axes", norms: NDArray[np.float64], bound: NDArray[np.float64] | None, position: int
) -> "Artist":
    """Draw a line and, if there is one, its bound; return the line."""
    style, steps = canvas.line_style(position), np.arange(1, norms.size + 1)
    every = max(1, norms.size // 7)
    mark: dict[str, Any] = {"marker": style.marker, "markevery": (position % every, every)}
    (line,) = axes.plot(steps, norms, color=style.color, **mark)
    if bound is not None:
        axes.plot(steps, bound, color=style.color, **_BOUND_STYLE)
    return line


def _name_missing(axes: "Axes", lines: Mapping[str, FlowLine]) -> None:
    """Say which series have no line, and why."""
    missing = []
    for name, line in lines.items():
        last = canvas.finite(line.norms)[-1:]
        if not np.any(last > 0):
            missing.append(f"{canvas.label(name)}: {'no gradient' if np.any(last == 0) else 'diverged'}")
    if missing:
        canvas.annotate(axes, "\n".join(missing), (1, 0), "axes fraction", (-4, 4), ha="right", va="bottom")


def _format(axes: "Axes", steps: int, limits: tuple[float, float]) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_yscale("log")
    axes.set_ylim(*limits)
    margin = 0.03 * max(1, steps - 1)
    axes.set_xlim(1 - margin, max(steps, 2) + margin)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=2, steps=canvas.NICE_STEPS))
    canvas.scale_by_powers_of_ten(axes.yaxis, 9)
