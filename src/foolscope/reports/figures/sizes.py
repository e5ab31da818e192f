"""The empirical distribution of the smallest perturbations that fool, with the budgets marked."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from foolscope.reports.figures import canvas
from foolscope.reports.theme import light

if TYPE_CHECKING:
    from matplotlib.artist import Artist

__all__ = ["perturbation_sizes"]


def perturbation_sizes(
    curves: Mapping[str, tuple[canvas.Numbers, canvas.Numbers]], budgets: Sequence[float], *, x_label: str
) -> str:
    """Draw for each model the share of images fooled by a perturbation of at most each size.

    Args:
        curves: model -> sizes, ascending from 0, and the percentage that is wrong from each size on; the last
            percentage holds to the largest budget.
        budgets: drawn as vertical lines.
        x_label: the size, with its unit.

    Raises:
        ValueError: there is no curve or no budget, or sizes and percentages differ in number.
    """
    if not curves or not budgets:
        raise ValueError("perturbation_sizes needs at least one curve and one budget")
    largest = max(budgets)
    handles: list[Artist] = []
    with canvas.drawing(680, 330) as sheet:
        axes = sheet.figure.subplots()
        for budget in budgets:
            axes.axvline(budget, color=light("muted"), linewidth=1, linestyle=(0, (2, 2)), zorder=0)
        for position, (name, (sizes, percentages)) in enumerate(curves.items()):
            x, y, style = canvas.finite(sizes), canvas.finite(percentages), canvas.line_style(position)
            if x.shape != y.shape or not x.size:
                raise ValueError(f"curve {name!r} needs one percentage for each of its {x.size} sizes")
            x, y = np.append(x, max(largest, x[-1])), np.append(y, y[-1])
            handles += axes.step(x, y, where="post", color=style.color, linestyle=style.dash)
        axes.set_title("Images fooled by a perturbation of at most this size, %")
        axes.set_xlabel(canvas.label(x_label))
        axes.set_xlim(-0.015 * largest, 1.03 * largest or 1.0)
        axes.set_ylim(0, 102)
        axes.locator_params(axis="x", nbins=8, steps=canvas.NICE_STEPS)
        axes.locator_params(axis="y", nbins=6, steps=canvas.NICE_STEPS)
        canvas.add_legend(sheet, handles, list(curves))
    return sheet.svg
