"""Writes the computational graph of a scalar expression or of a model as an SVG file."""

from pathlib import Path

from foolscope.core.errors import RecipeError
from foolscope.core.files import write_text
from foolscope.inspection.graph.computational_graph import ModelGraph
from foolscope.reference.expression import Scalar, drawn
from foolscope.reports.figures import computational_graph, layer_graph, standalone_svg
from foolscope.reports.figures.graphs.graphviz import has_graphviz

__all__ = ["svg_path", "write_graph"]


def svg_path(path: str | Path) -> Path:
    """Return the path of an SVG file.

    Raises:
        RecipeError: the suffix is not ``.svg``.
    """
    if Path(path).suffix.lower() != ".svg":
        raise RecipeError(f"a graph is written as an SVG file, such as graph.svg; got {str(path)!r}")
    return Path(path)


def write_graph(graph: Scalar | ModelGraph, path: str | Path) -> Path:
    """Draw a scalar expression, or a model, as a standalone SVG file.

    Graphviz places boxes and arrows where the program ``dot`` and the Python package ``graphviz`` are
    installed; otherwise a plain layout does.

    Args:
        graph: the expression's output; or a model's graph.
        path: of the file, ending in ``.svg``; its folder is created.

    Returns:
        The path.

    Raises:
        RecipeError: the suffix is not ``.svg``.
        StoreError: no space or no permission.

    Example:
        >>> import tempfile
        >>> from foolscope.reference.expression import Scalar, sigmoid
        >>> folder = tempfile.mkdtemp()
        >>> write_graph(sigmoid(Scalar(1.0, "x")), f"{folder}/sigmoid.svg").read_text()[:4]
        '<svg'
    """
    target = svg_path(path)
    if isinstance(graph, Scalar):
        nodes, edges = drawn(graph)
        svg = computational_graph(
            [vars(node) for node in nodes], [vars(edge) for edge in edges], graphviz=has_graphviz()
        )
    else:
        svg = layer_graph(graph, graphviz=has_graphviz())
    write_text(target, standalone_svg(svg))
    return target
