"""The operations that are measured, each in ours, in kornia and in Pillow with the same ranges."""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from torch import Tensor

from foolscope.augmentation import AUGMENTATIONS, AugmentationSettings, Draws

__all__ = ["CASES", "Case"]

Batch = Callable[[Tensor], Any]
OfImage = Callable[[Image.Image, random.Random], Image.Image]


@dataclass(frozen=True)
class Case:
    """One operation, or a pipeline of them.

    Args:
        name: in the table.
        settings: of ours, one after another.
        kornia: makes kornia's module; None where it has no such operation.
        image: Pillow's operation on one image; None where it has none.
    """

    name: str
    settings: tuple[AugmentationSettings, ...]
    kornia: Callable[[], Batch] | None = None
    image: OfImage | None = None

    def ours(self) -> Batch:
        """Return our operations with a generator of their own."""
        generator = torch.Generator().manual_seed(0)

        def run(images: Tensor) -> Tensor:
            draws = Draws(generator, torch.arange(len(images)), epoch=0, seed=0)
            for settings in self.settings:
                entry = AUGMENTATIONS[settings.name]
                if entry.mix is not None:
                    images, _ = entry.mix(settings, images, draws)
                elif entry.apply is not None:
                    images = entry.apply(settings, images, draws)
            return images

        return run

    def pillow(self, images: Tensor) -> Callable[[], Tensor]:
        """Return Pillow's operation on every image, and what makes a minibatch of the results."""
        assert self.image is not None
        pictures = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images]
        draws, change = random.Random(0), self.image

        def run() -> Tensor:
            arrays = [np.asarray(change(picture, draws)) for picture in pictures]
            return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).contiguous().float().div_(255)

        return run


def _settings(name: str, **values: Any) -> AugmentationSettings:
    return AUGMENTATIONS[name].settings(name=name, **values)


def _kornia(name: str, *arguments: Any, **values: Any) -> Callable[[], Batch]:
    def make() -> Batch:
        import kornia.augmentation

        module: Batch = getattr(kornia.augmentation, name)(*arguments, **values)
        return module

    return make


def _kornia_pipeline(*parts: Callable[[], Batch]) -> Callable[[], Batch]:
    def make() -> Batch:
        import kornia.augmentation

        pipeline: Batch = kornia.augmentation.AugmentationSequential(*(part() for part in parts))
        return pipeline

    return make


def _kornia_rand() -> Batch:
    from kornia.augmentation.auto import RandAugment

    policy: Batch = RandAugment(n=2, m=9)
    return policy


def _affine(image: Image.Image, matrix: Sequence[float]) -> Image.Image:
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST)


def _crop(image: Image.Image, draws: random.Random) -> Image.Image:
    left, top = draws.randrange(9), draws.randrange(9)
    return ImageOps.expand(image, 4).crop((left, top, left + image.width, top + image.height))


def _flip(image: Image.Image, draws: random.Random) -> Image.Image:
    return ImageOps.mirror(image) if draws.random() < 0.5 else image


def _cutout(image: Image.Image, draws: random.Random) -> Image.Image:
    left, top = draws.randrange(image.width) - 4, draws.randrange(image.height) - 4
    image = image.copy()
    image.paste(0, (left, top, left + 8, top + 8))
    return image


def _hue(image: Image.Image, draws: random.Random) -> Image.Image:
    shift = draws.randrange(-25, 26)
    hue, saturation, value = image.convert("HSV").split()
    turned = Image.fromarray(np.asarray(hue) + np.uint8(shift % 256))
    return Image.merge("HSV", (turned, saturation, value)).convert("RGB")


def _enhance(enhancer: Any, low: float = 0.6, high: float = 1.4) -> OfImage:
    return lambda image, draws: enhancer(image).enhance(draws.uniform(low, high))


def _shear(image: Image.Image, draws: random.Random) -> Image.Image:
    return _affine(image, (1, math.tan(math.radians(draws.uniform(-15, 15))), 0, 0, 1, 0))


def _rand(image: Image.Image, draws: random.Random) -> Image.Image:
    """RandAugment with two operations of magnitude 9, as torchvision does it."""
    for _ in range(2):
        sign = draws.choice((-1, 1))
        image = draws.choice(_RAND)(image, sign)
    return image


_RAND: tuple[Callable[[Image.Image, int], Image.Image], ...] = (
    lambda image, sign: image,
    lambda image, sign: _affine(image, (1, sign * 0.09, 0, 0, 1, 0)),
    lambda image, sign: _affine(image, (1, 0, 0, sign * 0.09, 1, 0)),
    lambda image, sign: _affine(image, (1, 0, sign * 4, 0, 1, 0)),
    lambda image, sign: _affine(image, (1, 0, 0, 0, 1, sign * 4)),
    lambda image, sign: image.rotate(sign * 9),
    lambda image, sign: ImageEnhance.Brightness(image).enhance(1 + sign * 0.27),
    lambda image, sign: ImageEnhance.Color(image).enhance(1 + sign * 0.27),
    lambda image, sign: ImageEnhance.Contrast(image).enhance(1 + sign * 0.27),
    lambda image, sign: ImageEnhance.Sharpness(image).enhance(1 + sign * 0.27),
    lambda image, sign: ImageOps.posterize(image, 7),
    lambda image, sign: ImageOps.solarize(image, 178),
    lambda image, sign: ImageOps.autocontrast(image),
    lambda image, sign: ImageOps.equalize(image),
)

