"""What a model answers to images, batch by batch, with as many images at a time as memory allows."""

from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from foolscope.core.allocations import activation_bytes, allocations
from foolscope.core.errors import ThreatError
from foolscope.core.modes import frozen

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

_FEW_PIXELS = 1 << 14  # of all images together: whatever a model makes of so few fits into memory

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


def automatic_batch_size(images: Images, model: nn.Module | None = None) -> int:
    """Return the number of images to process at a time, at most 1024.

    2¹⁹ numbers of images on a CPU, 2²² elsewhere; fewer where a gradient with respect to so many images
    would keep more activations than :func:`foolscope.core.allocations.activation_bytes` allows. To find out,
    a model with parameters gets two and four of the images once; it stays as it is. One without is not asked:
    it may be somebody's service that counts its queries; nor is any for a handful of small images.

    Example:
        >>> images = torch.zeros(64, 1, 28, 28)
        >>> wide = nn.Sequential(nn.Flatten(), nn.Linear(784, 2**19), nn.ReLU(), nn.Linear(2**19, 2))
        >>> automatic_batch_size(images), automatic_batch_size(images, wide)
        (668, 21)
    """
    pixels = 1 << (19 if images.device.type == "cpu" else 22)
    most = min(1024, max(1, pixels // max(1, images.shape[1:].numel())))
    largest = min(most, len(images)) * images.shape[1:].numel()
    if model is None or largest < _FEW_PIXELS or next(model.parameters(), None) is None:
        return most
    budget = activation_bytes(images.device, gradients=True)
    return max(1, min(most, int(budget / max(1.0, _bytes_per_image(model, images)))))


_known: WeakKeyDictionary[nn.Module, dict[tuple[torch.Size, torch.dtype], float]] = WeakKeyDictionary()


def _bytes_per_image(model: nn.Module, images: Images) -> float:
    """Return the most that a gradient with respect to an image holds at a time, measured once for a model."""
    found = _known.setdefault(model, {})
    key = (images.shape[1:], images.dtype)
    if key not in found:
        with frozen(model), torch.enable_grad():
            try:
                found[key] = allocations(lambda count: _gradient(model, images, count)).largest_per_image
            except Exception:  # anyone's code: what is wrong with it is told where it is used
                found[key] = 0.0
    return found[key]


def _gradient(model: nn.Module, images: Images, count: int) -> None:
    inputs = images[torch.arange(count, device=images.device) % len(images)].detach().requires_grad_()
    outputs = model(inputs)
    if isinstance(outputs, Tensor) and outputs.requires_grad:
        torch.autograd.grad(outputs.sum(), inputs, allow_unused=True)


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
