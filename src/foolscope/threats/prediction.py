"""What a model answers to images, batch by batch, with as many images at a time as memory allows."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from foolscope.core.errors import ThreatError

__all__ = [
    "Images",
    "Integers",
    "Labels",
    "Logits",
    "PerImage",
    "automatic_batch_size",
    "check_logits",
    "predict",
]

Images = Float[Tensor, "batch channel height width"]
Integers = Int64[Tensor, " batch"]
Labels = Integers
Logits = Float[Tensor, "batch classes"]
PerImage = Float[Tensor, " batch"]


def predict(model: nn.Module, images: Images, batch_size: int) -> Logits:
    """Return the model's output, batch by batch, without gradients; no columns for no images."""
    if len(images) == 0:
        return images.new_zeros(0, 0)
    with torch.no_grad():
        return torch.cat([model(part) for part in torch.split(images, batch_size)])


def automatic_batch_size(images: Images) -> int:
    """Return the number of images to process at a time: 2¹⁹ pixels on a CPU, 2²² elsewhere, at most 1024."""
    pixels = 1 << (19 if images.device.type == "cpu" else 22)
    return min(1024, max(1, pixels // max(1, images.shape[1:].numel())))


def check_logits(logits: Tensor, labels: Labels) -> None:
    """Refuse an output that is not one row of logits per image or has no column for a label.

    Raises:
        ThreatError: with the shape or the labels that were found.
    """
    if len(labels) == 0:
        return
    if logits.dim() != 2 or logits.shape[0] != len(labels) or logits.shape[1] < 2:
        raise ThreatError(
            f"the model must return logits of shape ({len(labels)}, classes) with two classes or more; "
            f"got {tuple(logits.shape)}"
        )
    if int(labels.min()) < 0 or int(labels.max()) >= logits.shape[1]:
        raise ThreatError(
            f"labels must be below {logits.shape[1]}, the number of the model's outputs; "
            f"got labels from {int(labels.min())} to {int(labels.max())}"
        )