_FLIP = _kornia("RandomHorizontalFlip", p=0.5)
_CROP = _kornia("RandomCrop", (32, 32), padding=4, p=1.0, cropping_mode="resample")
_ERASE = _kornia("RandomErasing", scale=(1 / 16, 1 / 16), ratio=(1.0, 1.0), p=1.0)

CASES: tuple[Case, ...] = (
    Case("horizontal-flip", (_settings("horizontal-flip"),), _FLIP, _flip),
    Case("random-crop", (_settings("random-crop"),), _CROP, _crop),
    Case(
        "translate-x",
        (_settings("translate-x"),),
        _kornia("RandomTranslate", translate_x=(-0.2, 0.2), resample="nearest", p=1.0),
        lambda image, draws: _affine(image, (1, 0, draws.uniform(-6.4, 6.4), 0, 1, 0)),
    ),
    Case(
        "shear-x",
        (_settings("shear-x"),),
        _kornia("RandomShear", (-15.0, 15.0), resample="nearest", p=1.0),
        _shear,
    ),
    Case(
        "rotate",
        (_settings("rotate"),),
        _kornia("RandomRotation", 15.0, resample="nearest", p=1.0),
        lambda image, draws: image.rotate(draws.uniform(-15, 15)),
    ),
    Case(
        "rotate, bilinear",
        (_settings("rotate", interpolation="bilinear"),),
        _kornia("RandomRotation", 15.0, p=1.0),
        lambda image, draws: image.rotate(draws.uniform(-15, 15), Image.Resampling.BILINEAR),
    ),
    Case(
        "scale",
        (_settings("scale"),),
        _kornia("RandomAffine", 0.0, scale=(0.8, 1.2), resample="nearest", p=1.0),
    ),
    Case("hue", (_settings("hue"),), _kornia("RandomHue", (-0.1, 0.1), p=1.0), _hue),
    Case(
        "saturation",
        (_settings("saturation"),),
        _kornia("RandomSaturation", (0.6, 1.4), p=1.0),
        _enhance(ImageEnhance.Color),
    ),
    Case(
        "brightness",
        (_settings("brightness"),),
        _kornia("RandomBrightness", (0.6, 1.4), p=1.0),
        _enhance(ImageEnhance.Brightness),
    ),
    Case(
        "contrast",
        (_settings("contrast"),),
        _kornia("ColorJitter", contrast=(0.6, 1.4), p=1.0),  # its RandomContrast leaves out the mean
        _enhance(ImageEnhance.Contrast),
    ),
    Case(
        "gray",
        (_settings("gray", probability=1),),
        _kornia("RandomGrayscale", p=1.0),
        lambda image, draws: image.convert("L").convert("RGB"),
    ),
    Case(
        "sharpness",
        (_settings("sharpness"),),
        _kornia("RandomSharpness", (0.2, 1.8), p=1.0),
        _enhance(ImageEnhance.Sharpness, 0.2, 1.8),
    ),
    Case(
        "gaussian-blur",
        (_settings("gaussian-blur"),),
        _kornia("RandomGaussianBlur", (5, 5), (0.1, 2.0), p=1.0),
        lambda image, draws: image.filter(ImageFilter.GaussianBlur(draws.uniform(0.1, 2.0))),
    ),
    Case(
        "posterize",
        (_settings("posterize"),),
        _kornia("RandomPosterize", (4.0, 8.0), p=1.0),
        lambda image, draws: ImageOps.posterize(image, draws.randint(4, 8)),
    ),
    Case(
        "solarize",
        (_settings("solarize"),),
        _kornia("RandomSolarize", (0.5, 1.0), (0.0, 0.0), p=1.0),
        lambda image, draws: ImageOps.solarize(image, draws.randrange(128, 256)),
    ),
    Case(
        "equalize",
        (_settings("equalize"),),
        _kornia("RandomEqualize", p=1.0),
        lambda image, draws: ImageOps.equalize(image),
    ),
    Case(
        "auto-contrast",
        (_settings("auto-contrast"),),
        _kornia("RandomAutoContrast", p=1.0),
        lambda image, draws: ImageOps.autocontrast(image),
    ),
    Case(
        "invert",
        (_settings("invert", probability=1),),
        _kornia("RandomInvert", p=1.0),
        lambda image, draws: ImageOps.invert(image),
    ),
    Case("noise", (_settings("noise", deviation=0.1),), _kornia("RandomGaussianNoise", 0.0, 0.1, p=1.0)),
    Case("cutout", (_settings("cutout"),), _ERASE, _cutout),
    Case("random-erasing", (_settings("random-erasing", probability=1),), _kornia("RandomErasing", p=1.0)),
    Case("mixup", (_settings("mixup"),), _kornia("RandomMixUpV2", p=1.0)),
    Case("cutmix", (_settings("cutmix"),), _kornia("RandomCutMixV2", p=1.0)),
    Case(
        "flip + crop + cutout",
        (_settings("horizontal-flip"), _settings("random-crop"), _settings("cutout")),
        _kornia_pipeline(_FLIP, _CROP, _ERASE),
        lambda image, draws: _cutout(_crop(_flip(image, draws), draws), draws),
    ),
    Case("rand", (_settings("rand"),), lambda: _kornia_rand(), _rand),
    Case("trivial", (_settings("trivial"),)),
    Case("augmix", (_settings("augmix"),)),
)
