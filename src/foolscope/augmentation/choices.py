"""Gives each image of a minibatch its own operation and number, for the policies that choose them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Tensor

from foolscope.augmentation import maps
from foolscope.augmentation.color import Brightness, Contrast, Saturation, brightened, contrasted, saturated
from foolscope.augmentation.filters import Sharpness, sharpened
from foolscope.augmentation.geometric import Rotate, ShearX, ShearY, TranslateX, TranslateY
from foolscope.augmentation.maps import Map
from foolscope.augmentation.resampling import resampled
from foolscope.augmentation.settings import AugmentationSettings, Images, Interpolation, Numbers
from foolscope.augmentation.tone import (
    AutoContrast,
    Equalize,
    Posterize,
    Solarize,
    equalized,
    posterized,
    solarized,
    stretched,
)

__all__ = ["CHANGES", "Change", "Choice", "apply_chosen"]


@dataclass(frozen=True)
class Change:
    """One operation of a policy: what it does to images, given a number for each.

    Args:
        settings: of the operation alone, from the number; with the size of the images.
        move: the affine map, if the operation moves pixels.
        paint: the change of the images, if it does not.
    """

    settings: Callable[[float, int, int], AugmentationSettings | None]
    move: Map | None = None
    paint: Callable[[Images, Numbers], Images] | None = None


def _without_number(change: Callable[[Images], Images]) -> Callable[[Images, Numbers], Images]:
    return lambda images, numbers: change(images)


CHANGES: dict[str, Change] = {
    "identity": Change(lambda number, height, width: None),
    "shear-x": Change(lambda number, height, width: ShearX(degrees=number), move=maps.shear_x),
    "shear-y": Change(lambda number, height, width: ShearY(degrees=number), move=maps.shear_y),
    "translate-x": Change(
        lambda number, height, width: TranslateX(shift=min(1.0, number / width)), move=maps.translation_x
    ),
    "translate-y": Change(
        lambda number, height, width: TranslateY(shift=min(1.0, number / height)), move=maps.translation_y
    ),
    "rotate": Change(lambda number, height, width: Rotate(degrees=number), move=maps.rotation),
    "brightness": Change(lambda number, height, width: Brightness(factor=number), paint=brightened),
    "saturation": Change(lambda number, height, width: Saturation(factor=number), paint=saturated),
    "contrast": Change(lambda number, height, width: Contrast(factor=number), paint=contrasted),
    "sharpness": Change(lambda number, height, width: Sharpness(factor=number), paint=sharpened),
    "posterize": Change(lambda number, height, width: Posterize(bits=round(number)), paint=posterized),
    "solarize": Change(lambda number, height, width: Solarize(threshold=number), paint=solarized),
    "auto-contrast": Change(lambda number, height, width: AutoContrast(), paint=_without_number(stretched)),
    "equalize": Change(lambda number, height, width: Equalize(), paint=_without_number(equalized)),
}
"""The operations of RandAugment, TrivialAugment and AugMix.

Numbers are degrees, pixels, factors, bits, a threshold in [0, 1]; the last two take none.
"""


@dataclass(frozen=True)
class Choice:
    """An operation that a policy can choose, with its numbers by level.

    Args:
        name: of :data:`CHANGES`.
        numbers: from levels, one per image, to the operation's numbers.
        neutral: the number around which a random sign mirrors the numbers; None if they have no sign.
    """

    name: str
    numbers: Callable[[Tensor], Tensor]
    neutral: float | None = None


def apply_chosen(
    images: Images,
    choices: Sequence[Choice],
    chosen: Int64[Tensor, " batch"],
    levels: Tensor,
    signs: Tensor,
    *,
    interpolation: Interpolation,
    fill: float,
) -> Images:
    """Change each image by its chosen operation, one call per operation, one for all that move pixels.

    Args:
        images: float32 or float64.
        choices: the operations.
        chosen: position of each image's operation among the choices.
        levels: of each image, as the choices read it.
        signs: of each image, −1 or 1.
        interpolation: of operations that move pixels.
        fill: of pixels from outside the image.
    """
    height, width = images.shape[2:]

    places = sorted(range(len(choices)), key=lambda place: CHANGES[choices[place].name].move is not None)
    ranks = torch.tensor(places, device=chosen.device).argsort()[chosen]
    order = ranks.argsort(stable=True)
    counts = torch.bincount(ranks, minlength=len(choices)).tolist()
    inputs = images.index_select(0, order)  # images of one operation next to each other, moved ones last
    levels, signs = levels.index_select(0, order), signs.index_select(0, order)
    matrices: list[Tensor] = []
    start = 0
    for place, count in zip(places, counts, strict=True):
        own = slice(start, start + count)
        start += count
        change = CHANGES[choices[place].name]
        numbers = _signed(choices[place], levels[own], signs[own])
        if change.move is not None:
            matrices.append(change.move(numbers, height, width))
        elif count and change.paint is not None:
            inputs[own] = change.paint(inputs[own], numbers)
    moved = slice(len(images) - sum(map(len, matrices)), len(images))
    inputs[moved] = resampled(inputs[moved], torch.cat(matrices), interpolation, fill)
    return inputs.index_select(0, order.argsort())


def _signed(choice: Choice, levels: Tensor, signs: Tensor) -> Tensor:
    numbers = choice.numbers(levels)
    return numbers if choice.neutral is None else choice.neutral + signs * (numbers - choice.neutral)
