"""Prototype trees: every node as the patch it looks for, and the paths of images through the tree."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foolscope.inspection.tree.records import TreeInspection, TreeLeaf, TreeNode, TreePath
from foolscope.reports.figures.canvas import WIDTH
from foolscope.reports.figures.graphs.boxes import shortened
from foolscope.reports.figures.graphs.vectors import bar, boxed_picture, cropped, curve, picture, text
from foolscope.reports.figures.svg import themed_svg

__all__ = ["prototype_tree", "tree_paths"]

Pictures = Mapping[str, NDArray[Any]]

_LEAF = 206.0  # CSS pixels that a leaf's class, bar and share take
_KEY = 26.0  # height of the key above the tree
_STEPS = 5  # in one row of a path


def prototype_tree(tree: TreeInspection, pictures: Pictures) -> str:
    """Draw a tree from the root on the left to the leaves on the right.

    Each node is its prototype's training image, with a box around the patch, beside the patch enlarged.
    Upper branches are those of images that contain it. Branches are as wide as the share of the images that
    take them.

    Args:
        tree: as inspected.
        pictures: pixels in [0, 1] by key.
    """
    levels = _levels(tree)
    count, columns = len(tree.leaves), max(1, 1 + max(levels.values(), default=0))
    row = min(46.0, max(31.0, 420 / count))
    column = (WIDTH - _LEAF) / columns
    side = min(72.0, 2 * row - 20, (column - 30) / 2)
    heights = _heights(tree, row)
    root = tree.nodes[0].node if levels else tree.leaves[0].node
    parts = [_key()]
    for node in tree.nodes:
        if node.node not in levels:
            continue
        x, y = levels[node.node] * column, heights[node.node]
        for child, yes in ((node.yes, True), (node.no, False)):
            end_x = levels[child] * column if child in levels else WIDTH - _LEAF
            share = _share(tree, child)
            parts.append(_branch((x + 2 * side + 2, y), (end_x, heights[child]), share, yes=yes))
        parts.append(_card(node, pictures[node.image], (x, y), side))
    parts += [_leaf(tree, leaf, heights[leaf.node]) for leaf in tree.leaves]
    height = max(count * row, heights[root] + side) + _KEY + 8
    return themed_svg(f'<svg viewBox="0 0 {WIDTH:g} {height:g}">{"".join(parts)}</svg>')


def tree_paths(paths: Sequence[TreePath], tree: TreeInspection, pictures: Pictures) -> str:
    """Draw the most likely decisions for some images, one image below the other.

    Each step shows the patch that the node looks for, the nearest patch of the image in a box, and their
    similarity; at the end the distribution of the leaf.
    """
    parts, top = [], 4.0
    for path in paths:
        drawn, height = _path(path, tree, pictures, top)
        parts += drawn
        top += height
    return themed_svg(f'<svg viewBox="0 0 {WIDTH:g} {top:g}">{"".join(parts)}</svg>')


def _levels(tree: TreeInspection) -> dict[int, int]:
    """Return the column of each node that is drawn, by its number."""
    ends = {leaf.node for leaf in tree.leaves}
    levels: dict[int, int] = {}

    def visit(number: int, level: int) -> None:
        node = tree.node(number)
        if number in ends or node is None:
            return
        levels[number] = level
        visit(node.yes, level + 1)
        visit(node.no, level + 1)

    if tree.nodes:
        visit(tree.nodes[0].node, 0)
    return levels


def _heights(tree: TreeInspection, row: float) -> dict[int, float]:
    """Return the middle of each node and leaf: leaves follow each other, a node is between its children."""
    heights = {leaf.node: _KEY + (place + 0.5) * row for place, leaf in enumerate(tree.leaves)}

    def visit(number: int) -> float:
        node = tree.node(number)
        if number not in heights and node is not None:
            heights[number] = (visit(node.yes) + visit(node.no)) / 2
        return heights[number]

    if tree.nodes:
        visit(tree.nodes[0].node)
    return heights


def _share(tree: TreeInspection, number: int) -> float:
    leaf = next((each for each in tree.leaves if each.node == number), None)
    node = tree.node(number)
    found = leaf if leaf is not None else node
    return found.share if found is not None else 0.0


def _key() -> str:
    parts = []
    for x, words, yes in ((2.0, "up: contains the patch", True), (200.0, "down: does not", False)):
        parts.append(_branch((x, 10), (x + 30, 10), 0.15, yes=yes))
        parts.append(text((x + 38, 14), words, "muted", 11))
    parts.append(text((WIDTH - _LEAF + 4, 14), "leaf: likeliest class", "muted", 11))
    parts.append(text((WIDTH, 14), "images", "muted", 11, anchor="end"))
    return "".join(parts)


def _branch(start: tuple[float, float], end: tuple[float, float], share: float, *, yes: bool) -> str:
    width = 1 + 7 * max(0.0, share) ** 0.5
    return curve(start, end, "series-3" if yes else "quiet", width)


def _card(node: TreeNode, image: NDArray[Any], left_middle: tuple[float, float], side: float) -> str:
    x, middle = left_middle
    y = middle - side / 2
    words = (
        f"node {node.node}: patch of an image of class {node.label}; mean similarity {node.similarity:.2f}, "
        f"reached by {100 * node.share:.0f} % of the images"
    )
    letters = max(4, int(2 * side / 5.6))
    return (
        boxed_picture(image, node.box, (x, y), side, words)
        + picture(cropped(image, node.box), (x + side + 2, y), side, words)
        + text((x, y + side + 11), shortened(node.label, letters), "muted", 10)
    )


def _leaf(tree: TreeInspection, leaf: TreeLeaf, middle: float) -> str:
    x = WIDTH - _LEAF + 4
    best = int(np.argmax(leaf.distribution))
    probability = leaf.distribution[best]
    name = shortened(tree.classes[best], 14)
    more = f" and {leaf.decisions} more decisions" if leaf.decisions else ""
    words = "; ".join(
        f"{name} {value:.2f}"
        for value, name in sorted(zip(leaf.distribution, tree.classes, strict=True), reverse=True)[:4]
    )
    parts = [
        text((x, middle + 4), name, "ink", 12),
        bar((x + 92, middle - 5), (42, 10), probability, "series-1", words + more),
        text((x + 138, middle + 4), f"{probability:.2f}", "ink", 11),
        text((WIDTH, middle + 4), f"{100 * leaf.share:.0f} %", "muted", 11, anchor="end"),
    ]
    if leaf.decisions:
        parts.append(text((x, middle + 15), f"{leaf.decisions} more decisions", "muted", 9))
    return "".join(parts)


def _path(path: TreePath, tree: TreeInspection, pictures: Pictures, top: float) -> tuple[list[str], float]:
    """Draw one path; return its pieces and its height."""
    image, side, small, step = pictures[path.image], 84.0, 50.0, 118.0
    right = path.label == path.predicted
    parts = [
        picture(image, (0, top + 4), side, path.label),
        text((0, top + side + 18), shortened(path.label, 16), "ink", 12, bold=True),
        text(
            (0, top + side + 33),
            f"{shortened(path.predicted, 13)} {path.probability:.2f}",
            "good" if right else "bad",
            11,
        ),
    ]
    rows = -(-len(path.steps) // _STEPS) or 1
    for place, each in enumerate(path.steps):
        node = tree.node(each.node)
        assert node is not None
        x, y = 104 + place % _STEPS * step, top + place // _STEPS * 100
        contains = each.similarity > 0.5
        own = pictures[node.image]
        parts += [
            text((x, y + 13), "contains?", "muted", 10),
            text((x + small + 2, y + 13), "nearest", "muted", 10),
            picture(cropped(own, node.box), (x, y + 18), small, f"from an image of class {node.label}"),
            boxed_picture(image, each.box, (x + small + 2, y + 18), small, "the nearest patch of this image"),
            text(
                (x, y + small + 34),
                f"{each.similarity:.2f}  {'yes' if contains else 'no'}",
                "series-3" if contains else "quiet",
                12,
                bold=True,
            ),
        ]
        if place + 1 < len(path.steps) or rows == 1:
            parts.append(text((x + 2 * small + 9, y + 47), "›", "muted", 15, anchor="middle"))
    x = 104 + _STEPS * step
    parts.append(text((x, top + 13), f"leaf, path {path.way:.2f}", "muted", 10))
    for place, best in enumerate(np.argsort(-np.array(path.leaf), kind="stable")[:3].tolist()):
        y = top + 34 + place * 27
        parts.append(text((x, y), shortened(tree.classes[best], 14), "ink", 11))
        parts.append(bar((x, y + 4), (80, 8), path.leaf[best], "series-1", ""))
        parts.append(text((x + 86, y + 12), f"{path.leaf[best]:.2f}", "muted", 11))
    return parts, max(side + 52, rows * 100 + 18.0)
