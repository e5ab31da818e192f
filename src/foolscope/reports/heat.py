"""Maps of pixels as pictures in color: signed values alone, or over the image in gray."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from foolscope.reports.images import pixels

__all__ = ["diverging", "overlay"]

# Blue over white to red, equally dark at both ends; distinguishable with red-green color blindness.
_ANCHORS = np.array([-1.0, -0.6, -0.25, 0.0, 0.25, 0.6, 1.0])
_COLORS = np.array(
    [
        [0.02, 0.19, 0.38],
        [0.20, 0.51, 0.74],
        [0.70, 0.85, 0.93],
        [0.97, 0.97, 0.97],
        [0.98, 0.80, 0.70],
        [0.84, 0.34, 0.27],
        [0.40, 0.00, 0.12],
    ]
)
_STRONG_COLORS = np.array([[0.10, 0.42, 0.85], [0.95, 0.25, 0.10]])  # below 0, above 0
_COVER = 0.75  # share of the color where a map is strongest


def diverging(values: NDArray[Any]) -> NDArray[np.float64]:
    """Color a signed map: blue below 0, white at 0, red above.

    Args:
        values: (height, width) in [-1, 1].

    Returns:
        (3, height, width) in [0, 1].

    Example:
        >>> diverging(np.array([[0.0]])).round(2).ravel().tolist()
        [0.97, 0.97, 0.97]
    """
    clipped = np.clip(np.asarray(values, dtype=np.float64), -1, 1)
    return np.stack([np.interp(clipped, _ANCHORS, color) for color in _COLORS.T])


def overlay(image: NDArray[Any], values: NDArray[Any]) -> NDArray[np.float64]:
    """Lay a signed map over the gray image: clear at 0, red above, blue below.

    Args:
        image: (channel, height, width) or (height, width), as for :func:`~foolscope.reports.images.pixels`.
        values: (height, width) in [-1, 1].

    Returns:
        (3, height, width) in [0, 1].

    Example:
        >>> overlay(np.full((1, 1, 1), 0.5), np.array([[0.0]])).round(1).ravel().tolist()
        [0.5, 0.5, 0.5]
    """
    seen = pixels(image).astype(np.float64) / 255
    gray = seen if seen.ndim == 2 else seen.mean(axis=2)
    clipped = np.clip(np.asarray(values, dtype=np.float64), -1, 1)
    share = _COVER * np.abs(clipped)
    color = np.where(clipped > 0, _STRONG_COLORS[1][:, None, None], _STRONG_COLORS[0][:, None, None])
    return np.asarray((1 - share) * gray + share * color)
