"""Draws a graph that has been placed: boxes of short lines, arrows between them, words beside the arrows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from foolscope.reports.figures.graphs.layered import Placement, Point
from foolscope.reports.figures.svg import themed_svg
from foolscope.reports.text import format_number, one_line_text
from foolscope.reports.theme import light

__all__ = ["Box", "Words", "boxes_and_arrows", "shortened", "significant"]

_LINE = 17
_HALO = f"paint-order: stroke; stroke: {light('paper')}; stroke-width: 4px"


@dataclass(frozen=True)
class Words:
    """Words in one color of the theme.

    Args:
        text: on one line.
        color: its name in :data:`foolscope.reports.theme.COLORS`.
        size: of the letters, in CSS pixels.
        bold: whether they carry weight.
    """

    text: str
    color: str = "ink"
    size: float = 12
    bold: bool = False


Line = Sequence[Words]


@dataclass(frozen=True)
class Box:
    """A box with lines of words in its middle.

    Args:
        lines: from top to bottom.
        size: width and height, in CSS pixels.
        title: shown where a pointer rests on it.
        dashed: has a dashed border, for what is given or learned rather than computed.
    """

    lines: Sequence[Line]
    size: Point
    title: str = ""
    dashed: bool = False


def boxes_and_arrows(
    boxes: Sequence[Box],
    words: Sequence[Line],
    placement: Placement,
    notes: Sequence[Line] = (),
    *,
    downwards: bool = True,
) -> str:
    """Draw a graph.

    Args:
        boxes: of the placement's sizes.
        words: one line for each edge; may be empty.
        placement: where all of them go.
        notes: lines below the drawing.
        downwards: words stand to the right of an arrow; else above it.
    """
    width, height = placement.size
    parts = [_arrow(line, curved=placement.curved) for line in placement.lines]
    parts += [_box(center, box) for center, box in zip(placement.centers, boxes, strict=True)]
    for (x, y), line in zip(placement.labels, words, strict=True):
        if line and placement.curved:
            parts.append(_text((x, y + 4), line, "middle", _HALO))
        elif line and downwards:
            parts.append(_text((x + 8, y + 4), line, "start", _HALO))
        elif line:
            parts.append(_text((x - 3, y - 6), line, "middle", _HALO))
    for line in notes:
        height += _LINE
        parts.append(_text((4, height - 4), line, "start"))
        width = max(width, 8 + _width(line))
    return themed_svg(f'<svg viewBox="0 0 {width:g} {height:g}">{"".join(parts)}</svg>')


def significant(value: float | None, digits: int = 3) -> str:
    """Write a number with few digits.

    Example:
        >>> significant(0.123456), significant(-1e-7), significant(None)
        ('0.123', '−1e−07', '–')
    """
    return "–" if value is None else format_number(float(value), f".{digits}g")


def shortened(text: str, most: int) -> str:
    """Shorten a long name in its middle.

    Example:
        >>> shortened("features.denseblock1.conv", 15)
        'feature…k1.conv'
    """
    text = one_line_text(text)
    kept = most - 1
    return text if len(text) <= most else f"{text[: kept - kept // 2]}…{text[-(kept // 2) :]}"


def _box(center: Point, box: Box) -> str:
    (x, y), (width, height) = center, box.size
    dashes = "; stroke-dasharray: 4 3" if box.dashed else ""
    title = f"<title>{escape(one_line_text(box.title))}</title>" if box.title else ""
    top = y - _LINE * (len(box.lines) - 1) / 2 + 4.5
    return (
        f'<g>{title}<rect x="{x - width / 2:g}" y="{y - height / 2:g}" width="{width:g}" height="{height:g}" '
        f'rx="5" style="fill: {light("raised")}; stroke: {light("rule")}{dashes}"/>'
        + "".join(_text((x, top + _LINE * row), line, "middle") for row, line in enumerate(box.lines))
        + "</g>"
    )


def _arrow(points: Sequence[Point], *, curved: bool) -> str:
    """Draw a line with a head at its end, which points where the line comes from the other side."""
    (from_x, from_y), (x, y) = points[-2:]
    length = math.hypot(x - from_x, y - from_y) or 1.0
    along = (x - from_x) / length, (y - from_y) / length
    base = x - 7 * along[0], y - 7 * along[1]
    aside = -4 * along[1], 4 * along[0]
    corners = [(x, y), (base[0] + aside[0], base[1] + aside[1]), (base[0] - aside[0], base[1] - aside[1])]
    ink = light("muted")
    steps = " ".join(f"{each[0]:g} {each[1]:g}" for each in points[1:-1])
    word = "C" if curved else "L"
    return (
        f'<path d="M {points[0][0]:g} {points[0][1]:g} {word} {steps} {x:g} {y:g}" '
        f'style="stroke: {ink}; fill: none"/>'
        f'<path d="M {" L ".join(f"{a:g} {b:g}" for a, b in corners)} z" style="fill: {ink}"/>'
    )


def _text(place: Point, line: Line, anchor: str, style: str = "") -> str:
    spans = "&#160; ".join(
        f'<tspan style="fill: {light(each.color)}; font-size: {each.size:g}px'
        f'{"; font-weight: bold" if each.bold else ""}">{escape(one_line_text(each.text))}</tspan>'
        for each in line
    )
    return f'<text x="{place[0]:g}" y="{place[1]:g}" text-anchor="{anchor}" style="{style}">{spans}</text>'


def _width(line: Line) -> float:
    return sum(0.56 * each.size * (len(each.text) + 2) for each in line)
