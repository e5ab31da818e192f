"""A copy of a model in bfloat16 for an attack's steps, where the machine multiplies bfloat16 faster."""

from copy import deepcopy

import torch
from torch import Tensor, nn

from foolscope.attacks.runner.low_precision import InBfloat16
from foolscope.core.modes import frozen
from foolscope.core.precision import multiplies_bfloat16

__all__ = ["bfloat16_copy"]

_SAME_PREDICTIONS = 0.95  # of the images, for the copy's steps to be of use


def bfloat16_copy(model: nn.Module, images: Tensor, logits: Tensor) -> tuple[nn.Module | None, int]:
    """Return a copy in bfloat16; ``None`` where it is not faster, not possible, or predicts otherwise.

    Model and copy are compared on a few images, of which ``logits`` is the output. The second
    result is the number of forward passes that the comparison took.
    """
    if images.dtype != torch.float32 or not len(images) or not multiplies_bfloat16(images.device):
        return None, 0
    try:
        body = deepcopy(model).to(torch.bfloat16)
        copy = InBfloat16(body.to(memory_format=torch.channels_last))  # type: ignore[call-overload]  # it may
        with frozen(copy), torch.no_grad():
            copied_logits = copy(images)
    except Exception:  # anyone's code: a model that cannot be copied or cast is attacked as it is
        return None, 0
    same = (copied_logits.argmax(1) == logits.argmax(1)).double().mean().item()
    return copy if same >= _SAME_PREDICTIONS else None, len(images)
