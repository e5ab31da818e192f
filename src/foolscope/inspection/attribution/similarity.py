"""How alike two maps are: Pearson's and Spearman's correlation, and structural similarity."""

import numpy as np
import scipy
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor
from torch.nn import functional

__all__ = ["other_images", "pearson", "spearman", "structural_similarity"]

_Rows = Float64[Tensor, "image pixel"]
_Maps = Float[Tensor, "batch height width"]

_WINDOW, _DEVIATION = 11, 1.5
_STABILIZERS = (0.01**2, 0.03**2)  # for a dynamic range of 1


def other_images(count: int, generator: np.random.Generator) -> Int64[Tensor, " image"]:
    """Return another image for each, as a control; each image is the other of exactly one.

    The generator draws an order, in which it is the next one.
    """
    order = torch.from_numpy(generator.permutation(count))
    others = torch.empty_like(order)
    others[order] = order.roll(-1)
    return others


def pearson(one: _Rows, other: _Rows) -> Float64[Tensor, " image"]:
    """Return Pearson's correlation over the pixels of each image; NaN where a map is flat.

    Example:
        >>> ramp = torch.tensor([[0.0, 1.0, 2.0]], dtype=torch.float64)
        >>> pearson(ramp, 5 - ramp).round(decimals=6).tolist()
        [-1.0]
    """
    scaled = [each / each.abs().amax(dim=1, keepdim=True) for each in (one, other)]
    centered = [each - each.mean(dim=1, keepdim=True) for each in scaled]
    norms = [each.norm(dim=1) for each in centered]
    flat = torch.stack(norms).amin(dim=0) <= 1e-12
    return torch.where(flat, torch.nan, (centered[0] * centered[1]).sum(dim=1) / (norms[0] * norms[1]))


def spearman(one: _Maps, other: _Maps) -> Float64[Tensor, " batch"]:
    """Return Spearman's rank correlation over the pixels of each pair of maps; NaN where one is flat.

    Equal values share the mean of their ranks.

    Example:
        >>> ramp = torch.tensor([[[0.0, 1.0], [2.0, 9.0]]])
        >>> spearman(ramp, ramp**3).round(decimals=6).tolist()
        [1.0]
    """
    ranks = [
        torch.from_numpy(scipy.stats.rankdata(each.flatten(1).cpu().numpy(), axis=1)) for each in (one, other)
    ]
    return pearson(ranks[0].double(), ranks[1].double())


def structural_similarity(one: _Maps, other: _Maps) -> Float64[Tensor, " batch"]:
    """Return the structural similarity of each pair of maps with values in [0, 1]; NaN where one is flat.

    The mean, over all windows inside the map, of
    (2 μ₁ μ₂ + C₁)(2 σ₁₂ + C₂) / ((μ₁² + μ₂² + C₁)(σ₁² + σ₂² + C₂)), with Gaussian windows of 11 × 11 pixels,
    smaller on smaller maps.

    References:
        Wang, Bovik, Sheikh and Simoncelli 2004, *Image quality assessment: from error visibility to
        structural similarity*, section III.B, with their constants 0.01 and 0.03 and standard deviation 1.5.
    """
    height, width = one.shape[1:]
    kernel = _window(height)[:, None] * _window(width)[None]
    a, b = (each.double().cpu()[:, None] for each in (one, other))

    def smoothed(values: Tensor) -> Tensor:
        return functional.conv2d(values, kernel[None, None])

    (mean_a, mean_b), (first, second) = (smoothed(a), smoothed(b)), _STABILIZERS
    spread_a, spread_b = smoothed(a * a) - mean_a**2, smoothed(b * b) - mean_b**2
    together = smoothed(a * b) - mean_a * mean_b
    alike = (2 * mean_a * mean_b + first) * (2 * together + second)
    found = alike / ((mean_a**2 + mean_b**2 + first) * (spread_a + spread_b + second))
    flat = (torch.stack([a, b]).flatten(2).std(dim=2) <= 1e-12).any(dim=0)
    return torch.where(flat, torch.nan, found.flatten(1).mean(dim=1))


def _window(side: int) -> Float64[Tensor, " side"]:
    """Return the weights of one axis of the window: the largest odd number of pixels, at most 11."""
    count = min(_WINDOW, side - 1 + side % 2)
    offsets = np.arange(count) - count // 2
    weights = np.exp(-(offsets**2) / (2 * _DEVIATION**2))
    return torch.from_numpy(weights / weights.sum())
