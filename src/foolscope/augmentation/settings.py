"""What operations share: their settings, their random draws, and the mixing of labels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import pydantic
import torch
from jaxtyping import Bool, Float, Float64, Int64
from pydantic import Field
from torch import Tensor

from foolscope.core.settings import Settings

__all__ = [
    "AugmentationSettings",
    "Draws",
    "ImageShape",
    "Images",
    "Interpolation",
    "Mixing",
    "Numbers",
    "Plane",
    "Probability",
    "Span",
    "WholeSpan",
    "ends",
    "no_check",
    "no_parts",
    "within",
]

Images = Float[Tensor, "batch channel height width"]
"""Images in [0, 1]."""

Plane = Float[Tensor, "batch 1 height width"]
"""One number for each pixel."""

Numbers = Float[Tensor, " batch"]
"""One number for each image: its angle, its factor."""

ImageShape = tuple[int, int, int]
"""Channel, height, width."""

Interpolation = Literal["nearest", "bilinear"]

Probability = Annotated[float, Field(ge=0.0, le=1.0)]


class AugmentationSettings(Settings):
    """Settings of an operation; each derives its own and adds a literal ``name``.

    ``measure`` is the field that says how strong the operation is, and ``unit`` what its numbers count.
    """

    name: str

    measure: ClassVar[str | None] = None
    unit: ClassVar[str] = ""


def _read(value: Any) -> Any:
    """Read a number, a fraction such as ``"200/255"``, or a list of two of them."""
    if isinstance(value, str) and "/" in value:
        numerator, _, denominator = value.partition("/")
        try:
            return float(numerator) / float(denominator)
        except (ValueError, ZeroDivisionError) as error:
            raise ValueError(f"must be a number or a fraction such as 200/255; got {value!r}") from error
    if isinstance(value, list | tuple):
        if len(value) != 2:
            raise ValueError(f"must be one number or a range [low, high]; got {list(value)!r}")
        return tuple(_read(each) for each in value)
    return value


def _ordered(value: float | tuple[float, float]) -> float | tuple[float, float]:
    low, high = ends(value)
    if low > high:
        raise ValueError(f"must be a range [low, high] with low ≤ high; got [{low:g}, {high:g}]")
    return value


Span = Annotated[
    float | tuple[float, float], pydantic.BeforeValidator(_read), pydantic.AfterValidator(_ordered)
]
"""One number, the same for every image, or a range [low, high] from which each image draws uniformly."""

WholeSpan = Annotated[
    int | tuple[int, int], pydantic.BeforeValidator(_read), pydantic.AfterValidator(_ordered)
]
"""A whole number, or a range from which each image draws one, both ends included."""


def ends(span: float | tuple[float, float]) -> tuple[float, float]:
    """Return the lowest and the highest value.

    Example:
        >>> ends(20.0), ends((-30.0, 30.0))
        ((20.0, 20.0), (-30.0, 30.0))
    """
    return span if isinstance(span, tuple) else (span, span)


def within(lowest: float, highest: float = float("inf")) -> Callable[[Any], Any]:
    """Return a validator of numbers and ranges that lie in an interval."""

    def check(value: Any) -> Any:
        low, high = ends(value)
        if low < lowest or high > highest:
            allowed = f"at least {lowest:g}" if highest == float("inf") else f"in [{lowest:g}, {highest:g}]"
            got = f"[{low:g}, {high:g}]" if isinstance(value, tuple) else f"{value:g}"
            raise ValueError(f"must be {allowed}; got {got}")
        return value

    return check


@dataclass(frozen=True)
class Draws:
    """The source of the random numbers of one operation on one minibatch.

    Numbers depend on the generator and the number of images, never on pixels.

    Args:
        generator: on the images' device, one per operation, seed and epoch.
        indices: positions of the images in the training set.
        epoch: from 0.
        seed: the trial's.
    """

    generator: torch.Generator
    indices: Int64[Tensor, " batch"]
    epoch: int
    seed: int

    def uniform(self, span: float | tuple[float, float] = (0.0, 1.0)) -> Float64[Tensor, " batch"]:
        """Draw a number for each image from [low, high); a span of one number draws nothing."""
        low, high = ends(span)
        count, device = len(self.indices), self.generator.device
        if low == high:
            return torch.full((count,), float(low), dtype=torch.float64, device=device)
        numbers = torch.rand(count, generator=self.generator, dtype=torch.float64, device=device)
        return low + (high - low) * numbers

    def whole(self, span: int | tuple[int, int]) -> Int64[Tensor, " batch"]:
        """Draw a whole number for each image from low to high, both included."""
        low, high = (int(end) for end in ends(span))
        count, device = len(self.indices), self.generator.device
        return torch.randint(low, high + 1, (count,), generator=self.generator, device=device)

    def happens(self, probability: float) -> Bool[Tensor, " batch"]:
        """Draw for each image whether something happens."""
        return self.uniform() < probability

    def signs(self) -> Float64[Tensor, " batch"]:
        """Draw −1 or 1 for each image, with equal probability."""
        return 1.0 - 2.0 * self.happens(0.5).double()

    def beta(self, concentration: float) -> Float64[Tensor, " batch"]:
        """Draw a number for each image from the Beta distribution with both parameters equal."""
        return self.dirichlet(concentration, 2)[:, 0]

    def dirichlet(self, concentration: float, count: int) -> Float64[Tensor, "batch count"]:
        """Draw weights for each image that sum to 1, from the symmetric Dirichlet distribution."""
        parameters = torch.full(
            (len(self.indices), count), concentration, dtype=torch.float64, device=self.generator.device
        )
        # The one sampler of torch that takes a generator; torch.distributions draws from the global one.
        return torch._sample_dirichlet(parameters, generator=self.generator)

    def repeated(self, times: int) -> "Draws":
        """Return draws for a minibatch that repeats the images: all of them once, all of them twice, ..."""
        return Draws(self.generator, self.indices.repeat(times), self.epoch, self.seed)


@dataclass(frozen=True)
class Mixing:
    """How labels are mixed: image i has ``weights[i] · label_i + (1 − weights[i]) · label_partners[i]``.

    Args:
        partners: positions in the minibatch.
        weights: in [0, 1].
    """

    partners: Int64[Tensor, " batch"]
    weights: Float[Tensor, " batch"]


def no_check(settings: Any, image_shape: ImageShape) -> None:
    """Accept every image."""


def no_parts(settings: Any, image_shape: ImageShape) -> Sequence[AugmentationSettings]:
    """Return nothing: the operation has no parts."""
    return ()
