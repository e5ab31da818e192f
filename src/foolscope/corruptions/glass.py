"""Blur of frosted glass: pixels are taken from places nearby."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from foolscope.corruptions.blur import gaussian_filtered
from foolscope.corruptions.corruption import Generators, Images, eight_bit

__all__ = ["Glass", "blur_glass", "scattered"]


class Glass(NamedTuple):
    """Parameters of :func:`blur_glass`.

    Args:
        sigma: of the Gaussian blur before and after, in pixels.
        reach: how far a pixel may come from, in pixels.
        passes: how often the image is gone through.
    """

    sigma: float
    reach: int
    passes: int


def blur_glass(images: Images, glass: Glass, generators: Generators) -> Images:
    """Blur, take pixels from nearby, blur again."""
    height, width = images.shape[2:]
    rows = range(height - glass.reach, glass.reach, -1)
    columns = range(width - glass.reach, glass.reach, -1)
    count = glass.passes * len(rows) * len(columns)
    moves = [generator.integers(-glass.reach, glass.reach, size=(count, 2)) for generator in generators]
    blurred = eight_bit(gaussian_filtered(images, glass.sigma))
    places = [(row, column) for _ in range(glass.passes) for row in rows for column in columns]
    return gaussian_filtered(scattered(blurred, places, np.stack(moves)), glass.sigma)


def scattered(
    images: Images, places: list[tuple[int, int]], moves: Int[np.ndarray, "batch count 2"]
) -> Images:
    """Give one place after another, in all images at once, the pixel that is now a move away from it.

    The authors' script means to exchange the two, but exchanges views of one array, which copies; their
    published images are made by it, so this copies, too.

    Args:
        images: of any size.
        places: row and column, in this order.
        moves: of each image, by how many rows and columns away its pixel is.
    """
    batch, channels, height, width = images.shape
    source = np.tile(np.arange(height * width)[:, None], (1, batch))
    every = np.arange(batch)
    steps = moves[..., 0] * width + moves[..., 1]
    for (row, column), step in zip(places, steps.T, strict=True):
        place = row * width + column
        source[place] = source[place + step, every]
    flat = images.reshape(batch, channels, -1)
    return np.take_along_axis(flat, source.T[:, None], axis=2).reshape(images.shape)
