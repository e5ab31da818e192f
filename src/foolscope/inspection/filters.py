"""The first layer's weights as pictures of what each unit looks for."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foolscope.inspection.spectrum import factored_layers

__all__ = ["Filters", "first_layer_filters"]


@dataclass(frozen=True)
class Filters:
    """The filters of a first layer.

    Args:
        layer: its name.
        kind: "convolution", whose filters look at a patch, or "affine", whose units look at all of the image.
        weights: one picture a unit.
    """

    layer: str
    kind: str
    weights: Float[Tensor, "unit channel height width"]


def first_layer_filters(model: nn.Module, image: Float[Tensor, "channel height width"]) -> Filters | None:
    """Return the filters of the first layer that multiplies the pixels; None where that is no picture.

    Args:
        model: in evaluation mode.
        image: one that the model takes.

    Returns:
        Filters of a convolution, or of an affine layer over the whole image; None if the first layer with a
        matrix sees something else, such as the rows of a recurrent model, or cannot be watched.

    Example:
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        >>> filters = first_layer_filters(model, torch.zeros(1, 8, 8))
        >>> filters.kind, tuple(filters.weights.shape)
        ('affine', (10, 1, 8, 8))
    """
    used: list[str] = []
    layers = factored_layers(model)
    handles = [
        layer.register_forward_hook(lambda layer, inputs, output, name=name: used.append(name))
        for name, layer in layers.items()
    ]
    try:
        with torch.no_grad():
            model(image[None])
    finally:
        for handle in handles:
            handle.remove()
    if not used:
        return None
    layer = layers[used[0]]
    weights = layer.weight.detach()
    if isinstance(layer, nn.Conv2d):
        sees_pixels = layer.in_channels == len(image) and min(layer.kernel_size) > 1
        return Filters(used[0], "convolution", weights) if sees_pixels else None
    if layer.in_features != image.numel():
        return None
    return Filters(used[0], "affine", weights.reshape(-1, *image.shape))
