"""A computational graph: boxes with values and gradients in columns, from the inputs to the output."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from foolscope.reports.figures.svg import themed_svg
from foolscope.reports.text import one_line_text
from foolscope.reports.theme import light

__all__ = ["computational_graph"]

_BOX = (96, 62)  # CSS pixels
_GAP = (72, 26)
_MARGIN = 4
_HALO = f"font-size: 11px; paint-order: stroke; stroke: {light('paper')}; stroke-width: 4px"


def computational_graph(nodes: Sequence[Mapping[str, Any]], edges: Sequence[Mapping[str, Any]]) -> str:
    """Draw a graph without a layout engine: a node stands in the column after the last of its inputs.

    Args:
        nodes: in the order of computing, each with ``label``, ``value`` and ``gradient``.
        edges: each with ``start`` and ``end``, places among the nodes, and the local derivative ``slope``.

    Returns:
        An ``<svg>`` element that follows the page's theme.

    Raises:
        ValueError: there is no node, or an edge goes backwards.
    """
    if not nodes:
        raise ValueError("computational_graph needs at least one node; got none")
    if any(not 0 <= edge["start"] < edge["end"] < len(nodes) for edge in edges):
        raise ValueError("an edge must go from a node to a later one")
    places = _places(len(nodes), [(edge["start"], edge["end"]) for edge in edges])
    columns, rows = (1 + max(place[axis] for place in places) for axis in (0, 1))
    width = columns * (_BOX[0] + _GAP[0]) - _GAP[0] + 2 * _MARGIN
    height = rows * (_BOX[1] + _GAP[1]) - _GAP[1] + 2 * _MARGIN
    corners = [
        (_MARGIN + column * (_BOX[0] + _GAP[0]), _MARGIN + row * (_BOX[1] + _GAP[1]))
        for column, row in places
    ]
    parts = [_edge(corners[edge["start"]], corners[edge["end"]], float(edge["slope"])) for edge in edges]
    parts += [_node(corner, node) for corner, node in zip(corners, nodes, strict=True)]
    return themed_svg(f'<svg viewBox="0 0 {width:g} {height:g}">{"".join(parts)}</svg>')


def _places(count: int, edges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return column and row of every node: inputs stand just before what is made of them first."""
    columns = [0] * count
    for start, end in sorted(edges, key=lambda edge: edge[1]):
        columns[end] = max(columns[end], columns[start] + 1)
    made = {end for _, end in edges}
    for node in set(range(count)) - made:
        columns[node] = min((columns[end] for start, end in edges if start == node), default=1) - 1
    filled: dict[int, int] = {}
    rows = [0] * count
    for node in sorted(range(count), key=lambda node: (node not in made, node)):  # the leaves below
        rows[node] = filled.get(columns[node], 0)
        filled[columns[node]] = rows[node] + 1
    return list(zip(columns, rows, strict=True))


def _node(corner: tuple[float, float], node: Mapping[str, Any]) -> str:
    left, top = corner
    middle = left + _BOX[0] / 2
    return (
        f'<rect x="{left:g}" y="{top:g}" width="{_BOX[0]}" height="{_BOX[1]}" rx="5" '
        f'style="fill: {light("raised")}; stroke: {light("rule")}"/>'
        + _text(
            middle, top + 18, one_line_text(str(node["label"])), "ink", "font-weight: bold; font-size: 13px"
        )
        + _text(middle, top + 36, f"value {_number(node['value'])}", "series-1", "font-size: 12px")
        + _text(middle, top + 53, f"slope {_number(node['gradient'])}", "series-2", "font-size: 12px")
    )


def _edge(start: tuple[float, float], end: tuple[float, float], slope: float) -> str:
    """Draw a line with an arrow head, and the local derivative above its middle."""
    x, y = start[0] + _BOX[0], start[1] + _BOX[1] / 2
    to_x, to_y = end[0] - 1, end[1] + _BOX[1] / 2
    ink = light("muted")
    return (
        f'<path d="M {x:g} {y:g} L {to_x:g} {to_y:g}" style="stroke: {ink}; fill: none"/>'
        f'<path d="M {to_x:g} {to_y:g} l -7 -4 l 0 8 z" style="fill: {ink}"/>'
        + _text((x + to_x) / 2 - 3, (y + to_y) / 2 - 6, f"× {_number(slope)}", "muted", _HALO)
    )


def _text(x: float, y: float, words: str, color: str, style: str) -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" text-anchor="middle" style="fill: {light(color)}; {style}">'
        f"{escape(words)}</text>"
    )


def _number(value: Any) -> str:
    return f"{float(value):.4g}".replace("-", "−")
