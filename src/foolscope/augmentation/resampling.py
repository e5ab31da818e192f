"""Resamples each image of a minibatch through an affine map of its own, with Pillow's conventions."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from foolscope.augmentation.settings import Images, Interpolation

__all__ = ["resampled"]


def resampled(
    images: Images, matrices: Float[Tensor, "batch 2 3"], interpolation: Interpolation, fill: float
) -> Images:
    """Take each pixel of the result from where the image's map sends its center.

    Coordinates are in pixels from the upper left corner, so the pixel in row r and column c has its center at
    (c + ½, r + ½). As in Pillow, a pixel whose center maps outside the image gets the fill, and bilinear
    interpolation near the border repeats the outermost pixels.

    .. math:: y(p) = x(A (p_1, p_2, 1)^T)

    Args:
        images: float32 or float64.
        matrices: from coordinates in the result, horizontal first, to coordinates in the image.
        interpolation: nearest pixel, or bilinear.
        fill: in [0, 1].
    """
    batch, _, height, width = images.shape
    columns = torch.arange(width, dtype=images.dtype, device=images.device) + 0.5
    rows = torch.arange(height, dtype=images.dtype, device=images.device) + 0.5
    grid = images.new_empty(batch, height, width, 2)  # in [-1, 1] inside the image
    for axis, side in enumerate((width, height)):
        of_column, of_row, offset = (matrices[:, axis] * (2.0 / side)).to(images.dtype).unbind(dim=1)
        along_rows = of_row[:, None] * rows + (offset - 1.0)[:, None]
        along_columns = of_column[:, None] * columns
        torch.add(along_rows[:, :, None], along_columns[:, None, :], out=grid[..., axis])
    sampled = functional.grid_sample(
        images, grid, mode=interpolation, padding_mode="border", align_corners=False
    )
    outside = ((grid < -1.0) | (grid >= 1.0)).any(dim=-1)
    return sampled.masked_fill_(outside[:, None], fill)
