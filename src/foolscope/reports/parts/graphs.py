"""Computational graphs of models: each layer with its values and gradients, collapsed."""

from collections.abc import Sequence

from foolscope.inspection.graph.computational_graph import ModelGraph
from foolscope.reports import document as doc
from foolscope.reports import figures as draw
from foolscope.reports.parts.part import PartReport
from foolscope.reports.phrases import join_words, one_or_many

__all__ = ["REPORT", "graph_blocks"]


def graph_blocks(graphs: Sequence[ModelGraph]) -> list[doc.Block]:
    """Show every graph in the plain layout, so that a report looks the same wherever it is made."""
    if not graphs:
        return []
    when = "before training" if graphs[0].weights == "initial" else "after training"
    explanation = (
        f"The output of every layer for {graphs[0].images} images, {when}, and the gradient of the loss. The "
        "size of a gradient is the root mean square over the images of the norm of each image\u2019s "
        "gradient; for a parameter, it is the norm of the mean loss\u2019s gradient. Gradients that reach a "
        "layer along several paths add up, as vectors."
    )
    drawings = [doc.Details(f"Graph of {join_words(graph.recipes)}", [_figure(graph)]) for graph in graphs]
    return [doc.Section("Computational graphs", [doc.Paragraph(explanation), *drawings])]


def _figure(graph: ModelGraph) -> doc.Figure:
    loss = graph.nodes[-1].mean
    layers = sum(node.kind in ("layer", "operation") for node in graph.nodes)
    whose = f" The numbers are those of {graph.recipes[0]}." if len(graph.recipes) > 1 else ""
    return doc.Figure(
        draw.later(draw.layer_graph, graph),
        f"The computational graph of {join_words(graph.recipes)}, from the images down to the loss.{whose}",
        f"Boxes from the images through {one_or_many(layers, 'layer')} to the loss"
        + ("." if loss is None else f", which is {loss:.3g}."),
        key=f"graph-{graph.recipes[0]}",
    )


REPORT = PartReport[ModelGraph](
    sections=lambda records, shown: [doc.Section("The classifiers", graph_blocks(records))]
)
