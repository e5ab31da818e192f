"""Blur along a line: what moves while the shutter is open. Snow falls by it, too."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from foolscope.corruptions.corruption import Generators, Images

__all__ = ["Motion", "blur_motion", "motion_blurred"]

_STEEPEST = 45.0


class Motion(NamedTuple):
    """Parameters of :func:`blur_motion`.

    Args:
        radius: of the line, in pixels: it has 2 radius + 1 points.
        sigma: of the Gaussian weights along it, in pixels.
    """

    radius: int
    sigma: float


def blur_motion(images: Images, motion: Motion, generators: Generators) -> Images:
    """Blur each image in a direction of its own, at most 45° from the horizontal."""
    degrees = np.array([generator.uniform(-_STEEPEST, _STEEPEST) for generator in generators])
    blurred = motion_blurred(images, motion, degrees)
    return np.rint(blurred * np.float32(255.0)) / np.float32(255.0)  # ImageMagick writes the nearest level


def motion_blurred(images: Images, motion: Motion, degrees: Float64[np.ndarray, " batch"]) -> Images:
    r"""Average along a line that starts at each pixel, as ImageMagick's motion blur does.

    .. math:: y(p) = \sum_{i=0}^{2r} w_i \, x(p + \lceil i (\sin\alpha, \cos\alpha) - 1/2 \rceil),
       \quad w_i \propto \exp(-i^2 / 2 \sigma^2)

    Outside the image the nearest pixel of its border counts.

    Args:
        images: any values.
        motion: length and weights of the line.
        degrees: its angle in each image; 0 points to the right, 90 down.
    """
    height, width = images.shape[2:]
    steps = np.arange(2 * motion.radius + 1)
    weights = np.exp(-(steps**2) / (2 * motion.sigma**2))
    weights = (weights / weights.sum()).astype(np.float32)
    angles = np.deg2rad(degrees)[:, None]
    down = np.ceil(steps * np.sin(angles) - 0.5).astype(int)
    right = np.ceil(steps * np.cos(angles) - 0.5).astype(int)
    flat = images.reshape(*images.shape[:2], height * width)
    result = np.zeros_like(flat)
    for step, weight in enumerate(weights):
        rows = np.clip(np.arange(height) + down[:, step, None], 0, height - 1)
        columns = np.clip(np.arange(width) + right[:, step, None], 0, width - 1)
        places = (rows[:, :, None] * width + columns[:, None, :]).reshape(len(images), 1, -1)
        result += weight * np.take_along_axis(flat, places, axis=2)
    return result.reshape(images.shape)
