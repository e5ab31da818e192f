"""The first layer's weights as pictures of what each unit responds to."""

from typing import Any, Literal

import torch
from jaxtyping import Float
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from foolscope.core.settings import Settings
from foolscope.inspection.layers.spectrum import factored_layers

__all__ = ["Filter", "Filters", "first_layer_filters"]


class Filter(Settings):
    """One filter of the first layer; its weights are in the arrays under ``key``."""

    unit: int
    key: str
    norm: float


class Filters(Settings):
    """The filters of the first layer."""

    layer: str
    kind: Literal["convolution", "affine"] = Field(
        description="a convolution's filter sees a patch, an affine unit the whole image"
    )
    height: int
    width: int
    total: int = Field(description="units of the layer")
    shown: list[Filter] = Field(description="those with the largest norm, in the layer's order")


_MOST = 24


def first_layer_filters(
    model: nn.Module, image: Float[Tensor, "channel height width"], most: int = _MOST
) -> tuple[Filters, dict[str, NDArray[Any]]] | None:
    """Return the filters of the first layer that multiplies the pixels; None where they are no pictures.

    The ``most`` filters with the largest norm are kept.

    Returns:
        Filters of a convolution, or of an affine layer over the whole image, and their weights by key; None
        if the first layer with a matrix sees something else, such as the rows of a recurrent model, or if
        layers do not show their inputs.

    Example:
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        >>> filters, arrays = first_layer_filters(model, torch.zeros(1, 8, 8), most=2)
        >>> filters.kind, filters.total, [arrays[each.key].shape for each in filters.shown]
        ('affine', 10, [(1, 8, 8), (1, 8, 8)])
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
    kind: Literal["convolution", "affine"] = "convolution"
    if isinstance(layer, nn.Conv2d):
        if layer.in_channels != len(image) or min(layer.kernel_size) < 2:
            return None
    elif layer.in_features == image.numel():
        kind, weights = "affine", weights.reshape(-1, *image.shape)
    else:
        return None
    norms = weights.double().flatten(1).norm(dim=1)
    strongest = norms.argsort(descending=True, stable=True)[:most].sort().values.tolist()
    filters = Filters(
        layer=used[0],
        kind=kind,
        height=weights.shape[2],
        width=weights.shape[3],
        total=len(norms),
        shown=[Filter(unit=unit, key=f"filter-{unit}", norm=float(norms[unit])) for unit in strongest],
    )
    return filters, {each.key: weights[each.unit].float().cpu().numpy() for each in filters.shown}
