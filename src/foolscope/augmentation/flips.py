"""Mirrors images left to right: at random, or every image in every other epoch."""

from typing import Literal

import torch
from jaxtyping import Bool
from pydantic import Field
from torch import Tensor

from foolscope.augmentation.applying import over_pixels
from foolscope.augmentation.settings import AugmentationSettings, Draws, Images, Probability
from foolscope.core.randomness import derive_seed
from foolscope.core.splitmix import mixed

__all__ = ["AlternatingFlip", "HorizontalFlip", "apply_alternating_flip", "apply_horizontal_flip"]


class HorizontalFlip(AugmentationSettings):
    """Mirror each image left to right with a probability."""

    name: Literal["horizontal-flip"] = "horizontal-flip"
    probability: Probability = Field(0.5, description="of a flip, in [0, 1]")


class AlternatingFlip(AugmentationSettings):
    """Mirror a fixed random half of the images in even epochs, the other half in odd ones.

    Each two epochs in a row show every image both ways, which random flips do for half of the images.
    """

    name: Literal["alternating-flip"] = "alternating-flip"


def apply_horizontal_flip(settings: HorizontalFlip, images: Images, draws: Draws) -> Images:
    """Mirror the images that draw it."""
    return _flipped(images, draws.happens(settings.probability))


def apply_alternating_flip(settings: AlternatingFlip, images: Images, draws: Draws) -> Images:
    """Mirror the images whose turn it is.

    References:
        Jordan 2024, *94% on CIFAR-10 in 3.29 seconds on a single GPU*, arXiv:2404.00498, section 3.6; there
        the half is chosen by MD5 of the index, here by SplitMix64 of seed and index, which whole tensors can
        compute.
    """
    key = derive_seed(draws.seed, "alternating-flip")
    half = mixed(mixed(draws.indices) ^ key) & 1
    return _flipped(images, (half + draws.epoch) % 2 == 0)


def _flipped(images: Images, chosen: Bool[Tensor, " batch"]) -> Images:
    flipped = images.flip(3)
    weights = over_pixels(chosen.double(), images)
    return torch.lerp(images, flipped, weights, out=flipped)  # weights 0 and 1 are exact
