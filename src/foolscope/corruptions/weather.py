"""Weather before the lens: snow and fog."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from foolscope.corruptions.corruption import Generators, Images, eight_bit
from foolscope.corruptions.motion import Motion, motion_blurred
from foolscope.corruptions.tone import grays
from foolscope.corruptions.zoom import zoomed

__all__ = ["Fog", "Snow", "add_fog", "add_snow", "plasma"]

_FIRST_WOBBLE = 100.0


class Snow(NamedTuple):
    """Parameters of :func:`add_snow`.

    Args:
        mean: of the noise from which flakes are made.
        deviation: of that noise.
        zoom: by which flakes are enlarged.
        threshold: below which there is no flake.
        radius: of the line along which flakes fall, in pixels.
        sigma: of the weights along it, in pixels.
        rest: share of the image that stays; the rest is whitened.
    """

    mean: float
    deviation: float
    zoom: float
    threshold: float
    radius: int
    sigma: float
    rest: float


class Fog(NamedTuple):
    """Parameters of :func:`add_fog`.

    Args:
        density: what the thickest fog adds to a pixel.
        decay: by how much each finer scale of the fog is weaker.
    """

    density: float
    decay: float


def add_snow(images: Images, snow: Snow, generators: Generators) -> Images:
    """Whiten the image and add a layer of falling flakes and the same layer turned by 180°."""
    height, width = images.shape[2:]
    noise = np.stack(
        [generator.normal(snow.mean, snow.deviation, (height, width)) for generator in generators]
    )
    degrees = np.array([generator.uniform(-135.0, -45.0) for generator in generators])
    flakes = zoomed(noise[:, None].astype(np.float32), snow.zoom)
    flakes = eight_bit(np.where(flakes < snow.threshold, np.float32(0.0), flakes))
    falling = motion_blurred(flakes, Motion(snow.radius, snow.sigma), degrees)
    falling = np.rint(falling * np.float32(255.0)) / np.float32(255.0)
    white = np.maximum(images, grays(images) * 1.5 + 0.5)
    whitened = snow.rest * images + (1.0 - snow.rest) * white
    return np.asarray(whitened + falling + falling[:, :, ::-1, ::-1], dtype=np.float32)


def add_fog(images: Images, fog: Fog, generators: Generators) -> Images:
    r"""Add a fractal cloud p and restore the range.

    .. math:: y = (x + c\,p)\; m / (m + c), \quad m = \max x
    """
    height, width = images.shape[2:]
    side = max(2, 1 << (max(height, width) - 1).bit_length())
    clouds = plasma(side, fog.decay, generators)[:, None, :height, :width]
    brightest = images.max(axis=(1, 2, 3), keepdims=True)
    thinned = brightest / (brightest + fog.density)
    return np.asarray((images + fog.density * clouds) * thinned, dtype=np.float32)


def plasma(side: int, decay: float, generators: Generators) -> Float64[np.ndarray, "batch side side"]:
    r"""Return fractal heights in [0, 1] by the diamond-square algorithm, one field for each generator.

    On a grid of distance d, each square's center and then each edge's middle gets the mean of its four
    neighbors plus noise from :math:`w\,U(-w, w)`; then d is halved and w divided by ``decay``. The field
    wraps around.

    Args:
        side: a power of two, at least 2.
        decay: above 1; the larger, the smoother.
        generators: one for each field.
    """
    heights = np.zeros((len(generators), side, side))
    step, wobble = side, _FIRST_WOBBLE

    def displaced(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        noise = [generator.uniform(-wobble, wobble, sums.shape[1:]) for generator in generators]
        return sums / 4 + wobble * np.stack(noise)

    while step >= 2:
        middle = slice(step // 2, None, step)
        corners = heights[:, ::step, ::step]
        below = corners + np.roll(corners, -1, axis=1)
        heights[:, middle, middle] = displaced(below + np.roll(below, -1, axis=2))
        centers = heights[:, middle, middle]
        across = centers + np.roll(centers, 1, axis=1) + corners + np.roll(corners, -1, axis=2)
        along = centers + np.roll(centers, 1, axis=2) + corners + np.roll(corners, -1, axis=1)
        heights[:, ::step, middle] = displaced(across)
        heights[:, middle, ::step] = displaced(along)
        step, wobble = step // 2, wobble / decay
    heights -= heights.min(axis=(1, 2), keepdims=True)
    return np.asarray(heights / heights.max(axis=(1, 2), keepdims=True))
