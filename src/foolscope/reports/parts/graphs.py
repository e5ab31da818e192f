"""Computational graphs of models: each layer with its values and gradients, folded up."""

from collections.abc import Sequence

from foolscope.experiments.parts.graph_records import GraphRecord
from foolscope.reports import figures as draw
from foolscope.reports.document import Block, Details, Figure, Paragraph, Section
from foolscope.reports.phrases import join_words, one_or_many

__all__ = ["graph_blocks", "graph_drawing"]


def graph_blocks(graphs: Sequence[GraphRecord]) -> list[Block]:
    """Show every graph, in the plain layout: a report looks the same wherever it is made."""
    if not graphs:
        return []
    when = "before training" if graphs[0].weights == "initial" else "after training"
    explanation = (
        f"What {graphs[0].images} images are turned into, layer by layer, {when}, and what flows back from "
        "the loss. The size of a gradient is that of one image: the root mean square over the images of the "
        "norm of its loss\u2019s gradient; that of a parameter is the norm of the mean loss\u2019s. What "
        "comes back to a layer along several ways adds up, as vectors."
    )
    drawings = [Details(f"Graph of {join_words(graph.recipes)}", [_figure(graph)]) for graph in graphs]
    return [Section("Computational graphs", [Paragraph(explanation), *drawings])]


def graph_drawing(graph: GraphRecord, *, graphviz: bool) -> str:
    """Draw a graph, placed by Graphviz or by the plain layout."""
    document = graph.model_dump()
    return draw.layer_graph(document["nodes"], document["edges"], graphviz=graphviz)


def _figure(graph: GraphRecord) -> Figure:
    loss = graph.nodes[-1].mean
    layers = sum(node.kind in ("layer", "operation") for node in graph.nodes)
    whose = f" The numbers are those of {graph.recipes[0]}." if len(graph.recipes) > 1 else ""
    return Figure(
        graph_drawing(graph, graphviz=False),
        f"The computational graph of {join_words(graph.recipes)}, from the images down to the loss.{whose}",
        f"Boxes from the images over {one_or_many(layers, 'layer')} to the loss"
        + ("." if loss is None else f", which is {loss:.3g}."),
        key=f"graph-{graph.recipes[0]}",
    )
