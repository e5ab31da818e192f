"""What an attacker may do: a norm, a budget in pixel units, and the range of a pixel."""

from dataclasses import dataclass
from fractions import Fraction
from math import isfinite

import torch
from torch import Tensor

from foolscope.core.errors import ThreatError, did_you_mean
from foolscope.threats.norms import NORMS, Norm

__all__ = ["Threat", "check_images", "parse_epsilon", "parse_epsilons"]


def parse_epsilon(text: str | float | int, *, what: str = "epsilon") -> float:
    """Read a size in pixel units, written as a number or as a fraction.

    Args:
        text: a number, or text such as ``"8/255"``, ``"0.03"`` or ``"1e-3"``.
        what: what the size is called in an error.

    Raises:
        ThreatError: not a number, negative or infinite.

    Example:
        >>> parse_epsilon("51/255")
        0.2
    """
    return float(_fraction(text, what))


def parse_epsilons(text: str, *, what: str = "epsilon") -> tuple[float, ...]:
    """Read several budgets: a list ``a,b,c``, or a range ``start:stop:step`` whose stop is included.

    Args:
        text: such as ``"0,2/255,8/255"`` or ``"0:16/255:4/255"``.
        what: what the sizes are called in an error.

    Returns:
        The budgets, ascending, each once. Ranges are computed in exact fractions.

    Raises:
        ThreatError: a part is not a number, or the range is empty.

    Example:
        >>> parse_epsilons("0:0.3:0.1")
        (0.0, 0.1, 0.2, 0.3)
    """
    if ":" not in text:
        return tuple(sorted({parse_epsilon(part, what=what) for part in text.split(",")}))
    parts = text.split(":")
    if len(parts) != 3:
        raise ThreatError(f"{what} range must be start:stop:step, such as 0:16/255:4/255; got {text!r}")
    start, stop, step = (_fraction(part, what) for part in parts)
    if step == 0 or stop < start:
        raise ThreatError(f"{what} range must rise by a step above 0, such as 0:16/255:4/255; got {text!r}")
    return tuple(float(start + k * step) for k in range(int((stop - start) / step) + 1))


@dataclass(frozen=True, init=False)
class Threat:
    """The set of images an attacker may choose from: ``{x' : ‖x' − x‖ ≤ ε, lower ≤ x' ≤ upper}``.

    Args:
        norm: ``"linf"``, ``"l2"`` or ``"l1"``, over all channels and pixels of an image.
        epsilon: the budget in pixel units (images in [0, 1]): a number or text such as ``"8/255"``. At most
            the largest distance between two images; in L2 and L1 that needs the image size and is checked
            with them.
        bounds: the smallest and largest value of a pixel.

    Raises:
        ThreatError: an unknown norm, or a budget out of range.

    Example:
        >>> Threat("linf", "8/255")
        Threat(norm='linf', epsilon=0.03137254901960784, bounds=(0.0, 1.0))
    """

    norm: str
    epsilon: float
    bounds: tuple[float, float]

    def __init__(
        self, norm: str, epsilon: str | float | int, bounds: tuple[float, float] = (0.0, 1.0)
    ) -> None:
        if norm not in NORMS:
            raise ThreatError(f"unknown norm {norm!r}. {did_you_mean(norm, NORMS)}")
        lower, upper = bounds
        if not (isfinite(lower) and isfinite(upper) and lower < upper):
            raise ThreatError(f"bounds must be two finite numbers, the lower first; got {bounds}")
        object.__setattr__(self, "norm", norm)
        object.__setattr__(self, "epsilon", parse_epsilon(epsilon))
        object.__setattr__(self, "bounds", (float(lower), float(upper)))
        if norm == "linf":  # the one norm in which the largest distance does not depend on the image size
            self._check_limit(self.bounds[1] - self.bounds[0], "pixels scaled to")

    @property
    def geometry(self) -> Norm:
        """The norm's size, projection, steepest step and random start."""
        return NORMS[self.norm]

    def check_size(self, channels: int, height: int, width: int) -> None:
        """Refuse a budget larger than the distance between a black and a white image of this size.

        Raises:
            ThreatError: the budget is larger; says which one may have been meant.
        """
        lower, upper = self.bounds
        diameter = self.geometry.size(torch.full((1, channels, height, width), upper - lower)).item()
        self._check_limit(
            diameter, f"the largest {self.norm} distance of two {channels}x{height}x{width} images in"
        )

    def _check_limit(self, limit: float, why: str) -> None:
        if self.epsilon > limit * (1 + 1e-6):
            scale = f"{why} [{self.bounds[0]:g}, {self.bounds[1]:g}]"
            raise ThreatError(
                f"epsilon must be in [0, {limit:.4g}] ({scale}); got {self.epsilon:g}. "
                f"Did you mean {self.epsilon:g}/255?"
            )


def check_images(images: Tensor, labels: Tensor, threat: Threat) -> None:
    """Refuse images and labels that a threat cannot be applied to.

    Raises:
        ThreatError: wrong type, shape or range, or a budget too large for the image size.
    """
    lower, upper = threat.bounds
    if not images.is_floating_point():
        raise ThreatError(
            f"images must be floating point in [{lower:g}, {upper:g}]; got {images.dtype}. Divide by 255"
        )
    if images.dim() != 4 or labels.shape != images.shape[:1]:
        raise ThreatError(
            "images must have shape (batch, channel, height, width) and labels (batch,); "
            f"got {tuple(images.shape)} and {tuple(labels.shape)}"
        )
    if labels.dtype != torch.int64:
        raise ThreatError(f"labels must be int64 class indices; got {labels.dtype}. Use labels.long()")
    _, channels, height, width = images.shape
    threat.check_size(channels, height, width)
    if images.numel() == 0:
        return
    smallest, largest = (value.item() for value in torch.aminmax(images.detach()))
    if not (lower <= smallest and largest <= upper):
        raise ThreatError(
            f"images must be in [{lower:g}, {upper:g}]; got values in [{smallest:g}, {largest:g}]. "
            "Scale pixels to [0, 1] and put normalization inside the model"
        )


def _fraction(text: str | float | int, what: str) -> Fraction:
    try:
        top, *bottom = str(text).split("/")
        value = Fraction(top.strip())
        if bottom:
            (part,) = bottom
            value /= Fraction(part.strip())
    except (ValueError, ZeroDivisionError, OverflowError) as error:
        raise ThreatError(f"{what} must be a number or a fraction such as 8/255; got {text!r}") from error
    if value < 0:
        raise ThreatError(f"{what} must not be negative; got {text}")
    return value
