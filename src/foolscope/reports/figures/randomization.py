"""Rank correlation of attribution maps against the layers whose weights are randomized."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from foolscope.inspection.attribution.sanity import Stage
from foolscope.reports.figures import canvas

if TYPE_CHECKING:
    from matplotlib.artist import Artist

__all__ = ["randomization"]

_NAME_LENGTH = 14
_TITLES = {"cascading": "From the logits down to this layer", "independent": "This layer alone"}


def randomization(methods: Mapping[str, Mapping[str, Sequence[Stage]]]) -> str:
    """Draw a line for each method with its control, cascading on the left, independent on the right.

    Args:
        methods: title -> "cascading" and "independent" -> stages, from the logits downwards.

    Raises:
        ValueError: there is no method.
    """
    if not methods:
        raise ValueError("randomization needs at least one method; got none")
    handles: list[Artist] = []
    with canvas.drawing(canvas.WIDTH, 350) as sheet:
        all_axes = sheet.figure.subplots(1, len(_TITLES), sharey=True)
        for axes, (kind, title) in zip(all_axes, _TITLES.items(), strict=True):
            lines = []
            for position, stages in enumerate(each[kind] for each in methods.values()):
                style = canvas.line_style(position)
                places = range(len(stages))
                own = canvas.finite([None if each.own is None else each.own.mean for each in stages])
                other = canvas.finite([None if each.other is None else each.other.mean for each in stages])
                axes.plot(places, other, color=style.color, linestyle=(0, (1, 2)), linewidth=1.1)
                lines += axes.plot(places, own, color=style.color, linestyle=style.dash, marker=style.marker)
            handles = handles or lines
            names = [_short(each.layer) for each in next(iter(methods.values()))[kind]]
            axes.set_xticks(range(len(names)), names, rotation=30, ha="right", rotation_mode="anchor")
            axes.set_title(canvas.label(title))
        low = min(0.0, all_axes[0].get_ylim()[0])
        all_axes[0].set_ylim(low, 1.03)
        all_axes[0].set_ylabel(canvas.label("rank correlation"))
        canvas.add_legend(sheet, handles, list(methods))
    return sheet.svg


def _short(name: str) -> str:
    text = canvas.label(name)
    return text if len(text) <= _NAME_LENGTH else f"…{text[1 - _NAME_LENGTH :]}"
