"""Erases a rectangle of each image: cutout and random erasing."""

import math
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import AfterValidator, Field
from torch import Tensor

from foolscope.augmentation.applying import covered, per_image
from foolscope.augmentation.settings import (
    AugmentationSettings,
    Draws,
    Images,
    ImageShape,
    Probability,
    Span,
    ends,
    within,
)
from foolscope.core.errors import RecipeError

__all__ = [
    "Cutout",
    "RandomErasing",
    "apply_cutout",
    "apply_random_erasing",
    "check_cutout",
    "rectangles",
]

_Share = Annotated[Span, AfterValidator(within(0, 1))]
_Ratio = Annotated[Span, AfterValidator(within(0.01, 100))]

_ATTEMPTS = 10  # of random erasing to find a rectangle that fits, as published


class Cutout(AugmentationSettings):
    """Erase a square about a random pixel of each image; what lies beyond the border is cut off."""

    name: Literal["cutout"] = "cutout"
    size: int = Field(8, ge=1, description="side of the square, in pixels")
    fill: float = Field(0.0, ge=0.0, le=1.0, description="of erased pixels, in [0, 1]")
    probability: Probability = Field(1.0, description="that an image is changed, in [0, 1]")

    measure = "size"
    unit = " px"


class RandomErasing(AugmentationSettings):
    """Erase a rectangle of random area, shape and place that lies in the image."""

    name: Literal["random-erasing"] = "random-erasing"
    area: _Share = Field((0.02, 1 / 3), description="of the rectangle, as a share of the image's")
    ratio: _Ratio = Field((0.3, 10 / 3), description="of its height to its width")
    fill: float = Field(0.0, ge=0.0, le=1.0, description="of erased pixels, in [0, 1]")
    probability: Probability = Field(0.5, description="that an image is changed, in [0, 1]")

    measure = "area"
    unit = " of the area"


def check_cutout(settings: Cutout, image_shape: ImageShape) -> None:
    """Refuse a square that is larger than the images.

    Raises:
        RecipeError: the square is larger than the images.
    """
    side = min(image_shape[1:])
    if settings.size > side:
        raise RecipeError(
            f"cutout: size must be at most {side} for {image_shape[1]}×{image_shape[2]} images; "
            f"got {settings.size}"
        )


def rectangles(
    images: Images, top: Tensor, bottom: Tensor, left: Tensor, right: Tensor
) -> Float[Tensor, "batch 1 height width"]:
    """Return 1 for the pixels in each image's rectangle, else 0; bottom and right are exclusive."""
    height, width = images.shape[2:]
    rows = torch.arange(height, device=top.device)
    columns = torch.arange(width, device=top.device)
    in_rows = ((rows >= top[:, None]) & (rows < bottom[:, None])).to(images.dtype)
    in_columns = ((columns >= left[:, None]) & (columns < right[:, None])).to(images.dtype)
    return (in_rows[:, :, None] * in_columns[:, None, :])[:, None]


def apply_cutout(settings: Cutout, images: Images, draws: Draws) -> Images:
    """Erase a square of each image.

    References:
        DeVries and Taylor 2017, *Improved regularization of convolutional neural networks with cutout*,
        arXiv:1708.04552, section 3.2.
    """
    height, width = images.shape[2:]
    top = draws.whole((0, height - 1)) - settings.size // 2
    left = draws.whole((0, width - 1)) - settings.size // 2
    cover = rectangles(images, top, top + settings.size, left, left + settings.size)
    return _erased(settings, images, draws, cover)


def apply_random_erasing(settings: RandomErasing, images: Images, draws: Draws) -> Images:
    """Erase a rectangle of each image; an image for which ten draws give none that fits stays.

    References:
        Zhong et al. 2020, *Random erasing data augmentation*, AAAI, arXiv:1708.04896, algorithm 1, with the
        logarithm of the ratio uniform, as in torchvision.
    """
    height, width = images.shape[2:]
    many = draws.repeated(_ATTEMPTS)
    area = many.uniform(settings.area) * (height * width)
    low, high = ends(settings.ratio)
    ratio = many.uniform((math.log(low), math.log(high))).exp()
    tall, wide = (area * ratio).sqrt().round(), (area / ratio).sqrt().round()
    fits = ((tall < height) & (wide < width)).view(_ATTEMPTS, -1)
    first = fits.to(torch.uint8).argmax(dim=0)
    tall, wide = (sides.view(_ATTEMPTS, -1).gather(0, first[None])[0] for sides in (tall, wide))
    top = (draws.uniform() * (height - tall + 1)).floor()
    left = (draws.uniform() * (width - wide + 1)).floor()
    cover = rectangles(images, top, top + tall, left, left + wide)
    return _erased(settings, images, draws, cover * fits.any(dim=0).view(-1, 1, 1, 1))


def _erased(settings: Cutout | RandomErasing, images: Images, draws: Draws, cover: Tensor) -> Images:
    def erase(images: Images, cover: Tensor) -> Images:
        return covered(images, cover.to(images.dtype), settings.fill)

    return per_image(images, draws, settings.probability, erase, cover)
