"""Adds Gaussian noise to every pixel."""

from functools import cache
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import AfterValidator, Field
from torch import Tensor

from foolscope.augmentation.applying import over_pixels, per_image
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
    gaussian = _gaussian(images.shape, draws.generator)

    def add(images: Images, deviations: Numbers, gaussian: torch.Tensor) -> Images:
        return torch.addcmul(images, over_pixels(deviations, images), gaussian.to(images.dtype)).clamp_(
            0.0, 1.0
        )

    deviations = draws.uniform(settings.deviation)
    return per_image(images, draws, settings.probability, add, deviations, gaussian)


def _gaussian(shape: torch.Size, generator: torch.Generator) -> Float[Tensor, "..."]:
    """Draw float32 numbers with mean 0 and variance 1: one of 65,536 equally likely quantiles each.

    Four of them come from each 64 random bits, in half the time that torch takes for a normal number; the
    largest is 4.3.
    """
    count, device = shape.numel(), generator.device
    bits = torch.empty(-(-count // 4), dtype=torch.int64, device=device)
    bits.random_(-(2**63), None, generator=generator)
    places = bits.view(torch.int16)[:count].to(torch.int64).add_(1 << 15)
    return _quantiles(device).index_select(0, places).view(shape)


@cache
def _quantiles(device: torch.device) -> Float[Tensor, "65536"]:
    """Return the quantiles of the normal distribution at (i + ½) / 65,536, scaled to variance 1."""
    count = 1 << 16
    quantiles: Tensor = torch.special.ndtri((torch.arange(count, dtype=torch.float64) + 0.5) / count)
    return (quantiles / quantiles.square().mean().sqrt()).to(device, torch.float32)
