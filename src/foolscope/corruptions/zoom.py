"""Zoom into the center of an image, and the blur of a camera that moves towards it."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

from foolscope.corruptions.corruption import Generators, Images

__all__ = ["blur_zoom", "zoom_matrix", "zoomed"]


def blur_zoom(images: Images, factors: Sequence[float], generators: Generators) -> Images:
    """Average an image with its zooms by every factor."""
    total = images.copy()
    for factor in factors:
        total += zoomed(images, factor)
    return total / np.float32(len(factors) + 1)


def zoomed(images: Images, factor: float) -> Images:
    """Enlarge the center of images by linear interpolation; the size stays."""
    height, width = images.shape[2:]
    return np.asarray(zoom_matrix(height, factor) @ images @ zoom_matrix(width, factor).T)


def zoom_matrix(side: int, factor: float) -> Float32[np.ndarray, "side side"]:
    """Return the matrix that zooms a line of pixels, (side, side).

    The middle ``⌈side / factor⌉`` pixels are interpolated at ``round(⌈side / factor⌉ · factor)`` places from
    the first to the last of them, and the middle ``side`` of these are kept.

    Args:
        side: number of pixels.
        factor: at least 1.
    """
    kept = math.ceil(side / factor)
    count = round(kept * factor)
    places = np.arange(count) * ((kept - 1) / max(count - 1, 1))
    first = (count - side) // 2
    places = places[first : first + side]
    lower = np.clip(np.floor(places).astype(int), 0, max(kept - 2, 0))
    upper = np.minimum(lower + 1, kept - 1)
    start, rows = (side - kept) // 2, np.arange(side)
    matrix = np.zeros((side, side), dtype=np.float32)
    matrix[rows, start + lower] += 1.0 - (places - lower)
    matrix[rows, start + upper] += places - lower
    return matrix
