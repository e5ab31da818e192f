"""Computational graphs: of a scalar expression from left to right, of a model from top to bottom."""

from collections.abc import Mapping, Sequence
from typing import Any

from foolscope.inspection.graph.computational_graph import GraphEdge, GraphNode, ModelGraph
from foolscope.reports.figures.graphs.boxes import Box, Words, boxes_and_arrows, shortened, significant
from foolscope.reports.figures.graphs.graphviz import by_graphviz
from foolscope.reports.figures.graphs.layered import Point, layered

__all__ = ["computational_graph", "layer_graph"]

_SCALAR = (112.0, 66.0)  # CSS pixels
_SCALAR_WORDS = (60.0, 16.0)
_LAYER = (268.0, 62.0)
_SIDE = (186.0, 40.0)
_LAYER_WORDS = (116.0, 16.0)
_NAME = 24  # letters
_MOST_BESIDE = 4

_Node = Mapping[str, Any]
_Edge = Mapping[str, Any]


def computational_graph(nodes: Sequence[_Node], edges: Sequence[_Edge], *, graphviz: bool = False) -> str:
    """Draw the graph of a scalar expression, from the inputs to the output.

    Args:
        nodes: in the order of computing, each with ``label``, ``value`` and ``gradient``.
        edges: each with ``start`` and ``end``, positions among the nodes, and the local derivative ``slope``.
        graphviz: whether Graphviz places them.

    Raises:
        ValueError: there is no node, or an edge goes backwards.
    """
    pairs = _checked("computational_graph", len(nodes), [(edge["start"], edge["end"]) for edge in edges])
    boxes = [
        Box(
            [
                [Words(shortened(str(node["label"]), 11), size=13, bold=True)],
                [Words(f"value {significant(node['value'], 4)}", "series-1")],
                [Words(f"slope {significant(node['gradient'], 4)}", "series-2")],
            ],
            _SCALAR,
        )
        for node in nodes
    ]
    words = [[Words(f"× {significant(edge['slope'], 4)}", "muted", 11)] for edge in edges]
    sizes = [box.size for box in boxes]
    placement = (
        by_graphviz(sizes, pairs, [line[0].text for line in words], downwards=False)
        if graphviz
        else layered(sizes, pairs, labels=_SCALAR_WORDS, downwards=False)
    )
    return boxes_and_arrows(boxes, words, placement, downwards=False)


def layer_graph(graph: ModelGraph, *, graphviz: bool = False) -> str:
    """Draw the graph of a model from top to bottom; parameters and labels stand beside their layers.

    A parameter that several layers use stands beside each of them; where a layer has more than four, the
    others are counted.

    Args:
        graph: of a model.
        graphviz: whether Graphviz places them.

    Raises:
        ValueError: there is no node, or an edge goes backwards.
    """
    nodes, edges = graph.nodes, graph.edges
    _checked("layer_graph", len(nodes), [(edge.start, edge.end) for edge in edges])
    given = [node.kind == "parameter" or node.operation == "labels" for node in nodes]
    inner = [place for place in range(len(nodes)) if not given[place]]
    places = {place: position for position, place in enumerate(inner)}
    boxes = [_layer(nodes[place]) for place in inner]
    pairs = [(places[edge.start], places[edge.end]) for edge in edges if not given[edge.start]]
    words = [_flow(edge) for edge in edges if not given[edge.start]]
    beside: dict[int, int] = {}
    for place in inner:
        own = [nodes[edge.start] for edge in edges if edge.end == place and given[edge.start]]
        shown = own if len(own) <= _MOST_BESIDE else own[: _MOST_BESIDE - 1]
        stack = [_side(node) for node in shown]
        if len(own) > len(shown):
            stack.append(
                Box([[Words(f"and {len(own) - len(shown)} more parameters", "muted")]], _SIDE, "", True)
            )
        for box in stack:
            beside[len(boxes)] = places[place]
            pairs.append((len(boxes), places[place]))
            boxes.append(box)
    words += [[] for _ in beside]
    sizes: list[Point] = [box.size for box in boxes]
    placement = (
        by_graphviz(sizes, pairs, ["  ".join(each.text for each in line) for line in words])
        if graphviz
        else layered(sizes, pairs, beside=beside, labels=_LAYER_WORDS)
    )
    return boxes_and_arrows(boxes, words, placement, _KEY)


_KEY = [
    [
        Words("In boxes:", "muted", 11),
        Words("shape, mean ± standard deviation, zeros", "series-1", 11),
        Words("size of the loss\u2019s gradient, per image", "series-2", 11),
    ],
    [
        Words("On arrows:", "muted", 11),
        Words("↑ backward gradient", "series-2", 11),
        Words("× gain: that gradient divided by the one at the layer\u2019s output", "muted", 11),
    ],
]


def _checked(what: str, nodes: int, edges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    if not nodes:
        raise ValueError(f"{what} needs at least one node; got none")
    if any(not 0 <= start < end < nodes for start, end in edges):
        raise ValueError("an edge must go from a node to a later one")
    return edges


def _layer(node: GraphNode) -> Box:
    operation = str({"images": "Images", "loss": "Loss"}.get(node.operation, node.operation))
    name = "" if node.kind in ("input", "loss") else node.name
    heading = [Words(shortened(operation, _NAME), size=13, bold=True)]
    if name:
        heading.append(Words(shortened(name, _NAME), "muted", 11))
    spread = f"{significant(node.mean)} ± {significant(node.deviation)}"
    if node.kind == "loss":
        return Box([heading, [Words(spread, "series-1")]], (_LAYER[0], 46.0))
    zeros = [] if not node.zeros else [f"{100 * node.zeros:.0f} % zeros"]
    values = " · ".join([*([_shape(node)] if node.shape else []), spread, *zeros])
    lines = [
        heading,
        [Words(values, "series-1")],
        [Words(f"gradient {significant(node.gradient)}", "series-2")],
    ]
    return Box(lines, _LAYER, f"{node.name} {node.operation}".strip())


def _side(node: GraphNode) -> Box:
    """Draw a parameter, or the labels, of which there is nothing more to say."""
    if node.kind != "parameter":
        return Box([[Words("labels", bold=True)]], (_SIDE[0], 28.0), dashed=True)
    heading = [Words(shortened(node.operation, 14), bold=True), Words(_shape(node), "muted", 11)]
    values = [
        Words(f"norm {significant(node.norm)}", "series-1", 11),
        Words(f"gradient {significant(node.gradient)}", "series-2", 11),
    ]
    return Box([heading, values], _SIDE, node.name, dashed=True)


def _flow(edge: GraphEdge) -> list[Words]:
    words = [Words(f"↑ {significant(edge.gradient)}", "series-2", 11)]
    return [*words, *([] if edge.gain is None else [Words(f"× {significant(edge.gain)}", "muted", 11)])]


def _shape(node: GraphNode) -> str:
    return "×".join(map(str, node.shape)) or "number"
