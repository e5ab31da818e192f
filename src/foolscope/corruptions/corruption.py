"""What a corruption is, and how one changes images: draws for each image, parameters by size, 8 bits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from foolscope.core.errors import RecipeError
from foolscope.core.randomness import numpy_generator

__all__ = [
    "SEVERITIES",
    "SMALL_SIDE",
    "Corruption",
    "Generators",
    "Images",
    "Kind",
    "Size",
    "corrupted",
    "eight_bit",
    "lack_of",
    "size_of",
]

SEVERITIES = (1, 2, 3, 4, 5)
SMALL_SIDE = 64
"""Images up to this side, in pixels, get the parameters of CIFAR-10-C, larger ones those of ImageNet-C."""

Images = Float32[np.ndarray, "batch channel height width"]
"""Images in [0, 1]; what a corruption returns may go beyond."""

Generators = Sequence[np.random.Generator]
"""One generator for each image."""

Kind = Literal["noise", "blur", "weather", "digital"]

Size = Literal["small", "large"]

_SLACK = 1e-3  # gray levels: float32 rounding must not turn 254.99999 into 254


@dataclass(frozen=True)
class Corruption:
    """One corruption, with its parameters by severity.

    Args:
        name: its name, and that of its random draws.
        kind: the group in which its authors list it.
        function: from images, the parameters of a severity and a generator per image to images.
        small: parameters at severities 1 to 5 for small images, those of CIFAR-10-C.
        large: the same for others, those of ImageNet-C.
        summary: what it does.
        needs_color: whether it does nothing sensible to gray images.
    """

    name: str
    kind: Kind
    function: Callable[[Images, Any, Generators], Images]
    small: tuple[Any, Any, Any, Any, Any]
    large: tuple[Any, Any, Any, Any, Any]
    summary: str
    needs_color: bool = False

    def parameters(self, severity: int, size: Size) -> Any:
        """Return the parameters of a severity, 1 to 5."""
        return (self.small if size == "small" else self.large)[severity - 1]


def size_of(height: int, width: int) -> Size:
    """Say whose parameters images get: "small" up to 64 pixels on their longer side.

    Example:
        >>> size_of(32, 32), size_of(64, 65)
        ('small', 'large')
    """
    return "small" if max(height, width) <= SMALL_SIDE else "large"


def lack_of(corruption: Corruption, channels: int) -> str:
    """Say why a corruption cannot change images with so many channels; empty if it can."""
    if channels not in (1, 3):
        return f"corruptions are for images with 1 or 3 channels; got {channels}"
    if corruption.needs_color and channels == 1:
        return f"{corruption.name} changes colors, which gray images lack"
    return ""


def corrupted(
    corruption: Corruption,
    images: Float[Tensor, "batch channel height width"],
    severity: int,
    *,
    seed: int,
    indices: Int64[Tensor, " batch"] | None = None,
) -> Float[Tensor, "batch channel height width"]:
    r"""Corrupt images; each draws by itself, whatever the batch.

    Args:
        corruption: from :data:`foolscope.corruptions.CORRUPTIONS`.
        images: in [0, 1], with 1 or 3 channels.
        severity: 1 to 5.
        seed: root of the random draws; those of an image depend on seed, corruption, severity and index.
        indices: of the images, by default 0, 1, ...

    Returns:
        Images in [0, 1] with 256 levels, :math:`\lfloor 255 x \rfloor / 255`: fractions are cut off, as in
        the published sets.

    Raises:
        RecipeError: the severity is out of range, or the images have a number of channels that the corruption
            cannot change.
    """
    if severity not in SEVERITIES:
        raise RecipeError(f"severity must be 1, 2, 3, 4 or 5; got {severity}")
    lack = lack_of(corruption, images.shape[1])
    if lack:
        raise RecipeError(lack)
    numbers = range(len(images)) if indices is None else indices.tolist()
    generators = [numpy_generator(seed, "corruption", corruption.name, severity, index) for index in numbers]
    parameters = corruption.parameters(severity, size_of(*images.shape[2:]))
    pixels = images.detach().to("cpu", torch.float32).numpy()
    changed = corruption.function(pixels, parameters, generators) if len(images) else pixels
    return torch.from_numpy(eight_bit(changed)).to(images)


def eight_bit(images: Images) -> Images:
    """Clip to [0, 1] and cut off what 256 levels do not hold, as ``np.uint8(255 * images)`` does.

    Example:
        >>> eight_bit(np.array([-1.0, 0.5, 2.0], dtype=np.float32).reshape(3, 1, 1, 1)).ravel() * 255
        array([  0., 127., 255.], dtype=float32)
    """
    levels = np.floor(np.clip(images, 0.0, 1.0) * 255.0 + _SLACK).astype(np.float32)
    return np.asarray(levels / np.float32(255.0))
