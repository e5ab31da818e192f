"""Where a network may halve its maps.

A map that is one pixel wide has nothing to be halved, and a stride is not safe there: in bfloat16 on CPUs,
PyTorch 2.13 returns wrong gradients with respect to the weights of convolutions larger than 1×1, and reads
past the input of a 1×1 convolution in the backward pass.
"""

__all__ = ["can_be_halved", "halved"]


def can_be_halved(height: int, width: int) -> bool:
    """Return whether a map has at least two pixels in height and in width.

    Example:
        >>> can_be_halved(2, 7), can_be_halved(4, 1)
        (True, False)
    """
    return min(height, width) >= 2


def halved(height: int, width: int) -> tuple[int, int]:
    """Return the size of a map after a padded convolution or pooling with stride 2, where it may have one.

    Example:
        >>> halved(7, 2), halved(4, 1)
        ((4, 1), (4, 1))
    """
    return ((height + 1) // 2, (width + 1) // 2) if can_be_halved(height, width) else (height, width)
