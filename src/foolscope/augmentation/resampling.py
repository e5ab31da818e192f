"""Resamples each image of a minibatch through an affine map of its own, with Pillow's conventions."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from foolscope.augmentation.applying import in_parts
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
    # A center on the line between two pixels belongs to the second one, whatever rounding makes of it.
    tied = _places(matrices, images, _TIE)
    (x, x_of_column), (y, y_of_column) = (
        tied if interpolation == "nearest" else _places(matrices, images, 0.0)
    )
    # A sum of complex numbers writes both coordinates next to each other in one pass.
    grid = torch.view_as_real(torch.complex(x, y) + torch.complex(x_of_column, y_of_column))
    if interpolation == "nearest" and fill == 0.0:
        return _sampled(images, grid, interpolation, "zeros")
    across, down = (torch.add(*terms).abs_() for terms in tied)
    inside = torch.maximum(across, down).lt_(1.0)[:, None]  # 0 or 1, products with which are exact
    sampled = _sampled(images, grid, interpolation, "border").mul_(inside)
    return sampled if fill == 0.0 else sampled.add_(fill * (1.0 - inside))


def _sampled(images: Images, grid: Tensor, interpolation: Interpolation, beyond: str) -> Images:
    near = images.clone()  # comes into the cache in one go, which is faster than in the order of the grid
    return functional.grid_sample(near, grid, mode=interpolation, padding_mode=beyond, align_corners=False)


def _places(
    matrices: Float[Tensor, "batch 2 3"], images: Images, tie: float
) -> list[tuple[Float[Tensor, "batch height 1"], Float[Tensor, "batch 1 width"]]]:
    """Return where each pixel comes from, in [-1, 1] inside the image, across and down.

    A coordinate is the sum of a term of the row and a term of the column; the tie, in pixels, is added.
    """
    height, width = images.shape[2:]
    columns = torch.arange(width, dtype=images.dtype, device=images.device) + 0.5
    rows = torch.arange(height, dtype=images.dtype, device=images.device) + 0.5
    terms = []
    for axis, side in enumerate((width, height)):
        of_column, of_row, offset = (matrices[:, axis] * (2.0 / side)).to(images.dtype).unbind(dim=1)
        along_rows = of_row[:, None] * rows + (offset + (2.0 * tie / side - 1.0))[:, None]
        terms.append((along_rows[:, :, None], (of_column[:, None] * columns)[:, None, :]))
    return terms
