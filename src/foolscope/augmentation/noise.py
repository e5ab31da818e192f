"""Adds Gaussian noise to every pixel."""

from typing import Annotated, Literal

import torch
from pydantic import AfterValidator, Field

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
    gaussian = torch.randn(images.shape, generator=draws.generator, device=images.device)

    def add(images: Images, deviations: Numbers, gaussian: torch.Tensor) -> Images:
        return torch.addcmul(images, over_pixels(deviations, images), gaussian.to(images.dtype)).clamp_(
            0.0, 1.0
        )

    deviations = draws.uniform(settings.deviation)
    return per_image(images, draws, settings.probability, add, deviations, gaussian)
