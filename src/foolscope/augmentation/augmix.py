"""AugMix: each image is averaged with mixtures of short chains of operations."""

from typing import Annotated, Literal

import torch
from pydantic import AfterValidator, Field
from torch import Tensor

from foolscope.augmentation.applying import over_pixels, precisely
from foolscope.augmentation.choices import CHANGES, Choice, apply_chosen
from foolscope.augmentation.settings import (
    AugmentationSettings,
    Draws,
    Images,
    ImageShape,
    Interpolation,
    WholeSpan,
    ends,
    within,
)

__all__ = ["AugMix", "apply_augmix", "augmix_choices", "augmix_parts"]

_Depth = Annotated[WholeSpan, AfterValidator(within(1, 10))]

_HIGHEST = 10.0
_LOWEST_LEVEL = 0.1


class AugMix(AugmentationSettings):
    """AugMix as augmentation: without its consistency loss."""

    name: Literal["augmix"] = "augmix"
    severity: float = Field(3.0, ge=_LOWEST_LEVEL, le=_HIGHEST, description="highest level, 0.1 to 10")
    chains: int = Field(3, ge=1, le=10, description="that are mixed")
    depth: _Depth = Field((1, 3), description="operations in a chain; a number or [low, high]")
    alpha: float = Field(
        1.0, gt=0.0, le=100.0, description="of the Dirichlet and Beta distributions of the weights"
    )
    interpolation: Interpolation = Field(
        "bilinear", description="of operations that move pixels: the nearest pixel, or bilinear"
    )
    fill: float = Field(0.0, ge=0.0, le=1.0, description="of pixels from outside the image, in [0, 1]")

    measure = "severity"


def apply_augmix(settings: AugMix, images: Images, draws: Draws) -> Images:
    r"""Apply AugMix.

    .. math:: (1 - m) x + m \sum_k w_k c_k(x), \quad w \sim Dirichlet(\alpha), \; m \sim Beta(\alpha, \alpha)

    with chains :math:`c_k` of operations drawn for each image. All chains of all images run side by side.

    References:
        Hendrycks et al. 2020, *AugMix: A simple data processing method to improve robustness and
        uncertainty*, ICLR, arXiv:1912.02781, algorithm 1; numbers of the operations as in their code.
    """
    count = settings.chains
    highest_depth = int(ends(settings.depth)[1])
    weights, shares = draws.dirichlet(settings.alpha, count), draws.beta(settings.alpha)
    many = draws.repeated(count)
    depths = many.whole(settings.depth)
    precise = precisely(images)
    chains = precise.repeat(count, 1, 1, 1)
    choices = augmix_choices(*images.shape[2:])
    for depth in range(highest_depth):
        levels = many.uniform((_LOWEST_LEVEL, settings.severity))
        chosen, signs = many.whole((1, len(choices) - 1)), many.signs()
        chosen = torch.where(depth < depths, chosen, 0)  # identity
        chains = apply_chosen(
            chains,
            choices,
            chosen,
            levels,
            signs,
            interpolation=settings.interpolation,
            fill=settings.fill,
        )
    mixture = torch.einsum("kb...,bk->b...", chains.view(count, *images.shape), weights.to(precise.dtype))
    mixed = torch.lerp(precise, mixture, over_pixels(shares, precise)).clamp_(0.0, 1.0)
    return mixed.to(images.dtype)


def augmix_choices(height: int, width: int) -> list[Choice]:
    """Return no operation and the nine of AugMix, with their numbers by level for images of this size.

    Those that overlap with the corruptions of ImageNet-C are left out, as published.
    """

    def whole(highest: float, levels: Tensor) -> Tensor:
        return (levels * (highest / _HIGHEST)).trunc()

    def slant(levels: Tensor) -> Tensor:
        return (0.3 / _HIGHEST * levels).atan().rad2deg()

    return [
        Choice("identity", lambda levels: levels),
        Choice("auto-contrast", lambda levels: levels),
        Choice("equalize", lambda levels: levels),
        Choice("posterize", lambda levels: 4.0 - whole(4.0, levels)),
        Choice("rotate", lambda levels: whole(30.0, levels), neutral=0.0),
        Choice("solarize", lambda levels: (256.0 - whole(256.0, levels)) / 255.0),
        Choice("shear-x", slant, neutral=0.0),
        Choice("shear-y", slant, neutral=0.0),
        Choice("translate-x", lambda levels: whole(width / 3.0, levels), neutral=0.0),
        Choice("translate-y", lambda levels: whole(height / 3.0, levels), neutral=0.0),
    ]


def augmix_parts(settings: AugMix, image_shape: ImageShape) -> list[AugmentationSettings]:
    """Return the operations of AugMix alone, at the highest level."""
    _, height, width = image_shape
    level = torch.tensor([settings.severity], dtype=torch.float64)
    parts = []
    for choice in augmix_choices(height, width)[1:]:
        own = CHANGES[choice.name].settings(float(choice.numbers(level)[0]), height, width)
        if own is not None:
            parts.append(own)
    return parts
