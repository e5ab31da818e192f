"""A copy of a model in bfloat16 for an attack's steps, where the machine multiplies that faster."""

from copy import deepcopy

import torch
from torch import Tensor, nn

from foolscope.core.modes import frozen
from foolscope.core.precision import multiplies_bfloat16

__all__ = ["in_bfloat16"]

_ALIKE = 0.95


class _Coarse(nn.Module):
    """A model in bfloat16 between inputs and logits in single precision."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, images: Tensor) -> Tensor:
        """Return logits in single precision."""
        coarse = images.to(torch.bfloat16, memory_format=torch.channels_last)
        logits: Tensor = self.body(coarse)
        return logits.float()


def in_bfloat16(model: nn.Module, images: Tensor, logits: Tensor) -> tuple[nn.Module | None, int]:
    """Return a copy in bfloat16; None where that is not faster, not possible, or says something else.

    The number beside it is of the forward passes that it took to know.

    Args:
        model: from images to logits.
        images: a few on which both are compared.
        logits: the model's output on them.
    """
    if images.dtype != torch.float32 or not len(images) or not multiplies_bfloat16(images.device):
        return None, 0
    try:
        body = deepcopy(model).to(torch.bfloat16)
        copy = _Coarse(body.to(memory_format=torch.channels_last))  # type: ignore[call-overload]  # it may
        with frozen(copy), torch.no_grad():
            coarse = copy(images)
    except Exception:  # it is their code: what cannot be copied or cast is attacked as it is
        return None, 0
    alike = (coarse.argmax(1) == logits.argmax(1)).double().mean().item()
    return copy if alike >= _ALIKE else None, len(images)
