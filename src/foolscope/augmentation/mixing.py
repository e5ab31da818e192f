"""Mixes each image with another of its minibatch, and their labels alike: mixup and cutmix."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from foolscope.augmentation.applying import over_pixels, precisely
from foolscope.augmentation.erasing import rectangles
from foolscope.augmentation.settings import AugmentationSettings, Draws, Images, Mixing, Probability

__all__ = ["Cutmix", "Mixup", "mix_cutmix", "mix_mixup"]


class Mixup(AugmentationSettings):
    """Average each image with another one, and their labels with the same weights."""

    name: Literal["mixup"] = "mixup"
    alpha: float = Field(
        0.2, gt=0.0, le=100.0, description="of the weights' distribution Beta(alpha, alpha): 1 is uniform"
    )
    probability: Probability = Field(1.0, description="that an image is mixed, in [0, 1]")

    measure = "alpha"


class Cutmix(AugmentationSettings):
    """Paste a rectangle of another image into each image, and weigh their labels by area."""

    name: Literal["cutmix"] = "cutmix"
    alpha: float = Field(
        1.0, gt=0.0, le=100.0, description="of the area's distribution Beta(alpha, alpha): 1 is uniform"
    )
    probability: Probability = Field(1.0, description="that an image is mixed, in [0, 1]")

    measure = "alpha"


def mix_mixup(settings: Mixup, images: Images, draws: Draws) -> tuple[Images, Mixing]:
    """Average each image with its partner: ``w x_i + (1 − w) x_j``.

    Weights are drawn for each image; partners are a random order of the minibatch, in which an image can keep
    its place.

    References:
        Zhang et al. 2018, *mixup: Beyond empirical risk minimization*, ICLR, arXiv:1710.09412, section 2;
        their code draws one weight for the minibatch.
    """
    partners = _partners(images, draws)
    weights = _weights(settings, draws)
    precise = precisely(images)
    mixed = precise.index_select(0, partners)
    torch.lerp(mixed, precise, over_pixels(weights, precise), out=mixed).clamp_(0.0, 1.0)
    return mixed.to(images.dtype), Mixing(partners, weights.to(precise.dtype))


def mix_cutmix(settings: Cutmix, images: Images, draws: Draws) -> tuple[Images, Mixing]:
    """Paste a rectangle of its partner into each image; the weight is the share of the image that is left.

    References:
        Yun et al. 2019, *CutMix: Regularization strategy to train strong classifiers with localizable
        features*, ICCV, arXiv:1905.04899, section 3.1 and algorithm 1; their code draws one rectangle for the
        minibatch.
    """
    height, width = images.shape[2:]
    partners = _partners(images, draws)
    side = (1.0 - _weights(settings, draws)).clamp(min=0.0).sqrt()
    tall, wide = (side * height).floor(), (side * width).floor()
    top, left = draws.whole((0, height - 1)) - tall // 2, draws.whole((0, width - 1)) - wide // 2
    pasted = rectangles(precisely(images), top, top + tall, left, left + wide)
    weights = 1.0 - pasted.mean(dim=(1, 2, 3))
    others = images.index_select(0, partners)
    mixed = torch.lerp(images, others, pasted.to(images.dtype))  # weights 0 and 1 are exact
    return mixed, Mixing(partners, weights)


def _partners(images: Images, draws: Draws) -> Tensor:
    return torch.randperm(len(images), generator=draws.generator, device=images.device)


def _weights(settings: Mixup | Cutmix, draws: Draws) -> Tensor:
    weights = draws.beta(settings.alpha)
    if settings.probability == 1.0:
        return weights
    return torch.where(draws.happens(settings.probability), weights, 1.0)
