"""Affine maps of images, one per image: from coordinates in the result to coordinates in the image.

Coordinates are in pixels from the upper left corner, to the right and down.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from foolscope.augmentation.settings import Numbers

__all__ = ["Map", "Matrices", "rotation", "scale", "shear_x", "shear_y", "translation_x", "translation_y"]

Matrices = Float[Tensor, "batch 2 3"]


Map = Callable[[Numbers, int, int], Matrices]
"""From one number per image, and the height and width of the images, to one map per image."""


def translation_x(pixels: Numbers, height: int, width: int) -> Matrices:
    """Move to the right by a number of pixels."""
    return _matrices(pixels, x=-pixels)


def translation_y(pixels: Numbers, height: int, width: int) -> Matrices:
    """Move down by a number of pixels."""
    return _matrices(pixels, y=-pixels)


def shear_x(degrees: Numbers, height: int, width: int) -> Matrices:
    """Slant vertical lines: (x, y) comes from (x + y tan θ, y)."""
    return _matrices(degrees, xy=degrees.deg2rad().tan())


def shear_y(degrees: Numbers, height: int, width: int) -> Matrices:
    """Slant horizontal lines: (x, y) comes from (x, y + x tan θ)."""
    return _matrices(degrees, yx=degrees.deg2rad().tan())


def rotation(degrees: Numbers, height: int, width: int) -> Matrices:
    """Rotate counter-clockwise about the center."""
    cosine, sine = degrees.deg2rad().cos(), degrees.deg2rad().sin()
    return _about_center(_matrices(degrees, xx=cosine, xy=-sine, yx=sine, yy=cosine), height, width)


def scale(factors: Numbers, height: int, width: int) -> Matrices:
    """Enlarge by a factor about the center."""
    return _about_center(_matrices(factors, xx=1.0 / factors, yy=1.0 / factors), height, width)


def _matrices(
    like: Numbers,
    *,
    xx: Tensor | float = 1.0,
    xy: Tensor | float = 0.0,
    x: Tensor | float = 0.0,
    yx: Tensor | float = 0.0,
    yy: Tensor | float = 1.0,
    y: Tensor | float = 0.0,
) -> Matrices:
    """Return the maps (x', y') = (xx x + xy y + x, yx x + yy y + y); without entries, the identity."""
    entries = [
        torch.full_like(like, entry) if isinstance(entry, float) else entry
        for entry in (xx, xy, x, yx, yy, y)
    ]
    return torch.stack(entries, dim=1).view(-1, 2, 3)


def _about_center(matrices: Matrices, height: int, width: int) -> Matrices:
    """Return the maps with offsets that keep the center where it is."""
    center = matrices.new_tensor([width / 2, height / 2])
    offsets = center - matrices[:, :, :2] @ center
    return torch.cat([matrices[:, :, :2], offsets[:, :, None]], dim=2)
