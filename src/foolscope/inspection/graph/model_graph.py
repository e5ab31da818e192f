"""The computational graph of a model with its values and gradients, as it is stored and drawn."""

from typing import Literal

from pydantic import Field

from foolscope.core.settings import FiniteFloat, Settings

__all__ = ["GraphEdge", "GraphNode", "Kind", "ModelGraph"]

Kind = Literal["input", "parameter", "layer", "operation", "loss"]


class GraphNode(Settings):
    """A layer, an operation between layers, a parameter, an input or the loss; null is what is not finite."""

    name: str = Field(description="path in the model; of an operation, that of the module it runs in")
    kind: Kind
    operation: str = Field(
        description="class of a layer, name of an operation, last part of a parameter's name"
    )
    shape: list[int] = Field(description="of the output, without the batch where that comes first")
    mean: FiniteFloat = Field(description="of the output; of the loss, its value")
    deviation: FiniteFloat = Field(description="standard deviation of the output")
    zeros: FiniteFloat = Field(description="fraction of zeros in the output")
    norm: FiniteFloat = Field(None, description="of a parameter")
    gradient: FiniteFloat = Field(
        None,
        description="size of the loss's gradient with respect to the output, per image; of a parameter, the "
        "norm of the mean loss's gradient; null for labels",
    )


class GraphEdge(Settings):
    """An edge from an input to the node that uses it, by positions in the list of nodes."""

    start: int
    end: int
    gradient: FiniteFloat = Field(
        None,
        description="size of the gradient that flows back, measured like that of start; null for labels, and "
        "where the uses of a shared parameter cannot be told apart",
    )
    gain: FiniteFloat = Field(
        None,
        description="that gradient divided by the gradient at end; null for parameters and labels, and where "
        "no gradient reaches end",
    )


class ModelGraph(Settings):
    """The forward pass of a batch of images through a model, and the gradients that flow back."""

    recipes: list[str] = Field(
        default_factory=list, description="whose models have this graph; the numbers are of the first"
    )
    weights: Literal["initial", "trained"] = "trained"
    images: int = Field(description="in the batch")
    nodes: list[GraphNode] = Field(description="in order of computation: the images first, the loss last")
    edges: list[GraphEdge] = Field(description="in the order of their ends")
