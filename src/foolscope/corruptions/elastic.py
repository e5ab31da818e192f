"""Stretches parts of an image: a random affine map, then a smooth random displacement of every pixel."""

from typing import Any, Literal, NamedTuple

import numpy as np
import scipy
from jaxtyping import Float

from foolscope.corruptions.corruption import Generators, Images

__all__ = ["Elastic", "stretch", "triangle_map"]


class Elastic(NamedTuple):
    """Parameters of :func:`stretch`, as shares of the images' shorter side.

    Args:
        strength: factor of the smoothed displacements.
        sigma: of the Gaussian that smooths them.
        jitter: how far the corners of the affine map move.
    """

    strength: float
    sigma: float
    jitter: float


def stretch(images: Images, elastic: Elastic, generators: Generators) -> Images:
    """Move three points of an image at random, then displace its pixels; linear interpolation both times."""
    height, width = images.shape[2:]
    side = min(height, width)
    jitter, sigma = elastic.jitter * side, elastic.sigma * side
    moves = np.stack([generator.uniform(-jitter, jitter, (3, 2)) for generator in generators])
    noise = np.stack([generator.uniform(-1.0, 1.0, (2, height, width)) for generator in generators])
    smooth = scipy.ndimage.gaussian_filter(noise, sigma, axes=(-2, -1), mode="reflect", truncate=3.0)
    grid = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"))
    ones = np.ones((1, height, width))
    places = np.einsum("chw,bcp->bphw", np.concatenate([grid, ones]), triangle_map(height, width, moves))
    displaced = grid + elastic.strength * side * smooth[:, ::-1]  # the first field moves columns
    return _sampled(_sampled(images, places, "mirror"), displaced, "reflect")


def triangle_map(
    height: int, width: int, moves: Float[np.ndarray, "batch 3 2"]
) -> Float[np.ndarray, "batch 3 2"]:
    """Return the affine map from places of the result to places of the image, which moves three points.

    The points are corners of a square around the center whose half side is a third of the image's.

    Args:
        height: in pixels.
        width: in pixels.
        moves: of the three points, columns and rows.

    Returns:
        A matrix A for each image: the place (row, column, 1) A of the image shows at (row, column).
    """
    center = np.array([height // 2, width // 2], dtype=np.float64)
    reach = max(1, min(height, width) // 3)
    points = center + reach * np.array([(1, 1), (-1, 1), (-1, -1)])
    moved = points + moves[..., ::-1]
    corners = np.concatenate([moved, np.ones((*moved.shape[:2], 1))], axis=2)
    return np.linalg.solve(corners, np.broadcast_to(points, moved.shape))


def _sampled(
    images: Images, places: Float[np.ndarray, "batch 2 height width"], mode: Literal["mirror", "reflect"]
) -> Images:
    result: np.ndarray[Any, np.dtype[np.float32]] = np.empty_like(images)
    for image, place, planes in zip(images, places, result, strict=True):
        for channel, plane in zip(image, planes, strict=True):
            scipy.ndimage.map_coordinates(channel, place, output=plane, order=1, mode=mode)
    return result
