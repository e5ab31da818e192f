"""Blur by a fixed kernel: a lens out of focus, and a Gaussian."""

from typing import Any, NamedTuple

import numpy as np
import scipy
import torch
from jaxtyping import Float32

from foolscope.corruptions.corruption import Generators, Images

__all__ = ["Disk", "blur_defocus", "blur_gaussian", "disk_kernel", "gaussian_filtered"]


Planes = Float32[np.ndarray, "*batch height width"]


class Disk(NamedTuple):
    """Parameters of :func:`blur_defocus`.

    Args:
        radius: of the disk, in pixels.
        softness: standard deviation of the Gaussian that softens its rim, in pixels.
    """

    radius: float
    softness: float


def blur_defocus(images: Images, disk: Disk, generators: Generators) -> Images:
    """Convolve with a soft disk; beyond the border the image is mirrored at its outermost pixels."""
    kernel = disk_kernel(disk)
    reach = len(kernel) // 2
    batch, channels, height, width = images.shape
    margins = ((0, 0), (0, 0), (reach, reach), (reach, reach))
    padded = np.pad(images, margins, mode="reflect" if min(height, width) > 1 else "edge")
    planes = torch.from_numpy(padded.reshape(batch * channels, 1, *padded.shape[2:]))
    weights = torch.from_numpy(kernel.astype(np.float32))[None, None]
    return torch.nn.functional.conv2d(planes, weights).numpy().reshape(images.shape)


def disk_kernel(disk: Disk) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the pixels whose centers lie in the disk, smoothed by a 3×3 Gaussian, 5×5 beyond a radius of 8.

    The field is as large as in the published sets, 17×17 or as wide as the disk, and the smoothing is
    mirrored at its border: a disk of 8 or 10 pixels fills it, so its weights sum to 1.01. Rows and columns of
    zeros around it are cut off.
    """
    half = 8 if disk.radius <= 8 else int(disk.radius)
    places = np.arange(-half, half + 1)
    inside = (places**2 + places[:, None] ** 2 <= disk.radius**2).astype(np.float64)
    reach = np.arange(-1, 2) if disk.radius <= 8 else np.arange(-2, 3)
    rim = np.exp(-(reach**2) / (2 * disk.softness**2))
    soft = inside / inside.sum()
    for axis in (0, 1):
        soft = scipy.ndimage.correlate1d(soft, rim / rim.sum(), axis=axis, mode="mirror")
    used = int(np.abs(places[soft.any(axis=0)]).max())
    return np.asarray(soft[half - used : half + used + 1, half - used : half + used + 1])


def blur_gaussian(images: Images, sigma: float, generators: Generators) -> Images:
    """Convolve with a Gaussian."""
    return gaussian_filtered(images, sigma)


def gaussian_filtered(planes: Planes, sigma: float) -> Planes:
    """Convolve planes with a Gaussian cut off at 4 σ; the border's pixels continue beyond it."""
    return np.asarray(
        scipy.ndimage.gaussian_filter(planes, sigma, axes=(-2, -1), mode="nearest", truncate=4.0)
    )
