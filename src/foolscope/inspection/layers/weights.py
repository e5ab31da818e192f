"""How the weights of each layer are distributed, and how many of them are near zero."""

from math import isqrt

import torch
from pydantic import Field
from torch import Tensor, nn

from foolscope.core.settings import Settings
from foolscope.inspection.gradients.layer_flow import weight_tensors

__all__ = ["WeightHistogram", "weight_histograms"]


class WeightHistogram(Settings):
    """The weights of one layer, counted in bins of equal width."""

    layer: str = Field(description="name of the layer, or of the tensor where a layer has several")
    count: int = Field(description="finite weights")
    largest: float = Field(description="magnitude")
    counts: list[int] = Field(description="in bins from -largest to largest")
    root_mean_square: float
    zone: float = Field(description="a tenth of it: weights of smaller magnitude are near zero")
    near_zero: float = Field(description="fraction of the weights; 1 where all are zero")


_ZONE = 0.1  # of the root mean square

_FEWEST_BINS, _MOST_BINS = 15, 81  # odd, so that one of them is centered at zero


def weight_histograms(model: nn.Module) -> list[WeightHistogram]:
    """Return the distribution of every weight tensor of a model, without biases and scales.

    The number of bins is the root of the number of weights. A weight is near zero if its magnitude is below a
    tenth of the root mean square, so the fraction tells the distribution's shape and not its scale:
    erf(0.1 / √2) = 0.080 of a normal one, 0.132 of a Laplace distribution.

    Example:
        >>> layer = nn.Linear(4, 1)
        >>> _ = layer.weight.data.copy_(torch.tensor([[0.0, 0.001, -2.0, 2.0]]))
        >>> (histogram,) = weight_histograms(nn.Sequential(layer))
        >>> histogram.near_zero, histogram.largest, histogram.counts[7], sum(histogram.counts)
        (0.5, 2.0, 2, 4)
    """
    return [_histogram(name, weight.detach()) for name, weight in weight_tensors(model).items()]


def _histogram(name: str, weight: Tensor) -> WeightHistogram:
    values = weight.double().cpu().flatten()
    values = values[values.isfinite()]
    bins = min(max(isqrt(len(values)) // 2 * 2 + 1, _FEWEST_BINS), _MOST_BINS)
    if not values.any():
        return WeightHistogram(
            layer=name, count=0, largest=0, counts=[0] * bins, root_mean_square=0, zone=0, near_zero=1
        )
    largest, scale = float(values.abs().max()), float(values.square().mean().sqrt())
    zone = _ZONE * scale
    counts = list(map(int, torch.histc(values, bins=bins, min=-largest, max=largest).tolist()))
    return WeightHistogram(
        layer=name,
        count=sum(counts),
        largest=largest,
        counts=counts,
        root_mean_square=scale,
        zone=zone,
        near_zero=float((values.abs() < zone).double().mean()),
    )
