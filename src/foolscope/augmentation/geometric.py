"""Moves pixels: translation, shear, rotation and scale."""

import math
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from torch import Tensor

from foolscope.augmentation import maps
from foolscope.augmentation.applying import per_image
from foolscope.augmentation.maps import Map
from foolscope.augmentation.resampling import resampled
from foolscope.augmentation.settings import (
    AugmentationSettings,
    Draws,
    Images,
    Interpolation,
    Numbers,
    Probability,
    Span,
    ends,
    within,
)

__all__ = [
    "Rotate",
    "Scale",
    "ShearX",
    "ShearY",
    "TranslateX",
    "TranslateY",
    "apply_rotate",
    "apply_scale",
    "apply_shear_x",
    "apply_shear_y",
    "apply_translate_x",
    "apply_translate_y",
]

_Share = Annotated[Span, AfterValidator(within(-1, 1))]
_Angle = Annotated[Span, AfterValidator(within(-360, 360))]
_Slant = Annotated[Span, AfterValidator(within(-89, 89))]
_Factor = Annotated[Span, AfterValidator(within(0.01, 100))]


class _Geometric(AugmentationSettings):
    """What all operations that move pixels have."""

    probability: Probability = Field(1.0, description="that an image is changed, in [0, 1]")
    interpolation: Interpolation = Field("nearest", description="the nearest pixel, or bilinear")
    fill: float = Field(0.0, ge=0.0, le=1.0, description="of pixels from outside the image, in [0, 1]")


class TranslateX(_Geometric):
    """Move each image to the right by a share of its width."""

    name: Literal["translate-x"] = "translate-x"
    shift: _Share = Field(
        (-0.2, 0.2), description="to the right, as a share of the width, in [-1, 1]; a number or [low, high]"
    )

    measure = "shift"
    unit = " of the width"


class TranslateY(_Geometric):
    """Move each image down by a share of its height."""

    name: Literal["translate-y"] = "translate-y"
    shift: _Share = Field(
        (-0.2, 0.2), description="down, as a share of the height, in [-1, 1]; a number or [low, high]"
    )

    measure = "shift"
    unit = " of the height"


class ShearX(_Geometric):
    """Slant the vertical lines of each image about its upper left corner; rows move sideways."""

    name: Literal["shear-x"] = "shear-x"
    degrees: _Slant = Field(
        (-15.0, 15.0),
        description="between a vertical line and its image, lower rows to the left; a number or [low, high]",
    )

    measure = "degrees"
    unit = "°"


class ShearY(_Geometric):
    """Slant the horizontal lines of each image about its upper left corner; columns move up and down."""

    name: Literal["shear-y"] = "shear-y"
    degrees: _Slant = Field(
        (-15.0, 15.0),
        description="between a horizontal line and its image, right columns up; a number or [low, high]",
    )

    measure = "degrees"
    unit = "°"


class Rotate(_Geometric):
    """Rotate each image about its center."""

    name: Literal["rotate"] = "rotate"
    degrees: _Angle = Field((-15.0, 15.0), description="counter-clockwise; a number or [low, high]")

    measure = "degrees"
    unit = "°"


class Scale(_Geometric):
    """Enlarge or shrink each image about its center; the picture keeps its size."""

    name: Literal["scale"] = "scale"
    factor: _Factor = Field((0.8, 1.2), description="above 1 enlarges; a number or [low, high]")

    measure = "factor"
    unit = " ×"


def apply_translate_x(settings: TranslateX, images: Images, draws: Draws) -> Images:
    """Move each image sideways; with the nearest pixel, by whole pixels."""
    return _moved(
        settings, images, draws, maps.translation_x, draws.uniform(settings.shift) * images.shape[3]
    )


def apply_translate_y(settings: TranslateY, images: Images, draws: Draws) -> Images:
    """Move each image up or down; with the nearest pixel, by whole pixels."""
    return _moved(
        settings, images, draws, maps.translation_y, draws.uniform(settings.shift) * images.shape[2]
    )


def apply_shear_x(settings: ShearX, images: Images, draws: Draws) -> Images:
    """Slant vertical lines."""
    return _moved(settings, images, draws, maps.shear_x, draws.uniform(settings.degrees))


def apply_shear_y(settings: ShearY, images: Images, draws: Draws) -> Images:
    """Slant horizontal lines."""
    return _moved(settings, images, draws, maps.shear_y, draws.uniform(settings.degrees))


def apply_rotate(settings: Rotate, images: Images, draws: Draws) -> Images:
    """Rotate each image."""
    return _moved(settings, images, draws, maps.rotation, draws.uniform(settings.degrees))


def apply_scale(settings: Scale, images: Images, draws: Draws) -> Images:
    """Enlarge or shrink each image; the logarithm of the factor is uniform."""
    low, high = ends(settings.factor)
    factors = draws.uniform((math.log(low), math.log(high))).exp()
    return _moved(settings, images, draws, maps.scale, factors)


def _moved(settings: _Geometric, images: Images, draws: Draws, to_map: Map, numbers: Numbers) -> Images:
    height, width = images.shape[2:]

    def move(images: Images, matrices: Tensor) -> Images:
        return resampled(images, matrices, settings.interpolation, settings.fill)

    return per_image(images, draws, settings.probability, move, to_map(numbers, height, width))
