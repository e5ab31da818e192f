"""How many images a pack predicts at a time: by the size of its activations, not by a constant."""

from collections.abc import Callable
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor

from foolscope.core.allocations import Allocations, activation_bytes, allocations
from foolscope.learning.optimizers import PackTensors
from foolscope.learning.packs.packing import Context, Program

__all__ = ["MOST_IMAGES", "evaluation_batch_size", "gradient_batch_size"]

MOST_IMAGES = 2048
"""Beyond which even the smallest network gains nothing."""

_Key = tuple[torch.dtype, torch.dtype, torch.Size, bool]
_known: WeakKeyDictionary[Program, dict[_Key, Allocations]] = WeakKeyDictionary()


def evaluation_batch_size(
    program: Program,
    tensors: PackTensors,
    images: Float[Tensor, "some channel height width"],
    context: Context,
) -> int:
    """Return how many images to predict at a time.

    So many that their activations take what :func:`foolscope.core.allocations.activation_bytes` says; or, in
    a program with more weights than activations, so many that activations are as much to write as the weights
    are to read.

    Args:
        program: of the pack.
        tensors: parameters and running statistics of every trial.
        images: some of the images, at least one, in the data type of the parameters.
        context: as in the evaluation.
    """
    own = _allocations(program, images, context, lambda some: program(tensors, some[None], context))
    budget = activation_bytes(images.device) / max(1.0, own.largest_per_image)
    weights = sum(value.numel() * value.element_size() for value in tensors.values())
    return max(1, min(MOST_IMAGES, int(max(budget, weights / max(1.0, own.total_per_image)))))


def gradient_batch_size(
    program: Program,
    tensors: PackTensors,
    images: Float[Tensor, "some channel height width"],
    context: Context,
) -> int:
    """Return for how many images to compute the gradient with respect to every trial's images at a time.

    The arguments are those of :func:`evaluation_batch_size`.
    """
    trials = next(iter(tensors.values())).shape[0]

    def gradient(some: Tensor) -> None:
        with torch.enable_grad():
            inputs = some.expand(trials, *some.shape).detach().requires_grad_()
            torch.autograd.grad(program(tensors, inputs, context).sum(), inputs)

    own = _allocations(program, images, context, gradient, gradients=True)
    budget = activation_bytes(images.device, gradients=True)
    return max(1, min(MOST_IMAGES, int(budget / max(1.0, own.largest_per_image))))


def _allocations(
    program: Program,
    images: Tensor,
    context: Context,
    compute: Callable[[Tensor], object],
    *,
    gradients: bool = False,
) -> Allocations:
    """Return what the program allocates for images of this size, measured once."""
    key = (images.dtype, context.dtype, images.shape[1:], gradients)
    found = _known.setdefault(program, {})
    if key not in found:

        def on_some(count: int) -> None:
            compute(images[torch.arange(count, device=images.device) % len(images)])

        with torch.no_grad():
            found[key] = allocations(on_some)
    return found[key]
