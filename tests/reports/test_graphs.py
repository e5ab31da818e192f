"""Drawn graphs: nothing covers anything else, whoever places it; files that stand on their own."""

import random
import xml.etree.ElementTree as ElementTree
from itertools import pairwise

import pytest

from foolscope.core.errors import RecipeError
from foolscope.inspection.graph.computational_graph import GraphEdge, GraphNode, ModelGraph
from foolscope.reference.expression import Scalar, exp, sigmoid
from foolscope.reports import render_html
from foolscope.reports.document import Document, Section
from foolscope.reports.figures import layer_graph
from foolscope.reports.figures.graphs import graphviz
from foolscope.reports.figures.graphs.layered import layered
from foolscope.reports.graph_files import write_graph
from foolscope.reports.parts.graphs import graph_blocks

HEIGHT = 40.0
LABELS = (70.0, 14.0)


def random_graph(seed):
    """A graph in which every box but the first few is made of some earlier ones, some twice."""
    chance = random.Random(seed)
    count = chance.randint(2, 12)
    edges = [
        (start, end)
        for end in range(1, count)
        for start in chance.choices(range(end), k=chance.randint(0, min(3, end)))
    ]
    sizes = [(chance.choice([60.0, 150.0]), HEIGHT) for _ in range(count)]
    beside = {}
    for owner in chance.sample(range(count), k=count // 2):
        for _ in range(chance.randint(1, 3)):
            beside[len(sizes)] = owner
            edges.append((len(sizes), owner))
            sizes.append((80.0, 25.0))
    return sizes, edges, beside


def rectangle(center, size):
    return center[0] - size[0] / 2, center[1] - size[1] / 2, center[0] + size[0] / 2, center[1] + size[1] / 2


def overlap(one, other):
    return max(one[0], other[0]) < min(one[2], other[2]) and max(one[1], other[1]) < min(one[3], other[3])


def pieces(line):
    """The straight pieces of a line as rectangles of no width, made a little wider."""
    for (x, y), (to_x, to_y) in pairwise(line):
        yield min(x, to_x) - 0.1, min(y, to_y) - 0.1, max(x, to_x) + 0.1, max(y, to_y) + 0.1


@pytest.mark.parametrize("downwards", [True, False])
def test_no_box_word_or_line_covers_a_box(downwards):
    for seed in range(60):
        sizes, edges, beside = random_graph(seed)
        placement = layered(sizes, edges, beside=beside, labels=LABELS, downwards=downwards)
        boxes = [rectangle(*each) for each in zip(placement.centers, sizes, strict=True)]
        for place, box in enumerate(boxes):
            assert box[0] >= 0
            assert box[1] >= 0
            assert box[2] <= placement.size[0]
            assert box[3] <= placement.size[1]
            assert not any(overlap(box, other) for other in boxes[:place])
        for (start, end), line in zip(edges, placement.lines, strict=True):
            own = {start, end, *(box for box in beside if start in beside and beside[box] == end)}
            others = [box for place, box in enumerate(boxes) if place not in own]
            assert not any(overlap(piece, box) for piece in pieces(line) for box in others)
            assert all(0 <= x <= placement.size[0] and 0 <= y <= placement.size[1] for x, y in line)
        words = []
        for (start, _), (x, y) in zip(edges, placement.labels, strict=True):
            if start not in beside:
                across = (x, y - 7, x + LABELS[0], y + 7) if downwards else (x - 20, y - 14, x + 20, y)
                words.append(across)
        for place, word in enumerate(words):
            assert not any(overlap(word, other) for other in (*boxes, *words[:place]))


def test_edges_of_one_pair_are_two_lines():
    placement = layered([(60.0, HEIGHT)] * 2, [(0, 1), (0, 1)], labels=LABELS)
    assert placement.lines[0] != placement.lines[1]


def node(kind, operation, shape, **numbers):
    fields = {"mean": 0.5, "deviation": 1.5, "zeros": 0.25, "gradient": 2.0} | numbers
    return GraphNode(name=f"name-of-{operation}", kind=kind, operation=operation, shape=list(shape), **fields)


def record():
    return ModelGraph(
        recipes=["small", "wide"],
        weights="initial",
        images=3,
        nodes=[
            node("input", "images", (1, 2, 2)),
            *(node("parameter", f"w{number}", (4,), norm=7.0) for number in range(5)),
            node("layer", "A<b", (4,), mean=None),
            node("input", "labels", (), gradient=None),
            node("loss", "loss", (), mean=2.303),
        ],
        edges=[
            GraphEdge(start=0, end=6, gradient=2.0, gain=0.125),
            *(GraphEdge(start=place, end=6, gradient=2.0) for place in range(1, 6)),
            GraphEdge(start=6, end=8, gradient=2.0, gain=1.0),
            GraphEdge(start=7, end=8),
        ],
    )


def test_the_graph_of_a_model_says_what_is_known_and_counts_the_rest():
    blocks = graph_blocks([ModelGraph.model_validate_json(record().model_dump_json())])
    page = render_html(Document("A title", "Why?", sections=[Section("Models", blocks)]))
    assert "Graph of small and wide" in page
    assert graph_blocks([]) == []
    for words in ("A&lt;b", "1×2×2", "× 0.125", "norm 7", "and 2 more parameters", "2.3 ± 1.5", "25 % zeros"):
        assert words in page
    assert "numbers are those of small" in page
    svg = layer_graph(record())
    assert svg.count("<rect") == 3 + 4 + 1
    with pytest.raises(ValueError, match="from a node to a later one"):
        layer_graph(record().model_copy(update={"edges": [GraphEdge(start=1, end=0)]}))


def test_graphs_are_files_that_stand_on_their_own(tmp_path):
    x = Scalar(2.0, "x")
    for name, graph in {"scalar": exp(x) + sigmoid(x), "model": record()}.items():
        text = write_graph(graph, tmp_path / "new" / f"{name}.svg").read_text()
        assert ElementTree.fromstring(text).tag.endswith("svg")
        assert "var(" not in text
    with pytest.raises(RecipeError, match=r"such as graph\.svg; got 'x\.png'"):
        write_graph(x, "x.png")


PLAIN = """graph 1 3.000 4.000
node 0 1.000 3.500 1.0000 0.5000 "" solid box black lightgrey
node 1 2.000 0.500 1.0000 0.5000 "" solid box black lightgrey
edge 0 1 4 1.000 3.250 1.000 2.500 2.000 1.500 2.000 0.750 1_______ 2.500 2.000 solid black
edge 0 1 4 0.900 3.250 0.900 2.500 1.900 1.500 1.900 0.750 "0_" 1.500 2.000 solid black
stop
"""


def test_what_dot_prints_is_turned_into_pixels_from_the_upper_left_corner():
    placement = graphviz._placement(PLAIN, 2, 2)
    assert placement.size == (3 * 96 + 8, 4 * 96 + 8)
    assert placement.centers == ((100.0, 52.0), (196.0, 340.0))
    assert placement.lines[1] == ((100.0, 76.0), (100.0, 148.0), (196.0, 244.0), (196.0, 316.0))
    assert placement.labels == ((148.0, 196.0), (244.0, 196.0))


@pytest.mark.skipif(not graphviz.has_graphviz(), reason="the program dot or the package graphviz is not here")
def test_graphviz_places_boxes_apart_from_each_other():
    sizes, edges, _ = random_graph(3)
    placement = graphviz.by_graphviz(sizes, edges, ["× 0.5"] * len(edges))
    boxes = [rectangle(*each) for each in zip(placement.centers, sizes, strict=True)]
    assert not any(overlap(box, other) for place, box in enumerate(boxes) for other in boxes[:place])
    for (start, end), line in zip(edges, placement.lines, strict=True):
        assert len(line) % 3 == 1
        assert from_border(line[0], boxes[start]) < 2
        assert from_border(line[-1], boxes[end]) < 2


def from_border(point, box):
    (x, y), (left, top, right, bottom) = point, box
    outside = max(left - x, x - right, top - y, y - bottom)
    return outside if outside > 0 else min(x - left, right - x, y - top, bottom - y)
