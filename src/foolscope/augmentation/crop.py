"""Cuts a window of the image's own size out of the padded image, at a random place."""

from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from foolscope.augmentation.settings import AugmentationSettings, Draws, Images, ImageShape, Probability
from foolscope.core.errors import RecipeError

__all__ = ["RandomCrop", "apply_random_crop", "check_random_crop"]


class RandomCrop(AugmentationSettings):
    """Pad each image on all sides, and cut a window of its own size at a random place."""

    name: Literal["random-crop"] = "random-crop"
    padding: int = Field(4, ge=1, description="on each side, in pixels")
    border: Literal["zeros", "reflect"] = Field(
        "zeros", description="the padding: black, or the image mirrored about its outermost pixels"
    )
    probability: Probability = Field(1.0, description="that an image is cropped, in [0, 1]")

    measure = "padding"
    unit = " px"


def check_random_crop(settings: RandomCrop, image_shape: ImageShape) -> None:
    """Refuse a window that can miss the image, or more mirrored pixels than there are.

    Raises:
        RecipeError: the padding is too large for the images.
    """
    side = min(image_shape[1:])
    if settings.padding >= side:
        raise RecipeError(
            f"random-crop: padding must be at most {side - 1} for {image_shape[1]}×{image_shape[2]} images; "
            f"got {settings.padding}"
        )


def apply_random_crop(settings: RandomCrop, images: Images, draws: Draws) -> Images:
    """Cut the windows; an image that is not cropped keeps its place."""
    padding = settings.padding
    height, width = images.shape[2:]
    mode = "constant" if settings.border == "zeros" else "reflect"
    tops, lefts = draws.whole((0, 2 * padding)), draws.whole((0, 2 * padding))
    if settings.probability < 1.0:
        stays = ~draws.happens(settings.probability)
        tops, lefts = tops.masked_fill(stays, padding), lefts.masked_fill(stays, padding)
    return _windows(functional.pad(images, (padding,) * 4, mode=mode), tops, lefts, height, width)


def _windows(
    padded: Float[Tensor, "batch channel rows columns"], tops: Tensor, lefts: Tensor, height: int, width: int
) -> Images:
    """Cut a window of the given size out of each image.

    Each row of a window is a run of numbers in memory, and is copied as one.
    """
    batch, channels, rows, columns = padded.shape
    runs = padded.flatten().unfold(0, width, 1)  # a view: where a run starts, place in the run
    planes = torch.arange(batch * channels, device=padded.device).view(batch, channels, 1) * (rows * columns)
    heights = torch.arange(height, device=padded.device) * columns
    starts = planes + (tops * columns + lefts).view(-1, 1, 1) + heights
    return runs.index_select(0, starts.flatten()).view(batch, channels, height, width)
