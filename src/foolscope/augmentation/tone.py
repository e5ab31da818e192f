"""Changes the gray values of each channel: posterize, solarize, equalize, auto-contrast, invert."""

from typing import Annotated, Literal

import torch
from jaxtyping import Float32, Int64
from pydantic import AfterValidator, Field
from torch import Tensor

from foolscope.augmentation.applying import in_parts, over_pixels, per_image
from foolscope.augmentation.settings import (
    AugmentationSettings,
    Draws,
    Images,
    Numbers,
    Probability,
    Span,
    WholeSpan,
    within,
)

__all__ = [
    "AutoContrast",
    "Equalize",
    "Invert",
    "Posterize",
    "Solarize",
    "apply_auto_contrast",
    "apply_equalize",
    "apply_invert",
    "apply_posterize",
    "apply_solarize",
    "equalized",
    "inverted",
    "posterized",
    "solarized",
    "stretched",
]

_Bits = Annotated[WholeSpan, AfterValidator(within(1, 8))]
_Threshold = Annotated[Span, AfterValidator(within(0, 1))]


class _Tone(AugmentationSettings):
    """What all operations on gray values have."""

    probability: Probability = Field(1.0, description="that an image is changed, in [0, 1]")


class Posterize(_Tone):
    """Keep the highest bits of every 8-bit gray value."""

    name: Literal["posterize"] = "posterize"
    bits: _Bits = Field((4, 8), description="that are kept, 1 to 8; a number or [low, high]")

    measure = "bits"
    unit = " bits"


class Solarize(_Tone):
    """Invert all gray values from a threshold on."""

    name: Literal["solarize"] = "solarize"
    threshold: _Threshold = Field(
        (0.5, 1.0), description="in [0, 1], or as a fraction such as 200/255; a number or [low, high]"
    )

    measure = "threshold"


class Equalize(_Tone):
    """Spread the gray values of each channel so that all are about equally frequent."""

    name: Literal["equalize"] = "equalize"


class AutoContrast(_Tone):
    """Stretch each channel so that its darkest value is 0 and its brightest 1."""

    name: Literal["auto-contrast"] = "auto-contrast"


class Invert(_Tone):
    """Replace every value x by 1 − x."""

    name: Literal["invert"] = "invert"
    probability: Probability = Field(0.1, description="that an image is changed, in [0, 1]")


def posterized(images: Images, bits: Numbers) -> Images:
    """Round down to a multiple of ``2^(8 − bits)`` gray levels, after rounding to whole ones."""
    steps = torch.exp2(8.0 - over_pixels(bits, images))
    return _levels(images).div_(steps).floor_().mul_(steps).div_(255.0)


def solarized(images: Images, thresholds: Numbers) -> Images:
    """Replace x by 1 − x where x is at least the threshold."""
    inverts = torch.ge(images, over_pixels(thresholds, images), out=torch.empty_like(images))  # 0 or 1
    return torch.lerp(images, 1.0 - images, inverts)  # weights 0 and 1 are exact


def stretched(images: Images) -> Images:
    """Map the range of each channel to [0, 1]; a channel of one value stays."""
    lowest, highest = images.amin(dim=(2, 3), keepdim=True), images.amax(dim=(2, 3), keepdim=True)
    uniform = highest <= lowest
    scale = torch.where(uniform, 1.0, highest - lowest)
    return ((images - torch.where(uniform, 0.0, lowest)) / scale).clamp_(0.0, 1.0)


@in_parts
def equalized(images: Images) -> Images:
    """Equalize the histogram of 256 gray levels of each channel.

    As in Pillow: with ``step`` the number of pixels without those of the brightest value, over 255, level i
    becomes ``(pixels darker than i + step / 2) / step``, all in whole numbers; a channel with step 0 stays.
    """
    levels = _levels(images).to(torch.int32).flatten(2).flatten(0, 1)  # a row for each channel of each image
    first_bins = torch.arange(0, 256 * len(levels), 256, dtype=torch.int32, device=images.device)
    bins = levels + first_bins[:, None]
    histogram = torch.bincount(bins.flatten(), minlength=256 * len(levels)).view(-1, 256)
    table = _equalizing(histogram).to(images.dtype).div_(255.0)
    return table.gather(1, levels.long()).view_as(images)


def _equalizing(histogram: Int64[Tensor, "count 256"]) -> Float32[Tensor, "count 256"]:
    """Return the new gray level of each gray level; exact for channels of up to 2²⁴ pixels."""
    frequencies = histogram.float()
    up_to = histogram.cumsum(dim=1).float()
    pixels = up_to[:, -1:]
    below_brightest = (
        torch.lt(up_to, pixels, out=torch.empty_like(up_to)).mul_(up_to).amax(dim=1, keepdim=True)
    )
    step = (below_brightest / 255.0).floor_()
    table = up_to.sub_(frequencies).add_((step / 2.0).floor_()).div_(step.clamp(min=1.0))
    uniform = step.eq(0.0).float()
    return torch.lerp(table.floor_().clamp_(max=255.0), torch.arange(256.0, device=table.device), uniform)


def inverted(images: Images) -> Images:
    """Return 1 − x."""
    return 1.0 - images


def _levels(images: Images) -> Tensor:
    """Return gray levels from 0 to 255, whole numbers in the images' data type."""
    return (images * 255.0).round_()


def apply_posterize(settings: Posterize, images: Images, draws: Draws) -> Images:
    """Keep each image's highest bits."""
    return per_image(images, draws, settings.probability, posterized, draws.whole(settings.bits).double())


def apply_solarize(settings: Solarize, images: Images, draws: Draws) -> Images:
    """Invert each image above its threshold."""
    return per_image(images, draws, settings.probability, solarized, draws.uniform(settings.threshold))


def apply_equalize(settings: Equalize, images: Images, draws: Draws) -> Images:
    """Equalize each image."""
    return per_image(images, draws, settings.probability, equalized)


def apply_auto_contrast(settings: AutoContrast, images: Images, draws: Draws) -> Images:
    """Stretch each image."""
    return per_image(images, draws, settings.probability, stretched)


def apply_invert(settings: Invert, images: Images, draws: Draws) -> Images:
    """Invert the images that draw it."""
    return per_image(images, draws, settings.probability, inverted)
