"""Drops on the lens: water, which glitters at its rim, or mud, which covers."""

import math
from typing import NamedTuple

import numpy as np
import scipy
from jaxtyping import Bool, Float32, Float64, UInt8

from foolscope.corruptions.blur import gaussian_filtered
from foolscope.corruptions.corruption import Generators, Images
from foolscope.corruptions.edges import canny_edges

__all__ = ["Spatter", "equalized", "rim_distances", "spatter"]

_WATER = (175 / 255, 238 / 255, 238 / 255)
_MUD = (63 / 255, 42 / 255, 20 / 255)
_LUMA = (0.2989, 0.5870, 0.1140)
_FARTHEST = 20.0  # pixels
_LENGTHS = {1: 1.0, 2: 1.4, 5: 2.1969}  # of a move by its squared Euclidean length
_MOVES = {
    (down, right): _LENGTHS[down**2 + right**2]
    for down in range(-2, 3)
    for right in range(-2, 3)
    if down**2 + right**2 in _LENGTHS
}
_SLACK = 1e-4  # pixels: a mean of 2 may be 1.9999999 after rounding
_RELIEF = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])
_THINNEST_MUD = 0.8

_Planes = Float32[np.ndarray, "batch height width"]


class Spatter(NamedTuple):
    """Parameters of :func:`spatter`.

    Args:
        mean: of the noise from which drops are made.
        deviation: of that noise.
        sigma: of the Gaussian that smooths it, in pixels.
        threshold: above which there is a drop.
        strength: of water, how much the brightest spot adds; of mud, the softness of its rim in pixels.
        is_mud: whether the drops are mud.
    """

    mean: float
    deviation: float
    sigma: float
    threshold: float
    strength: float
    is_mud: bool


def spatter(images: Images, drops: Spatter, generators: Generators) -> Images:
    """Add pale turquoise drops of water, or cover places with brown mud."""
    shape = images.shape[2:]
    noise = np.stack([generator.normal(drops.mean, drops.deviation, shape) for generator in generators])
    liquid = gaussian_filtered(noise.astype(np.float32), drops.sigma)
    liquid = np.where(liquid < drops.threshold, np.float32(0.0), liquid)
    if drops.is_mud:
        cover = gaussian_filtered((liquid > drops.threshold).astype(np.float32), drops.strength)
        cover = np.where(cover < _THINNEST_MUD, np.float32(0.0), cover)[:, None]
        return np.asarray(images * (1 - cover) + cover * _color(_MUD, images))
    shine = drops.strength * _shine((255 * np.clip(liquid, 0, 1)).astype(np.uint8))
    return np.asarray(images + shine[:, None] * _color(_WATER, images))


def _color(color: tuple[float, float, float], images: Images) -> Float32[np.ndarray, "1 channel 1 1"]:
    """Return a color with as many channels as the images have."""
    values = np.array(color) if images.shape[1] == 3 else np.array([np.dot(_LUMA, color)])
    return values.astype(np.float32).reshape(1, -1, 1, 1)


def _shine(liquid: UInt8[np.ndarray, "batch height width"]) -> _Planes:
    """Return how water glitters, in [0, 1]: a relief of the distance from the rims, times the water."""
    shine = np.zeros(liquid.shape, dtype=np.float32)
    distances = rim_distances(canny_edges(liquid, 50, 150))
    for plane, water, distance in zip(shine, liquid, distances, strict=True):
        near = (scipy.ndimage.uniform_filter(distance, 3, mode="mirror") + _SLACK).astype(np.uint8)
        relief = scipy.ndimage.correlate(equalized(near).astype(np.float64), _RELIEF, mode="mirror").clip(
            0, 255
        )
        plane[:] = water * np.rint(scipy.ndimage.uniform_filter(relief, 3, mode="mirror"))
    brightest = shine.max(axis=(1, 2), keepdims=True)
    return np.asarray(np.divide(shine, brightest, out=np.zeros_like(shine), where=brightest > 0))


def rim_distances(edges: Bool[np.ndarray, "batch height width"]) -> Float64[np.ndarray, "batch height width"]:
    """Return the length of the shortest way to an edge by the moves of a king and a knight, at most 20.

    OpenCV approximates the Euclidean distance so, with lengths of 1, 1.4 and 2.1969 for the moves.
    """
    height, width = edges.shape[1:]
    distances = np.pad(np.where(edges, 0.0, _FARTHEST), ((0, 0), (2, 2), (2, 2)), constant_values=_FARTHEST)
    inner = distances[:, 2:-2, 2:-2]
    for _ in range(math.ceil(_FARTHEST)):  # no way of at most 20 has more moves
        before = inner.copy()
        for (down, right), length in _MOVES.items():
            moved = distances[:, 2 + down : 2 + down + height, 2 + right : 2 + right + width]
            np.minimum(inner, moved + length, out=inner)
        if (inner == before).all():
            break
    return inner


def equalized(levels: UInt8[np.ndarray, "height width"]) -> UInt8[np.ndarray, "height width"]:
    """Map levels so that their cumulated counts rise evenly from 0 to 255; a constant plane stays.

    Example:
        >>> equalized(np.array([[7, 7, 9, 11]], dtype=np.uint8)).tolist()
        [[0, 0, 128, 255]]
    """
    counts = np.bincount(levels.ravel(), minlength=256)
    least = counts[int(levels.min())]
    if least == levels.size:
        return levels
    table = np.rint((np.cumsum(counts) - least) * (255.0 / (levels.size - least)))
    return np.asarray(table.clip(0, 255).astype(np.uint8)[levels])
