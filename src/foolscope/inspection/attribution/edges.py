"""Edges of an image, and whether a map of its pixels follows them."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor
from torch.nn import functional

from foolscope.inspection.attribution.similarity import other_images, pearson

__all__ = ["EdgeCorrelations", "edge_correlations", "edges"]

_Images = Float[Tensor, "batch channel height width"]
_Maps = Float[Tensor, "batch height width"]

_SOBEL = ((-1.0, 0.0, 1.0), (-2.0, 0.0, 2.0), (-1.0, 0.0, 1.0))


@dataclass(frozen=True)
class EdgeCorrelations:
    """Correlations of maps with edges, image by image.

    Args:
        own: Pearson's correlation over the pixels of |map| with the edges of the same image; NaN where
            either is constant.
        other: correlation with the edges of another image; each image is the other of exactly one.
    """

    own: Float64[np.ndarray, " image"]
    other: Float64[np.ndarray, " image"]


def edges(images: _Images) -> _Maps:
    """Return the strength of the edges: √(gₓ² + g_y²) by Sobel's two 3 × 3 filters, of the mean channel.

    The border is replicated, so that it is no edge itself.

    Example:
        >>> step = torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(1, 1, 3, 4)
        >>> edges(step)[0, 1]
        tensor([0., 4., 4., 0.])

    References:
        Sobel and Feldman 1968, *A 3 × 3 isotropic gradient operator for image processing*.
    """
    across = images.new_tensor(_SOBEL)
    padded = functional.pad(images.mean(dim=1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    slopes = functional.conv2d(padded, torch.stack([across, across.T])[:, None])
    return slopes.square().sum(dim=1).sqrt()


def edge_correlations(
    images: _Images,
    maps: Float[Tensor, "batch values height width"],
    generator: np.random.Generator,
) -> EdgeCorrelations:
    """Correlate the magnitudes of maps with the edges of their own image, and with those of another one.

    The other image is the control: objects are centered and borders are empty, so that map and edges of
    any two images have something in common.
    Magnitudes are summed over the channels of a map.
    """
    outlines = edges(images.double()).flatten(1)
    strengths = maps.double().abs().sum(dim=1).flatten(1)
    others = other_images(len(images), generator).to(images.device)
    own = pearson(strengths, outlines)
    alone = len(images) < 2
    other = torch.full_like(own, torch.nan) if alone else pearson(strengths, outlines[others])
    return EdgeCorrelations(own.cpu().numpy(), other.cpu().numpy())
