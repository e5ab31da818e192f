"""Adds Gaussian noise to every pixel."""

from functools import cache
from typing import Annotated, Literal

import torch
from jaxtyping import Float32, Int16
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
    within,
)

__all__ = ["Noise", "apply_noise"]

_Deviation = Annotated[Span, AfterValidator(within(0, 1))]


class Noise(AugmentationSettings):
    """Add independent Gaussian noise to every pixel, and clip."""

    name: Literal["noise"] = "noise"
    deviation: _Deviation = Field(
        (0.0, 0.1), description="standard deviation, pixels being in [0, 1]; a number or [low, high]"
    )
    probability: Probability = Field(1.0, description="that an image is changed, in [0, 1]")

    measure = "deviation"


def apply_noise(settings: Noise, images: Images, draws: Draws) -> Images:
    """Add each image's noise, which is drawn for all images, whatever the probability."""
    bits = _bits(images.shape, draws.generator)

    @in_parts
    def add(images: Images, deviations: Numbers, bits: Tensor) -> Images:
        gaussian = _gaussian(bits).to(images.dtype)
        deviation = over_pixels(deviations, images)
        return torch.addcmul(images, deviation, gaussian, out=gaussian).clamp_(0.0, 1.0)

    deviations = draws.uniform(settings.deviation)
    return per_image(images, draws, settings.probability, add, deviations, bits)


def _bits(shape: torch.Size, generator: torch.Generator) -> Int16[Tensor, "..."]:
    """Draw 16 random bits for each number, four times from 64."""
    count = shape.numel()
    bits = torch.empty(-(-count // 4), dtype=torch.int64, device=generator.device)
    bits.random_(-(2**63), None, generator=generator)
    return bits.view(torch.int16)[:count].view(shape)


def _gaussian(bits: Int16[Tensor, "*shape"]) -> Float32[Tensor, "*shape"]:
    """Return numbers with mean 0 and variance 1: one of 65,536 equally likely quantiles each.

    Takes half the time that torch takes for a normal number; the largest is 4.3.
    """
    places = bits.contiguous().view(torch.uint16).to(torch.int64)
    quantiles = _quantiles(bits.device).expand(len(bits), -1)
    return quantiles.gather(1, places.flatten(1)).view(bits.shape)


@cache
def _quantiles(device: torch.device) -> Float32[Tensor, "65536"]:
    """Return the quantiles of the normal distribution at (i + ½) / 65,536, scaled to variance 1.

    The upper half comes first: bits are read as numbers without sign.
    """
    count = 1 << 16
    quantiles: Tensor = torch.special.ndtri((torch.arange(count, dtype=torch.float64) + 0.5) / count)
    return (quantiles / quantiles.square().mean().sqrt()).roll(count // 2).to(device, torch.float32)
