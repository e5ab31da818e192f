"""Sliding windows over images, for convolution and pooling."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

__all__ = ["Pair", "Sides", "as_pair", "border_added", "border_removed", "output_sides", "window_positions"]

Pair = int | tuple[int, int]
"""A number for both axes, or one for the height and one for the width."""

Sides = tuple[int, int]
"""Along the height, along the width."""

_Images = Float[np.ndarray, "batch channel height width"]


def as_pair(value: Pair) -> Sides:
    """Return the number for the height and that for the width.

    Example:
        >>> as_pair(3), as_pair((1, 2))
        ((3, 3), (1, 2))
    """
    return (value, value) if isinstance(value, int) else value


def border_added(
    images: _Images, padding: Sides, value: float
) -> Float[np.ndarray, "batch channel rows columns"]:
    """Pad images with a constant; without padding they are returned unchanged."""
    rows, columns = padding
    if not rows and not columns:
        return images
    batch, channel, height, width = images.shape
    padded = np.full((batch, channel, height + 2 * rows, width + 2 * columns), value, images.dtype)
    padded[:, :, rows : rows + height, columns : columns + width] = images
    return padded


def border_removed(padded: Float[np.ndarray, "batch channel rows columns"], padding: Sides) -> _Images:
    """Remove the padding."""
    rows, columns = padding
    return padded[:, :, rows : padded.shape[2] - rows, columns : padded.shape[3] - columns]


def output_sides(padded: tuple[int, ...], kernel: Sides, stride: Sides) -> Sides:
    """Return how many whole windows fit along each axis: ⌊(side − kernel) / stride⌋ + 1.

    Raises:
        ValueError: not one window fits.

    Example:
        >>> output_sides((1, 1, 7, 8), (2, 3), (2, 2))
        (3, 3)
    """
    height, width = padded[-2:]
    if height < kernel[0] or width < kernel[1]:
        raise ValueError(
            f"a {kernel[0]}×{kernel[1]} window does not fit into {height}×{width} pixels with their border; "
            "use a smaller kernel or more padding"
        )
    return (height - kernel[0]) // stride[0] + 1, (width - kernel[1]) // stride[1] + 1


def window_positions(kernel: Sides, stride: Sides, outputs: Sides) -> Iterator[tuple[slice, slice]]:
    """Yield, for each place in the window, row by row, where the windows have it in the image.

    ``image[:, :, rows, columns]`` then holds the number at that place of every window, and ``+=`` on it adds
    to no pixel twice.

    Example:
        >>> next(window_positions((2, 2), (3, 3), (4, 5)))
        (slice(0, 10, 3), slice(0, 13, 3))
    """
    for row in range(kernel[0]):
        for column in range(kernel[1]):
            yield (
                slice(row, row + stride[0] * (outputs[0] - 1) + 1, stride[0]),
                slice(column, column + stride[1] * (outputs[1] - 1) + 1, stride[1]),
            )
