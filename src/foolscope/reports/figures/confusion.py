"""The confusion matrix as a heat map: one row per true class."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from foolscope.reports.figures import canvas
from foolscope.reports.theme import light

if TYPE_CHECKING:
    from matplotlib.axes import Axes


__all__ = ["confusion_matrix"]

_TEXT_UP_TO = 20
_COUNTS_UP_TO = 10
_CELLS_UP_TO = 30
_CELL_SIDE = 56  # CSS pixels
_OPACITY_STEPS = 16
_NAME_LENGTH = 14
_KEY = (0.01, 0.1, 0.5, 1.0)


def confusion_matrix(counts: canvas.Numbers, class_names: Sequence[str]) -> str:
    """Draw how often each true class was predicted as each class, as shares of the true class.

    The right answers, on the diagonal, have one color and the mistakes another; the opacity grows with the
    square root of the share, so that rare mistakes are seen. Up to 20 classes the percentages are written in,
    up to 10 the counts too.

    Args:
        counts: (true class, predicted class), not negative.
        class_names: one for each class.

    Raises:
        ValueError: the matrix is not square, or the names are not as many as its rows.
    """
    matrix = np.asarray(counts, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise ValueError(f"counts must be a square matrix; got shape {matrix.shape}")
    if len(class_names) != len(matrix):
        raise ValueError(f"class_names needs {len(matrix)} names; got {len(class_names)}")
    totals = matrix.sum(axis=1, keepdims=True)
    shares = np.divide(matrix, totals, out=np.zeros_like(matrix), where=totals > 0)
    side = min(600.0, 380.0 + _CELL_SIDE * max(0, len(matrix) - 2))
    with canvas.drawing(side, side + 10) as sheet:
        axes = sheet.figure.subplots()
        axes.set_aspect("equal")
        axes.grid(False)
        axes.spines[:].set_visible(False)
        (_draw_cells if len(matrix) <= _CELLS_UP_TO else _draw_many_cells)(axes, shares)
        if len(matrix) <= _TEXT_UP_TO:
            _write_shares(axes, matrix, shares)
        _name_axes(axes, class_names)
        _draw_key(sheet)
    return sheet.svg


def _color(row: int, column: int) -> str:
    return light("series-1") if row == column else light("series-2")


def _draw_cells(axes: "Axes", shares: NDArray[np.float64]) -> None:
    from matplotlib.patches import Rectangle

    gap = 0.06 if len(shares) <= _TEXT_UP_TO else 0.02
    side = 1 - gap
    for (row, column), share in np.ndenumerate(shares):
        corner = (column - side / 2, row - side / 2)
        axes.add_patch(Rectangle(corner, side, side, facecolor=light("faint"), alpha=0.55, linewidth=0))
        if share > 0:
            axes.add_patch(
                Rectangle(
                    corner,
                    side,
                    side,
                    facecolor=_color(row, column),
                    alpha=float(np.sqrt(share)),
                    linewidth=0,
                )
            )


def _draw_many_cells(axes: "Axes", shares: NDArray[np.float64]) -> None:
    """Draw cells of nearly one share as one path and empty ones not at all: a hundred classes stay small."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    axes.set_facecolor(light("raised"))
    steps = np.ceil(np.sqrt(shares) * _OPACITY_STEPS).astype(int)
    diagonal = np.eye(len(shares), dtype=bool)
    corners = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5), (-0.5, -0.5)])
    codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY]
    for right in (True, False):
        for step in range(1, _OPACITY_STEPS + 1):
            centers = np.argwhere((steps == step) & (diagonal == right))[:, ::-1]
            if len(centers):
                path = Path((centers[:, None] + corners).reshape(-1, 2), codes * len(centers))
                color = light("series-1" if right else "series-2")
                axes.add_patch(PathPatch(path, facecolor=color, alpha=step / _OPACITY_STEPS, linewidth=0))


def _write_shares(axes: "Axes", matrix: NDArray[np.float64], shares: NDArray[np.float64]) -> None:
    with_counts = len(matrix) <= _COUNTS_UP_TO
    size = 13 if with_counts else max(7.5, 150 / len(matrix))
    style: dict[str, Any] = {"ha": "center", "va": "center_baseline", "textcoords": "offset points"}
    for (row, column), share in np.ndenumerate(shares):
        if matrix[row, column] <= 0:
            continue
        color = light("paper") if share > 0.35 else light("ink")
        percent = f"{100 * share:.0f}" if share >= 0.005 else "<1"
        lift = (0, 5 if with_counts else 0)
        axes.annotate(percent, (column, row), xytext=lift, color=color, fontsize=size, **style)
        if with_counts:
            count = f"{matrix[row, column]:g}"
            axes.annotate(count, (column, row), xytext=(0, -12), color=color, fontsize=9.5, **style)


def _name_axes(axes: "Axes", class_names: Sequence[str]) -> None:
    count = len(class_names)
    axes.set_xlim(-0.5, count - 0.5)
    axes.set_ylim(count - 0.5, -0.5)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.tick_params(length=0)
    if count > _CELLS_UP_TO:
        step = 10 if count > 50 else 5
        axes.set_xticks(range(0, count, step))
        axes.set_yticks(range(0, count, step))
        return
    names = [canvas.label(name) for name in class_names]
    longest = _NAME_LENGTH if count > 6 else 2 * _NAME_LENGTH
    short = [name if len(name) <= longest else name[: longest - 1] + "…" for name in names]
    size = 12 if count <= 12 else 10.5 if count <= 20 else 9
    axes.set_yticks(range(count), short, fontsize=size)
    axes.set_xticks(range(count), short, fontsize=size)
    if (
        max(map(len, short)) * 0.62 * size + 4
        > (0.8 * axes.figure.bbox.width - 8 * max(map(len, short))) / count
    ):
        for tick in axes.get_xticklabels():
            tick.set(rotation=40, ha="right", rotation_mode="anchor")


def _draw_key(sheet: canvas.Sheet) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(facecolor=light("series-1"), linewidth=0)]
    names = ["right"]
    for share in _KEY:
        handles.append(Patch(facecolor=light("series-2"), alpha=float(np.sqrt(share)), linewidth=0))
        names.append(f"{100 * share:.0f} % wrong" if share == _KEY[0] else f"{100 * share:.0f} %")
    canvas.add_legend(sheet, handles, names)
