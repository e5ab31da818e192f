"""Canny's edges of 8-bit planes, as OpenCV finds them, for the drops of spatter."""

from typing import Any

import numpy as np
import scipy
from jaxtyping import Bool, UInt8
from numpy.typing import NDArray

__all__ = ["canny_edges"]

_FLATTEST = np.tan(np.pi / 8)  # up to 22.5° a gradient counts as horizontal
_STEEPEST = np.tan(3 * np.pi / 8)


def canny_edges(
    planes: UInt8[np.ndarray, "batch height width"], low: float, high: float
) -> Bool[np.ndarray, "batch height width"]:
    """Find ridges of the gradient that are above ``low`` and connected with one above ``high``.

    The gradient is that of Sobel, its size the sum of its components' absolute values.

    References:
        Canny (1986), "A computational approach to edge detection".
    """
    values = planes.astype(np.int32)
    across = _sobel(values, 2)
    down = _sobel(values, 1)
    size = np.abs(across) + np.abs(down)
    ridge = (size > low) & _is_largest(size, across, down)
    links = np.zeros((3, 3, 3), dtype=bool)
    links[1] = True  # eight neighbors in a plane, none in another
    labels, count = scipy.ndimage.label(ridge, links)
    strong = np.zeros(count + 1, dtype=bool)
    strong[labels[ridge & (size > high)]] = True
    strong[0] = False
    return np.asarray(strong[labels])


def _sobel(values: NDArray[np.int32], axis: int) -> NDArray[np.int32]:
    smooth = scipy.ndimage.correlate1d(values, [1, 2, 1], axis=3 - axis, mode="nearest")
    return np.asarray(scipy.ndimage.correlate1d(smooth, [-1, 0, 1], axis=axis, mode="nearest"))


def _is_largest(size: NDArray[Any], across: NDArray[Any], down: NDArray[Any]) -> NDArray[np.bool_]:
    """Compare each gradient with both neighbors in its direction, the later one only for strictly more."""
    padded = np.pad(size, ((0, 0), (1, 1), (1, 1)))
    height, width = size.shape[1:]

    def neighbor(row: int, column: int) -> NDArray[Any]:
        return padded[:, 1 + row : 1 + row + height, 1 + column : 1 + column + width]

    horizontal = (size > neighbor(0, -1)) & (size >= neighbor(0, 1))
    vertical = (size > neighbor(-1, 0)) & (size >= neighbor(1, 0))
    falling = (size > neighbor(-1, -1)) & (size > neighbor(1, 1))
    rising = (size > neighbor(-1, 1)) & (size > neighbor(1, -1))
    diagonal = np.where((across < 0) != (down < 0), rising, falling)
    wide, tall = np.abs(across), np.abs(down)
    return np.where(
        tall < wide * _FLATTEST, horizontal, np.where(tall > wide * _STEEPEST, vertical, diagonal)
    )
