"""The computational graph of a model, as stored and reported."""

from typing import Literal

from pydantic import Field

from foolscope.core.settings import Settings

__all__ = ["GraphEdgeRecord", "GraphNodeRecord", "GraphRecord"]


class GraphNodeRecord(Settings):
    """A layer, an operation between layers, a parameter, an input or the loss; null is what is not finite."""

    name: str = Field(description="path in the model")
    kind: Literal["input", "parameter", "layer", "operation", "loss"]
    operation: str = Field(
        description="class of a layer, name of an operation, last part of a parameter's name"
    )
    shape: list[int] = Field(description="without the batch, where that comes first")
    mean: float | None
    deviation: float | None
    zeros: float | None = Field(description="which part of the numbers is 0")
    norm: float | None = Field(None, description="of a parameter")
    gradient: float | None = Field(
        None, description="size of the loss's gradient, for an image; of a parameter, that of the mean loss"
    )


class GraphEdgeRecord(Settings):
    """A way from a node to one that is made of it, by places in the list."""

    start: int
    end: int
    gradient: float | None = Field(None, description="size of what flows back")
    gain: float | None = Field(None, description="that in units of the gradient of where the edge ends")


class GraphRecord(Settings):
    """What a batch of images is turned into by a model, and the gradients that flow back."""

    recipes: list[str] = Field(description="whose models have this graph; the numbers are of the first")
    weights: Literal["initial", "trained"]
    images: int
    nodes: list[GraphNodeRecord]
    edges: list[GraphEdgeRecord]
