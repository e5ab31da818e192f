"""A model in bfloat16 that takes and returns single precision, for an attack's steps."""

import torch
from torch import Tensor, nn

__all__ = ["InBfloat16"]


class InBfloat16(nn.Module):
    """A model in bfloat16 between images and logits in single precision.

    Args:
        body: the model, with parameters in bfloat16.
    """

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, images: Tensor) -> Tensor:
        """Return logits in single precision."""
        logits: Tensor = self.body(images.to(torch.bfloat16, memory_format=torch.channels_last))
        return logits.float()
