r"""The computational graph of a model: the output of every layer for a batch, and its gradient.

For n images with losses L_i, G = Σ_i ∂L_i/∂y is the gradient with respect to a tensor y, in which every image
has its own part. Its size is the root mean square over the images, √(Σ_i ‖∂L_i/∂y‖² / n) = ‖G‖ / √n. By the
chain rule a tensor's gradient is the sum of what flows back to it along all edges to its uses. The gain of an
edge is the ratio of the gradients at its start and its end: the size of the layer's local derivative in the
direction of the gradient.
"""

import copy
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Float, Int64
from pydantic import Field
from torch import Tensor, nn

from foolscope.core.errors import RecipeError
from foolscope.core.settings import FiniteFloat, Settings
from foolscope.inspection.graph.following import Kind, Step, followed
from foolscope.learning.losses import PackLoss, cross_entropy

__all__ = ["GraphEdge", "GraphNode", "ModelGraph", "computational_graph"]


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


def computational_graph(
    model: nn.Module,
    images: Float[Tensor, "batch channel height width"],
    labels: Int64[Tensor, " batch"],
    *,
    loss: PackLoss = cross_entropy,
    level: int | None = None,
) -> ModelGraph:
    """Follow a batch through a model to the loss, and the gradient back.

    In evaluation mode, on a copy of the model. Works for any module that PyTorch runs eagerly; branches and
    loops are followed as they are taken. Modules at the depth ``level`` (1: the model's children) count as
    one layer; by default all are opened.

    Raises:
        RecipeError: the model cannot be followed, or computes something else when it is.

    Example:
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
        >>> graph = computational_graph(model, torch.ones(3, 1, 2, 2), torch.zeros(3).long())
        >>> [(node.name, node.operation) for node in graph.nodes if node.kind == "layer"]
        [('0', 'Flatten'), ('1', 'Linear')]
    """
    if any(isinstance(module, torch.jit.ScriptModule) for module in model.modules()):
        raise RecipeError(
            "a TorchScript model does not show its layers; pass the module that it was made from"
        )
    twin = copy.deepcopy(model).eval()
    for parameter in twin.parameters():
        parameter.requires_grad_(parameter.is_floating_point())
    with torch.enable_grad():
        logits, source, steps = _followed(twin, images.detach().clone().requires_grad_(), level)
        losses = loss(logits[None], labels[None], None)[0]
    known = len(steps)
    steps += [
        Step("labels", "input", "labels", (labels,)),
        Step("loss", "loss", "loss", (losses,), ((source, logits), (known, None))),
    ]
    steps = _before_the_last(steps)
    return _graph(steps, _sizes(steps, losses), len(images))


def _followed(twin: nn.Module, entering: Tensor, level: int | None) -> tuple[Tensor, int, list[Step]]:
    """Follow a forward pass, and verify that it computes the same as one that is not followed."""
    what = type(twin).__name__
    try:
        with torch.random.fork_rng(devices=[]):  # someone's layer may draw from the global generator
            chance = torch.random.get_rng_state()
            with torch.no_grad():
                usual: Tensor = twin(entering.detach().clone())
            torch.random.set_rng_state(chance)
            logits, source, steps = followed(twin, entering, level)
            close = 1e-2 * float(usual.nan_to_num(0.0, 0.0, 0.0).abs().max())
            same = torch.allclose(usual, logits, rtol=0.0, atol=close, equal_nan=True)
    except Exception as error:  # it is their code, and may raise anything
        reason = " ".join(str(error).split())[:200]
        raise RecipeError(
            f"{what} cannot be followed layer by layer: {type(error).__name__}: {reason}"
        ) from error
    if source is None or not same:
        raise RecipeError(
            f"{what} computes something else when it is followed layer by layer, so its graph would be "
            "wrong; does it write into a part of a tensor, or compute outside of PyTorch?"
        )
    return logits, source, steps


def _before_the_last(steps: Sequence[Step]) -> list[Step]:
    """Drop the steps that the last one does not need."""
    needed = {len(steps) - 1}
    for position in range(len(steps) - 1, -1, -1):
        if position in needed:
            needed |= {source for source, _ in steps[position].ways}
    places = {position: place for place, position in enumerate(sorted(needed))}
    return [
        replace(step, ways=tuple((places[source], way) for source, way in step.ways))
        for step in (steps[position] for position in sorted(needed))
    ]


def _sizes(steps: Sequence[Step], losses: Tensor) -> dict[int, float]:
    """Return the norm of the summed losses' gradient with respect to every tensor, by the tensor's id."""
    ways = [way for step in steps for _, way in step.ways if way is not None]
    tensors = {id(each): each for each in [*ways, *(out for step in steps for out in step.outputs)]}
    if not losses.requires_grad:  # the model lets no gradient through
        return dict.fromkeys(tensors, 0.0)
    learning = {key: each for key, each in tensors.items() if each.requires_grad}
    found = torch.autograd.grad(losses.sum(), list(learning.values()), materialize_grads=True)
    sizes = dict.fromkeys(tensors, 0.0)
    return sizes | {
        key: float(torch.linalg.vector_norm(each.double())) for key, each in zip(learning, found, strict=True)
    }


def _graph(steps: Sequence[Step], sizes: Mapping[int, float], images: int) -> ModelGraph:
    uses = Counter(source for step in steps for source, _ in step.ways)
    shares = [images if step.kind == "parameter" else math.sqrt(images) for step in steps]
    gradients = [
        math.hypot(*(sizes[id(out)] for out in step.outputs)) / share
        for step, share in zip(steps, shares, strict=True)
    ]
    edges: list[GraphEdge] = []
    for end, step in enumerate(steps):
        for start, way in step.ways:
            learned = steps[start].kind == "parameter"
            back: float | None = None
            if way is not None:
                back = sizes[id(way)] / shares[start]
            elif learned and uses[start] == 1:
                back = gradients[start]
            gain = None if back is None or learned or not gradients[end] else back / gradients[end]
            edges.append(GraphEdge(start=start, end=end, gradient=back, gain=gain))
    nodes = [_node(step, gradient, images) for step, gradient in zip(steps, gradients, strict=True)]
    return ModelGraph(images=images, nodes=nodes, edges=edges)


def _node(step: Step, gradient: float, images: int) -> GraphNode:
    numbers = torch.cat([out.detach().flatten().double() for out in step.outputs])
    shape = tuple(step.outputs[0].shape)
    learned = step.kind == "parameter"
    return GraphNode(
        name=step.name,
        kind=step.kind,
        operation=step.operation,
        shape=list(shape if learned or shape[:1] != (images,) else shape[1:]),
        mean=float(numbers.mean()),
        deviation=float(numbers.std(correction=0)),
        zeros=float((numbers == 0).double().mean()),
        norm=float(torch.linalg.vector_norm(numbers)) if learned else None,
        gradient=None if step.name == "labels" and step.kind == "input" else gradient,
    )
