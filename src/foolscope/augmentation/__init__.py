"""Layer 1: augmentation of whole minibatches on their device, with random draws for each image.

Adding an operation is one file here (settings and a function), one line in :data:`AUGMENTATIONS` and one test
file.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from foolscope.augmentation.augmix import AugMix, apply_augmix, augmix_parts
from foolscope.augmentation.color import (
    Brightness,
    Contrast,
    Gray,
    Hue,
    Saturation,
    apply_brightness,
    apply_contrast,
    apply_gray,
    apply_hue,
    apply_saturation,
    check_color,
)
from foolscope.augmentation.crop import RandomCrop, apply_random_crop, check_random_crop
from foolscope.augmentation.erasing import (
    Cutout,
    RandomErasing,
    apply_cutout,
    apply_random_erasing,
    check_cutout,
)
from foolscope.augmentation.filters import (
    GaussianBlur,
    Sharpness,
    apply_gaussian_blur,
    apply_sharpness,
    check_gaussian_blur,
)
from foolscope.augmentation.flips import (
    AlternatingFlip,
    HorizontalFlip,
    apply_alternating_flip,
    apply_horizontal_flip,
)
from foolscope.augmentation.geometric import (
    Rotate,
    Scale,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
    apply_rotate,
    apply_scale,
    apply_shear_x,
    apply_shear_y,
    apply_translate_x,
    apply_translate_y,
)
from foolscope.augmentation.mixing import Cutmix, Mixup, mix_cutmix, mix_mixup
from foolscope.augmentation.noise import Noise, apply_noise
from foolscope.augmentation.policies import (
    RandAugment,
    TrivialAugment,
    apply_rand,
    apply_trivial,
    rand_parts,
    trivial_parts,
)
from foolscope.augmentation.settings import (
    AugmentationSettings,
    Draws,
    ImageShape,
    Mixing,
    no_check,
    no_parts,
)
from foolscope.augmentation.tone import (
    AutoContrast,
    Equalize,
    Invert,
    Posterize,
    Solarize,
    apply_auto_contrast,
    apply_equalize,
    apply_invert,
    apply_posterize,
    apply_solarize,
)

__all__ = [
    "AUGMENTATIONS",
    "AugmentationEntry",
    "AugmentationSettings",
    "Draws",
    "ImageShape",
    "Mixing",
]


@dataclass(frozen=True)
class AugmentationEntry:
    """One operation.

    Args:
        settings: its settings class.
        apply: from settings, images in [0, 1] and draws to images in [0, 1]; None if labels change, too.
        mix: from settings, images and draws to images and the mixing of labels.
        check: refuses images, (channel, height, width), for which the operation makes no sense.
        parts: of a policy, the operations that it chooses from, with the settings it gives them.

    Example:
        >>> import torch
        >>> entry = AUGMENTATIONS["rotate"]
        >>> draws = Draws(torch.Generator().manual_seed(0), torch.arange(5), epoch=0, seed=0)
        >>> entry.apply(entry.settings(degrees=[-30, 30]), torch.rand(5, 3, 8, 8), draws).shape
        torch.Size([5, 3, 8, 8])
    """

    settings: type[AugmentationSettings]
    apply: Callable[[Any, Float[Tensor, "batch channel height width"], Draws], Tensor] | None = None
    mix: Callable[[Any, Float[Tensor, "batch channel height width"], Draws], tuple[Tensor, Mixing]] | None = (
        None
    )
    check: Callable[[Any, ImageShape], None] = no_check
    parts: Callable[[Any, ImageShape], Sequence[AugmentationSettings]] = no_parts


AUGMENTATIONS: dict[str, AugmentationEntry] = {
    "horizontal-flip": AugmentationEntry(HorizontalFlip, apply_horizontal_flip),
    "alternating-flip": AugmentationEntry(AlternatingFlip, apply_alternating_flip),
    "random-crop": AugmentationEntry(RandomCrop, apply_random_crop, check=check_random_crop),
    "translate-x": AugmentationEntry(TranslateX, apply_translate_x),
    "translate-y": AugmentationEntry(TranslateY, apply_translate_y),
    "shear-x": AugmentationEntry(ShearX, apply_shear_x),
    "shear-y": AugmentationEntry(ShearY, apply_shear_y),
    "rotate": AugmentationEntry(Rotate, apply_rotate),
    "scale": AugmentationEntry(Scale, apply_scale),
    "hue": AugmentationEntry(Hue, apply_hue, check=check_color),
    "saturation": AugmentationEntry(Saturation, apply_saturation, check=check_color),
    "brightness": AugmentationEntry(Brightness, apply_brightness),
    "contrast": AugmentationEntry(Contrast, apply_contrast),
    "gray": AugmentationEntry(Gray, apply_gray, check=check_color),
    "sharpness": AugmentationEntry(Sharpness, apply_sharpness),
    "gaussian-blur": AugmentationEntry(GaussianBlur, apply_gaussian_blur, check=check_gaussian_blur),
    "posterize": AugmentationEntry(Posterize, apply_posterize),
    "solarize": AugmentationEntry(Solarize, apply_solarize),
    "equalize": AugmentationEntry(Equalize, apply_equalize),
    "auto-contrast": AugmentationEntry(AutoContrast, apply_auto_contrast),
    "invert": AugmentationEntry(Invert, apply_invert),
    "noise": AugmentationEntry(Noise, apply_noise),
    "cutout": AugmentationEntry(Cutout, apply_cutout, check=check_cutout),
    "random-erasing": AugmentationEntry(RandomErasing, apply_random_erasing),
    "rand": AugmentationEntry(RandAugment, apply_rand, parts=rand_parts),
    "trivial": AugmentationEntry(TrivialAugment, apply_trivial, parts=trivial_parts),
    "augmix": AugmentationEntry(AugMix, apply_augmix, parts=augmix_parts),
    "mixup": AugmentationEntry(Mixup, mix=mix_mixup),
    "cutmix": AugmentationEntry(Cutmix, mix=mix_cutmix),
}
