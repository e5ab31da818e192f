"""What a training step of one model holds in memory at a time, found out on four images."""

import torch
from torch import nn

from foolscope.core.allocations import Allocations, allocations
from foolscope.learning.packs.packed_layers import Context
from foolscope.learning.packs.packing import pack_program
from foolscope.learning.packs.stacking import stacked_constants, stacked_parameters

__all__ = ["step_allocations"]


def step_allocations(model: nn.Module, image_shape: tuple[int, int, int], dtype: torch.dtype) -> Allocations:
    """Return what the forward and the backward pass over images allocate in a pack of this model alone.

    Gradients are in it, parameters are not. A defense and augmented images come on top.

    Args:
        model: as it is trained; only its structure counts, and it is left in evaluation mode.
        image_shape: channel, height and width.
        dtype: of the products.

    Example:
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 2))
        >>> step_allocations(model, (1, 4, 4), torch.float32).largest_per_image > 4 * (16 + 8)
        True
    """
    program = pack_program([model])
    constants = stacked_constants([model])
    master = next(model.parameters()).dtype
    leaves = {
        name: value.detach().to(dtype if value.dim() > 2 else master).requires_grad_()
        for name, value in stacked_parameters([model]).items()
    }

    def step(count: int) -> object:
        images = torch.full((1, count, *image_shape), 0.5, dtype=master)
        context = Context(True, dtype, (torch.Generator().manual_seed(0),))
        logits = program(leaves | constants, images, context)
        return torch.autograd.grad(logits.logsumexp(dim=-1).sum(), list(leaves.values()), allow_unused=True)

    found = allocations(step)
    model.eval()
    return found
