"""Drawn prototype trees: everything is there, inside the drawing, and nothing covers anything else."""

import re
import xml.etree.ElementTree as ElementTree
from itertools import combinations

import numpy as np
import pytest

from foolscope.experiments.parts.inspections.records import ModelInspection
from foolscope.inspection.tree.records import Box, TreeInspection, TreeLeaf, TreeNode, TreePath, TreeStep
from foolscope.reports import render_html
from foolscope.reports.figures import prototype_tree, tree_paths
from foolscope.reports.parts.inspections.inspection import inspection_document

BOX = Box(top=2.0, left=4.0, height=2.0, width=2.0)


def tree_of(shape, classes=("cat", "dog <&>")):
    """A tree given as nested pairs (yes, no), None for a leaf; nodes are numbered in the complete tree."""
    nodes, leaves = [], []

    def visit(part, number, level):
        if part is None:
            leaves.append(TreeLeaf(node=number, share=0.1, distribution=[0.3, 0.7]))
            return
        children = 2 * number + 2, 2 * number + 1
        shown = TreeNode(
            node=number, yes=children[0], no=children[1], share=0.5, similarity=0.4,
            image=f"tree-node-{number}", label=classes[0], box=BOX,
        )  # fmt: skip
        nodes.append(shown)
        for child, own in zip(children, part, strict=True):
            visit(own, child, level + 1)

    visit(shape, 0, 0)
    steps = [TreeStep(node=0, similarity=0.93, box=BOX)] * 7
    path = TreePath(
        image="tree-image-0", label="cat", predicted=classes[1], probability=0.6, steps=steps, way=0.4,
        leaf=[0.2, 0.8],
    )  # fmt: skip
    record = TreeInspection(
        classes=list(classes), depth=5, nodes=nodes, leaves=leaves, decisions=len(nodes), pruned=0,
        projected=True, agreement=0.9, right=[], wrong=[path],
    )  # fmt: skip
    keys = [node.image for node in nodes] + ["tree-image-0"]
    return record, {key: np.full((1, 8, 8), 0.5, np.float32) for key in keys}


def complete(depth):
    return (complete(depth - 1), complete(depth - 1)) if depth else None


def uneven(depth):
    return (None, uneven(depth - 1)) if depth % 2 else (uneven(depth - 1), None) if depth else None


def squares(svg):
    """Left, top, right and bottom of each picture."""
    found = ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}image")
    for each in found:
        x, y, width, height = (float(each.get(name)) for name in ("x", "y", "width", "height"))
        yield x, y, x + width, y + height


@pytest.mark.parametrize(
    "shape", [complete(1), complete(3), complete(5), uneven(5), ((None, None), None), None]
)
def test_every_node_shows_its_image_and_patch_and_none_covers_another(shape):
    tree, pictures = tree_of(shape)
    svg = prototype_tree(tree, pictures)
    boxes = list(squares(svg))
    assert len(boxes) == 2 * len(tree.nodes)
    _, _, width, height = map(float, re.search(r'viewBox="([^"]+)"', svg)[1].split())
    for left, top, right, bottom in boxes:
        assert min(left, top) >= 0
        assert right <= width
        assert bottom <= height
    for one, other in combinations(boxes, 2):
        overlaps = [max(one[side], other[side]) < min(one[side + 2], other[side + 2]) for side in (0, 1)]
        assert not all(overlaps)
    words = [each.text for each in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
    assert words.count("0.70") == len(tree.leaves)


def test_a_path_shows_each_question_and_answer():
    tree, pictures = tree_of(complete(2))
    svg = tree_paths(tree.wrong, tree, pictures)
    assert len(list(squares(svg))) == 1 + 2 * 7
    words = [each.text for each in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
    assert sum("0.93" in each and "yes" in each for each in words) == 7
    assert "dog <&> 0.60" in words


def test_the_page_has_the_tree_and_says_where_patches_are_from():
    tree, pictures = tree_of(complete(2))
    record = ModelInspection(
        name="net", facts={}, images=9, norm="linf", epsilon=0.1, spectra=[], compression=[], tree=tree
    )
    page = render_html(inspection_document(record, pictures))
    assert "The tree has 3 nodes, at most 5 on a path" in page
    assert "training patch that the prototype was projected onto" in page
    unprojected = record.model_copy(update={"tree": tree.model_copy(update={"projected": False})})
    assert "were not projected" in render_html(inspection_document(unprojected, pictures))
    assert "<image" not in render_html(inspection_document(record, {}))  # a report without pictures
