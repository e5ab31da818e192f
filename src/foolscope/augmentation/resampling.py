"""Resamples each image of a minibatch through an affine map of its own, with Pillow's conventions."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from foolscope.augmentation.applying import covered, in_parts
from foolscope.augmentation.settings import Images, Interpolation

__all__ = ["resampled"]

_TIE = 2.0**-12  # pixels; far above float32's rounding of coordinates, far below what can be seen


@in_parts
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
    height, width = images.shape[2:]
    # A center on the line between two pixels belongs to the second one, whatever rounding makes of it.
    ties = [2.0 * _TIE / side for side in (width, height)]
    added = ties if interpolation == "nearest" else [0.0, 0.0]
    across, down = (
        _places(matrices[:, axis], images, side, tie)
        for axis, (side, tie) in enumerate(zip((width, height), added, strict=True))
    )
    # A sum of complex numbers writes both coordinates next to each other in one pass.
    grid = torch.view_as_real(torch.complex(across[0], down[0]) + torch.complex(across[1], down[1]))
    if interpolation == "nearest" and fill == 0.0:
        return _sampled(images, grid, interpolation, "zeros")
    sampled = _sampled(images, grid, interpolation, "border")
    outside = torch.maximum(
        *(
            (along_rows + (tie - own)).add(along_columns).abs_()
            for (along_rows, along_columns), tie, own in zip((across, down), ties, added, strict=True)
        )
    )
    return covered(sampled, outside.ge_(1.0)[:, None], fill)


def _sampled(images: Images, grid: Tensor, interpolation: Interpolation, beyond: str) -> Images:
    return functional.grid_sample(images, grid, mode=interpolation, padding_mode=beyond, align_corners=False)


def _places(row: Float[Tensor, "batch 3"], images: Images, side: int, tie: float) -> tuple[Tensor, Tensor]:
    """Return the two terms of a coordinate of where each pixel comes from: of its row, of its column."""
    height, width = images.shape[2:]
    columns = torch.arange(width, dtype=images.dtype, device=images.device) + 0.5
    rows = torch.arange(height, dtype=images.dtype, device=images.device) + 0.5
    of_column, of_row, offset = (row * (2.0 / side)).to(images.dtype).unbind(dim=1)
    along_rows = of_row[:, None] * rows + (offset + (tie - 1.0))[:, None]
    return along_rows[:, :, None], (of_column[:, None] * columns)[:, None, :]
