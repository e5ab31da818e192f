"""RandAugment and TrivialAugment: each image draws its operations, with magnitudes from a published table."""

import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from foolscope.augmentation.applying import precisely
from foolscope.augmentation.choices import CHANGES, Choice, apply_chosen
from foolscope.augmentation.settings import AugmentationSettings, Draws, Images, ImageShape, Interpolation

__all__ = [
    "RandAugment",
    "TrivialAugment",
    "apply_rand",
    "apply_trivial",
    "rand_choices",
    "rand_parts",
    "trivial_choices",
    "trivial_parts",
]

_HIGHEST = 30  # the magnitudes are 0 to 30


class _Policy(AugmentationSettings):
    """What all policies have."""

    interpolation: Interpolation = Field(
        "nearest", description="of operations that move pixels: the nearest pixel, or bilinear"
    )
    fill: float = Field(0.0, ge=0.0, le=1.0, description="of pixels from outside the image, in [0, 1]")


class RandAugment(_Policy):
    """RandAugment: each image draws a number of operations, all of one magnitude."""

    name: Literal["rand"] = "rand"
    operations: int = Field(2, ge=1, le=14, description="that are applied to each image, one after another")
    magnitude: int = Field(9, ge=0, le=_HIGHEST, description="of all operations, 0 to 30")

    measure = "magnitude"


class TrivialAugment(_Policy):
    """TrivialAugment, wide: each image draws one operation and its magnitude."""

    name: Literal["trivial"] = "trivial"


def apply_rand(settings: RandAugment, images: Images, draws: Draws) -> Images:
    """Apply RandAugment.

    References:
        Cubuk et al. 2020, *RandAugment: Practical automated data augmentation with a reduced search space*,
        NeurIPS, arXiv:1909.13719, section 3; ranges and rounding of magnitudes as in torchvision. Here each
        image of a minibatch draws its own operations.
    """
    choices = rand_choices(*images.shape[2:])
    level = settings.magnitude
    levels = torch.full_like(draws.indices, level)
    changed = precisely(images)
    for _ in range(settings.operations):
        changed = _apply_one(settings, changed, choices, draws, levels)
    return changed.to(images.dtype)


def apply_trivial(settings: TrivialAugment, images: Images, draws: Draws) -> Images:
    """Apply TrivialAugment with its wide ranges.

    References:
        Müller and Hutter 2021, *TrivialAugment: Tuning-free yet state-of-the-art data augmentation*, ICCV,
        arXiv:2103.10158, section 3, table 1; ranges and rounding as in torchvision.
    """
    levels = draws.whole((0, _HIGHEST))
    return _apply_one(settings, precisely(images), trivial_choices(), draws, levels).to(images.dtype)


def _apply_one(
    settings: _Policy, images: Images, choices: Sequence[Choice], draws: Draws, levels: Tensor
) -> Images:
    chosen, signs = draws.whole((0, len(choices) - 1)), draws.signs()
    return apply_chosen(
        images,
        choices,
        chosen,
        levels,
        signs,
        interpolation=settings.interpolation,
        fill=settings.fill,
    )


def rand_choices(height: int, width: int) -> list[Choice]:
    """Return the operations of RandAugment, with their numbers by level for images of this size."""
    return _choices(
        slope=0.3,
        across=150.0 / 331.0 * width,
        down=150.0 / 331.0 * height,
        degrees=30.0,
        strength=0.9,
        bits_lost=4,
    )


def trivial_choices() -> list[Choice]:
    """Return the operations of TrivialAugment, with their numbers by level."""
    return _choices(slope=0.99, across=32.0, down=32.0, degrees=135.0, strength=0.99, bits_lost=6)


def _choices(
    *, slope: float, across: float, down: float, degrees: float, strength: float, bits_lost: int
) -> list[Choice]:
    """Return the 14 operations; arguments are their numbers at the highest level.

    Translations are by whole pixels, rounded towards none.
    """
    factors = _table(lambda share: 1.0 + strength * share)
    slants = _table(lambda share: math.degrees(math.atan(slope * share)))
    return [
        Choice("identity", _table(float)),
        Choice("shear-x", slants, neutral=0.0),
        Choice("shear-y", slants, neutral=0.0),
        Choice("translate-x", _table(lambda share: math.floor(across * share)), neutral=0.0),
        Choice("translate-y", _table(lambda share: math.floor(down * share)), neutral=0.0),
        Choice("rotate", _table(lambda share: degrees * share), neutral=0.0),
        Choice("brightness", factors, neutral=1.0),
        Choice("saturation", factors, neutral=1.0),
        Choice("contrast", factors, neutral=1.0),
        Choice("sharpness", factors, neutral=1.0),
        Choice("posterize", _table(lambda share: 8.0 - round(bits_lost * share))),
        Choice("solarize", _table(lambda share: 1.0 - share)),
        Choice("auto-contrast", _table(float)),
        Choice("equalize", _table(float)),
    ]


def _table(number: Callable[[float], float]) -> Callable[[Tensor], Tensor]:
    """Return the look-up of an operation's numbers by level; ``number`` is of the level over 30."""
    numbers = np.array([float(number(level / _HIGHEST)) for level in range(_HIGHEST + 1)])

    def look_up(levels: Tensor) -> Tensor:
        return torch.from_numpy(numbers).to(levels.device).index_select(0, levels)

    return look_up


def rand_parts(settings: RandAugment, image_shape: ImageShape) -> list[AugmentationSettings]:
    """Return the operations of RandAugment alone, with the numbers of its magnitude."""
    return _parts(settings, rand_choices(*image_shape[1:]), settings.magnitude, image_shape)


def trivial_parts(settings: TrivialAugment, image_shape: ImageShape) -> list[AugmentationSettings]:
    """Return the operations of TrivialAugment alone, at half of the highest magnitude."""
    return _parts(settings, trivial_choices(), _HIGHEST // 2, image_shape)


def _parts(
    settings: _Policy, choices: Sequence[Choice], level: int, image_shape: ImageShape
) -> list[AugmentationSettings]:
    channels, height, width = image_shape
    parts = []
    for choice in choices:
        if choice.name == "saturation" and channels != 3:  # changes nothing there
            continue
        number = float(choice.numbers(torch.tensor([level]))[0])
        own = CHANGES[choice.name].settings(number, height, width)
        if own is not None:
            parts.append(_like(own, settings))
    return parts


def _like(own: AugmentationSettings, policy: _Policy) -> AugmentationSettings:
    """Return the settings with the policy's interpolation and fill, if the operation moves pixels."""
    shared = {name: getattr(policy, name) for name in ("interpolation", "fill")}
    moves = set(shared) <= set(type(own).model_fields)
    return own.model_copy(update=shared) if moves else own
