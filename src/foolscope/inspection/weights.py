"""How the weights of each layer are distributed, and how many of them are near zero."""

from dataclasses import dataclass
from math import isqrt

import torch
from torch import Tensor, nn

from foolscope.inspection.layer_flow import weight_tensors

__all__ = ["WeightHistogram", "weight_histograms"]

_ZONE = 0.1  # of the root mean square

_FEWEST_BINS, _MOST_BINS = 15, 81  # odd, so that one of them is centered at zero


@dataclass(frozen=True)
class WeightHistogram:
    """The weights of one layer in bins of equal width.

    Args:
        name: of the layer, or of the tensor where a layer has several.
        largest: the largest magnitude; bins go from −largest to largest.
        counts: of the weights in each bin, of which there are as many as the root of the weights' number;
            what is not finite is in none.
        root_mean_square: √(mean w²).
        zone: a tenth of the root mean square.
        near_zero: the share whose magnitude is smaller than that, which tells the distribution's shape and
            not its scale: erf(0.1 / √2) = 0.080 of a normal one, 0.132 of Laplace's. 1 where all are zero.
    """

    name: str
    largest: float
    counts: tuple[int, ...]
    root_mean_square: float
    zone: float
    near_zero: float


def weight_histograms(model: nn.Module) -> tuple[WeightHistogram, ...]:
    """Return the distribution of every weight tensor of a model, without biases and scales.

    Args:
        model: any module.

    Example:
        >>> layer = nn.Linear(4, 1)
        >>> _ = layer.weight.data.copy_(torch.tensor([[0.0, 0.001, -2.0, 2.0]]))
        >>> (histogram,) = weight_histograms(nn.Sequential(layer))
        >>> histogram.near_zero, histogram.largest, histogram.counts[7], sum(histogram.counts)
        (0.5, 2.0, 2, 4)
    """
    return tuple(_histogram(name, weight.detach()) for name, weight in weight_tensors(model).items())


def _histogram(name: str, weight: Tensor) -> WeightHistogram:
    values = weight.double().cpu().flatten()
    values = values[values.isfinite()]
    bins = min(max(isqrt(len(values)) // 2 * 2 + 1, _FEWEST_BINS), _MOST_BINS)
    if not values.any():
        return WeightHistogram(name, 0.0, (0,) * bins, 0.0, 0.0, 1.0)
    largest, scale = float(values.abs().max()), float(values.square().mean().sqrt())
    zone = _ZONE * scale
    counts = torch.histc(values, bins=bins, min=-largest, max=largest)
    near_zero = float((values.abs() < zone).double().mean())
    return WeightHistogram(name, largest, tuple(map(int, counts.tolist())), scale, zone, near_zero)
