"""Changes colors: hue, saturation, brightness, contrast, gray."""

from typing import Annotated, Literal

import torch
from pydantic import AfterValidator, Field

from foolscope.augmentation.applying import in_parts, over_pixels, per_image
from foolscope.augmentation.settings import (
    AugmentationSettings,
    Draws,
    Images,
    ImageShape,
    Numbers,
    Plane,
    Probability,
    Span,
    within,
)
from foolscope.core.errors import RecipeError

__all__ = [
    "Brightness",
    "Contrast",
    "Gray",
    "Hue",
    "Saturation",
    "apply_brightness",
    "apply_contrast",
    "apply_gray",
    "apply_hue",
    "apply_saturation",
    "brightened",
    "check_color",
    "contrasted",
    "grayscale",
    "hue_shifted",
    "saturated",
]

_LUMA = (0.299, 0.587, 0.114)  # ITU-R 601-2, as Pillow's conversion to gray

_Turn = Annotated[Span, AfterValidator(within(-0.5, 0.5))]
_Factor = Annotated[Span, AfterValidator(within(0))]


class _Color(AugmentationSettings):
    """What all operations on colors have."""

    probability: Probability = Field(1.0, description="that an image is changed, in [0, 1]")


class Hue(_Color):
    """Turn the color circle; value and saturation in HSV stay."""

    name: Literal["hue"] = "hue"
    shift: _Turn = Field(
        (-0.1, 0.1), description="share of the color circle, in [-0.5, 0.5]; a number or [low, high]"
    )

    measure = "shift"


class Saturation(_Color):
    """Blend each image with its gray picture: 0 is gray, 1 the image, above 1 more colorful."""

    name: Literal["saturation"] = "saturation"
    factor: _Factor = Field((0.6, 1.4), description="0 is gray, 1 changes nothing; a number or [low, high]")

    measure = "factor"


class Brightness(_Color):
    """Multiply each image by a factor: 0 is black, 1 the image."""

    name: Literal["brightness"] = "brightness"
    factor: _Factor = Field((0.6, 1.4), description="0 is black, 1 changes nothing; a number or [low, high]")

    measure = "factor"


class Contrast(_Color):
    """Blend each image with its mean gray: 0 is uniform gray, 1 the image."""

    name: Literal["contrast"] = "contrast"
    factor: _Factor = Field(
        (0.6, 1.4), description="0 is uniform gray, 1 changes nothing; a number or [low, high]"
    )

    measure = "factor"


class Gray(_Color):
    """Replace the colors of each image by their gray."""

    name: Literal["gray"] = "gray"
    probability: Probability = Field(0.1, description="that an image is changed, in [0, 1]")


def check_color(settings: Hue | Saturation | Gray, image_shape: ImageShape) -> None:
    """Refuse images without colors.

    Raises:
        RecipeError: the images do not have three channels.
    """
    if image_shape[0] != 3:
        channels = "one channel" if image_shape[0] == 1 else f"{image_shape[0]} channels"
        raise RecipeError(
            f"{settings.name} needs images of three channels, red, green and blue; these have {channels}"
        )


def grayscale(images: Images) -> Plane:
    """Return the brightness of each pixel, one channel: 0.299 R + 0.587 G + 0.114 B."""
    if images.shape[1] != 3:
        return images.mean(dim=1, keepdim=True)
    red, green, blue = torch.split(images, 1, dim=1)
    return (red * _LUMA[0]).add_(green, alpha=_LUMA[1]).add_(blue, alpha=_LUMA[2])


def brightened(images: Images, factors: Numbers) -> Images:
    """Multiply by a factor: ``f x``, clipped."""
    return (images * over_pixels(factors, images)).clamp_(0.0, 1.0)


def saturated(images: Images, factors: Numbers) -> Images:
    """Blend with gray: ``g + f (x − g)``, clipped; images that have no colors stay."""
    return torch.lerp(grayscale(images), images, over_pixels(factors, images)).clamp_(0.0, 1.0)


def contrasted(images: Images, factors: Numbers) -> Images:
    """Blend with the mean gray of the image: ``m + f (x − m)``, clipped."""
    means, factor = grayscale(images.mean(dim=(2, 3), keepdim=True)), over_pixels(factors, images)
    return (images * factor).add_(means * (1.0 - factor)).clamp_(0.0, 1.0)


@in_parts
def hue_shifted(images: Images, shifts: Numbers) -> Images:
    r"""Turn the hue of each image, and keep value and saturation.

    With value v and chroma c of a pixel, and its hue h in [0, 6) after the turn,

    .. math:: x_n = v - c \max(0, \min(k, 4 - k, 1)), \quad k = (n + h) \bmod 6, \quad n = 5, 3, 1

    for red, green and blue.

    References:
        Smith 1978, *Color gamut transform pairs*, SIGGRAPH, for HSV; the closed form of its inverse is
        arithmetic on whole tensors, without the six cases.
    """
    value, chroma, hue = _value_chroma_hue(images)
    turned = hue.add_(6.0 * over_pixels(shifts, images))
    offsets = images.new_tensor([5.0, 3.0, 1.0]).view(1, 3, 1, 1)
    place = turned + offsets
    place -= torch.floor(place / 6.0).mul_(6.0)
    falls = torch.minimum(place, 4.0 - place).clamp_(0.0, 1.0)
    return torch.addcmul(value, chroma, falls, value=-1.0).clamp_(0.0, 1.0)


def _value_chroma_hue(images: Images) -> tuple[Plane, Plane, Plane]:
    """Return HSV's value, value times saturation, and the hue in sixths of the circle; gray has hue 0.

    The three cases of the hue are a sum with weights 0 and 1, which is faster than a choice.
    """
    red, green, blue = (channel.contiguous() for channel in torch.split(images, 1, dim=1))
    value = torch.maximum(torch.maximum(red, green), blue)
    chroma = value - torch.minimum(torch.minimum(red, green), blue)
    is_red = torch.eq(red, value, out=torch.empty_like(red))
    is_green = torch.eq(green, value, out=torch.empty_like(red)).mul_(1.0 - is_red)
    is_blue = 1.0 - is_red - is_green
    differences = is_red * (green - blue) + is_green * (blue - red) + is_blue * (red - green)
    hue = differences / chroma.clamp(min=torch.finfo(images.dtype).tiny)
    return value, chroma, hue.add_(is_green, alpha=2.0).add_(is_blue, alpha=4.0)


def apply_hue(settings: Hue, images: Images, draws: Draws) -> Images:
    """Turn each image's hue."""
    return per_image(images, draws, settings.probability, hue_shifted, draws.uniform(settings.shift))


def apply_saturation(settings: Saturation, images: Images, draws: Draws) -> Images:
    """Change each image's saturation."""
    return per_image(images, draws, settings.probability, saturated, draws.uniform(settings.factor))


def apply_brightness(settings: Brightness, images: Images, draws: Draws) -> Images:
    """Change each image's brightness."""
    return per_image(images, draws, settings.probability, brightened, draws.uniform(settings.factor))


def apply_contrast(settings: Contrast, images: Images, draws: Draws) -> Images:
    """Change each image's contrast."""
    return per_image(images, draws, settings.probability, contrasted, draws.uniform(settings.factor))


def apply_gray(settings: Gray, images: Images, draws: Draws) -> Images:
    """Take the colors from the images that draw it."""
    return per_image(images, draws, settings.probability, _grayed)


def _grayed(images: Images) -> Images:
    return grayscale(images).expand_as(images).contiguous()
