"""Graphviz, if installed, as a layout engine that places boxes and lines."""

import importlib
import importlib.util
import shlex
import shutil
from collections.abc import Sequence

from foolscope.reports.figures.graphs.layered import Edges, Placement, Point

__all__ = ["by_graphviz", "has_graphviz"]

_INCH = 96  # CSS pixels
_FONT = 11 * 0.75  # points of the words on edges
_MARGIN = 4
_STRAIGHT = 20  # how much more it matters that a chain is straight than that its parameters are near


def has_graphviz() -> bool:
    """Return whether both the Python package and the program ``dot`` are there."""
    return importlib.util.find_spec("graphviz") is not None and shutil.which("dot") is not None


def by_graphviz(
    sizes: Sequence[Point], edges: Edges, labels: Sequence[str], *, downwards: bool = True
) -> Placement:
    """Let ``dot`` place boxes of given sizes; needs :func:`has_graphviz`.

    Args:
        sizes: width and height of every box, in CSS pixels.
        edges: from a box to another.
        labels: words on every edge.
        downwards: rows follow each other from top to bottom; else from left to right.
    """
    text = _dot(sizes, edges, labels, downwards=downwards)
    found: bytes = importlib.import_module("graphviz").pipe("dot", "plain", text.encode())
    return _placement(found.decode(), len(sizes), len(edges))


def _dot(sizes: Sequence[Point], edges: Edges, labels: Sequence[str], *, downwards: bool) -> str:
    """Write a graph in dot's language; the label of an edge is its number, in a box as wide as its words."""
    lines = [
        f"digraph {{ rankdir={'TB' if downwards else 'LR'}; nodesep=0.3; ranksep=0.45;",
        'node [shape=box, fixedsize=true, label=""];',
        f'edge [arrowhead=none, fontname="Helvetica", fontsize={_FONT:g}];',
    ]
    reached = {end for _, end in edges}
    for box, (width, height) in enumerate(sizes):
        lines.append(f"{box} [width={width / _INCH:.4f}, height={height / _INCH:.4f}];")
    for number, ((start, end), words) in enumerate(zip(edges, labels, strict=True)):
        label = f"{f'{number}_':_<{len(words)}}"
        lines.append(f'{start} -> {end} [label="{label}", weight={_STRAIGHT if start in reached else 1}];')
    return "\n".join([*lines, "}"])


def _placement(plain: str, boxes: int, edges: int) -> Placement:
    """Read dot's plain output, in inches from the lower left corner."""
    centers: dict[int, Point] = {}
    lines: dict[int, tuple[Point, ...]] = {}
    words: dict[int, Point] = {}
    width = height = 0.0
    for line in plain.splitlines():
        kind, *values = shlex.split(line)

        def point(x: str, y: str, height: float = height) -> Point:
            return float(x) * _INCH + _MARGIN, (height - float(y)) * _INCH + _MARGIN

        if kind == "graph":
            width, height = float(values[1]), float(values[2])
        elif kind == "node":
            centers[int(values[0])] = point(values[1], values[2])
        elif kind == "edge":
            count = int(values[2])
            numbers, (label, x, y) = values[3 : 3 + 2 * count], values[3 + 2 * count : 6 + 2 * count]
            edge = int(label.rstrip("_"))
            pairs = zip(numbers[::2], numbers[1::2], strict=True)
            lines[edge] = tuple(point(*pair) for pair in pairs)
            words[edge] = point(x, y)
    return Placement(
        (width * _INCH + 2 * _MARGIN, height * _INCH + 2 * _MARGIN),
        tuple(centers[box] for box in range(boxes)),
        tuple(lines[edge] for edge in range(edges)),
        tuple(words[edge] for edge in range(edges)),
        curved=True,
    )
