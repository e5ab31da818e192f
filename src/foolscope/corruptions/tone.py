"""Brightness, contrast and saturation, by the hexagonal cone of hue, saturation and value."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from foolscope.corruptions.corruption import Generators, Images

__all__ = ["Saturation", "brighten", "grays", "lower_contrast", "saturate"]

_LUMA = (0.299, 0.587, 0.114)  # of ITU-R BT.601


class Saturation(NamedTuple):
    """Parameters of :func:`saturate`.

    Args:
        factor: what the saturation is multiplied with.
        shift: what is added to it then.
    """

    factor: float
    shift: float


def brighten(images: Images, shift: float, generators: Generators) -> Images:
    """Raise the value, the largest channel of a pixel; hue and saturation stay, as far as it is at most 1."""
    value = images.max(axis=1, keepdims=True)
    raised = np.minimum(value + np.float32(shift), np.float32(1.0))
    ratios = np.divide(images, value, out=np.ones_like(images), where=value > 0)  # black becomes gray
    return np.asarray(raised * ratios)


def lower_contrast(images: Images, factor: float, generators: Generators) -> Images:
    """Move each channel towards its mean over the image: ``m + c (x − m)``."""
    means = images.mean(axis=(2, 3), keepdims=True)
    return np.asarray((images - means) * np.float32(factor) + means)


def saturate(images: Images, saturation: Saturation, generators: Generators) -> Images:
    """Change the saturation of colors; value and hue stay.

    A gray pixel has the hue 0, so a shift tints it red, as in the published sets.
    """
    value = images.max(axis=1, keepdims=True)
    spread = value - images.min(axis=1, keepdims=True)
    old = np.divide(spread, value, out=np.zeros_like(value), where=value > 0)
    new = np.clip(old * np.float32(saturation.factor) + np.float32(saturation.shift), 0.0, 1.0)
    red = np.array([0.0, 1.0, 1.0], dtype=np.float32).reshape(1, 3, 1, 1)
    depths = np.divide(
        value - images, spread, out=np.broadcast_to(red, images.shape).copy(), where=spread > 0
    )
    return np.asarray(value * (1.0 - new * depths))


def grays(images: Images) -> Float32[np.ndarray, "batch 1 height width"]:
    """Return the luma of color images, and gray images as they are, with one channel."""
    if images.shape[1] == 1:
        return images
    weights = np.array(_LUMA, dtype=np.float32).reshape(1, 3, 1, 1)
    return np.asarray((images * weights).sum(axis=1, keepdims=True))
