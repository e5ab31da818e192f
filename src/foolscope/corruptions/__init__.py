"""Layer 1: the corruptions of images of Hendrycks and Dietterich, all but frost, which needs photographs.

:func:`corrupt` applies one by name. Adding a corruption is a function with its parameters in one of the files
here, its entry in :data:`CORRUPTIONS` and its row in docs/corruptions.md.

References:
    Hendrycks and Dietterich (2019), "Benchmarking neural network robustness to common corruptions and
    perturbations", arXiv:1903.12261, section 3 and appendix; the parameters are those of the authors'
    scripts ``make_cifar_c.py`` and ``make_imagenet_c.py``.
"""

import numpy as np
from jaxtyping import Float, Int64
from torch import Tensor

from foolscope.core.errors import require_known
from foolscope.corruptions.blur import Disk, blur_defocus, blur_gaussian
from foolscope.corruptions.corruption import SEVERITIES, Corruption, Kind, Size, corrupted, lack_of, size_of
from foolscope.corruptions.digital import compress, pixelate
from foolscope.corruptions.elastic import Elastic, stretch
from foolscope.corruptions.glass import Glass, blur_glass
from foolscope.corruptions.motion import Motion, blur_motion
from foolscope.corruptions.noise import (
    add_gaussian_noise,
    add_impulse_noise,
    add_shot_noise,
    add_speckle_noise,
)
from foolscope.corruptions.spatter import Spatter, spatter
from foolscope.corruptions.tone import Saturation, brighten, lower_contrast, saturate
from foolscope.corruptions.weather import Fog, Snow, add_fog, add_snow
from foolscope.corruptions.zoom import blur_zoom

__all__ = [
    "CORRUPTIONS",
    "KINDS",
    "SEVERITIES",
    "Corruption",
    "Kind",
    "Size",
    "corrupt",
    "lack_of",
    "size_of",
]

KINDS: tuple[Kind, ...] = ("noise", "blur", "weather", "digital")


def _steps(end: float, step: float) -> tuple[float, ...]:
    """List factors from 1, as the authors do: by NumPy's rounding the end may be among them."""
    return tuple(np.arange(1, end, step).tolist())


_WIDE = 244 / 224  # the authors of ImageNet-C took shares of 244 pixels for images of 224

_LIST = (
    Corruption(
        "gaussian-noise",
        "noise",
        add_gaussian_noise,
        small=(0.04, 0.06, 0.08, 0.09, 0.10),
        large=(0.08, 0.12, 0.18, 0.26, 0.38),
        summary="adds normal noise",
    ),
    Corruption(
        "shot-noise",
        "noise",
        add_shot_noise,
        small=(500, 250, 100, 75, 50),
        large=(60, 25, 12, 5, 3),
        summary="counts few photons: Poisson noise",
    ),
    Corruption(
        "impulse-noise",
        "noise",
        add_impulse_noise,
        small=(0.01, 0.02, 0.03, 0.05, 0.07),
        large=(0.03, 0.06, 0.09, 0.17, 0.27),
        summary="makes some values black or white",
    ),
    Corruption(
        "speckle-noise",
        "noise",
        add_speckle_noise,
        small=(0.06, 0.1, 0.12, 0.16, 0.2),
        large=(0.15, 0.2, 0.35, 0.45, 0.6),
        summary="adds noise in proportion to the value",
    ),
    Corruption(
        "defocus-blur",
        "blur",
        blur_defocus,
        small=(Disk(0.3, 0.4), Disk(0.4, 0.5), Disk(0.5, 0.6), Disk(1, 0.2), Disk(1.5, 0.1)),
        large=(Disk(3, 0.1), Disk(4, 0.5), Disk(6, 0.5), Disk(8, 0.5), Disk(10, 0.5)),
        summary="blurs by a disk, as a lens out of focus",
    ),
    Corruption(
        "glass-blur",
        "blur",
        blur_glass,
        small=(Glass(0.05, 1, 1), Glass(0.25, 1, 1), Glass(0.4, 1, 1), Glass(0.25, 1, 2), Glass(0.4, 1, 2)),
        large=(Glass(0.7, 1, 2), Glass(0.9, 2, 1), Glass(1, 2, 3), Glass(1.1, 3, 2), Glass(1.5, 4, 2)),
        summary="takes pixels from places nearby, as frosted glass",
    ),
    Corruption(
        "motion-blur",
        "blur",
        blur_motion,
        small=(Motion(6, 1), Motion(6, 1.5), Motion(6, 2), Motion(8, 2), Motion(9, 2.5)),
        large=(Motion(10, 3), Motion(15, 5), Motion(15, 8), Motion(15, 12), Motion(20, 15)),
        summary="blurs along a line within 45° of the horizontal",
    ),
    Corruption(
        "zoom-blur",
        "blur",
        blur_zoom,
        small=(
            _steps(1.06, 0.01),
            _steps(1.11, 0.01),
            _steps(1.16, 0.01),
            _steps(1.21, 0.01),
            _steps(1.26, 0.01),
        ),
        large=(
            _steps(1.11, 0.01),
            _steps(1.16, 0.01),
            _steps(1.21, 0.02),
            _steps(1.26, 0.02),
            _steps(1.31, 0.03),
        ),
        summary="averages zooms into the center",
    ),
    Corruption(
        "gaussian-blur",
        "blur",
        blur_gaussian,
        small=(0.4, 0.6, 0.7, 0.8, 1.0),
        large=(1, 2, 3, 4, 6),
        summary="blurs by a Gaussian",
    ),
    Corruption(
        "snow",
        "weather",
        add_snow,
        small=(
            Snow(0.1, 0.2, 1, 0.6, 8, 3, 0.95),
            Snow(0.1, 0.2, 1, 0.5, 10, 4, 0.9),
            Snow(0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
            Snow(0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
            Snow(0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
        ),
        large=(
            Snow(0.1, 0.3, 3, 0.5, 10, 4, 0.8),
            Snow(0.2, 0.3, 2, 0.5, 12, 4, 0.7),
            Snow(0.55, 0.3, 4, 0.9, 12, 8, 0.7),
            Snow(0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
            Snow(0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
        ),
        summary="whitens the image and adds falling flakes",
    ),
    Corruption(
        "fog",
        "weather",
        add_fog,
        small=(Fog(0.2, 3), Fog(0.5, 3), Fog(0.75, 2.5), Fog(1, 2), Fog(1.5, 1.75)),
        large=(Fog(1.5, 2), Fog(2, 2), Fog(2.5, 1.7), Fog(2.5, 1.5), Fog(3, 1.4)),
        summary="adds a fractal cloud",
    ),
    Corruption(
        "brightness",
        "weather",
        brighten,
        small=(0.05, 0.1, 0.15, 0.2, 0.3),
        large=(0.1, 0.2, 0.3, 0.4, 0.5),
        summary="raises the brightest channel, the others in proportion",
    ),
    Corruption(
        "spatter",
        "weather",
        spatter,
        small=(
            Spatter(0.62, 0.1, 0.7, 0.7, 0.5, False),
            Spatter(0.65, 0.1, 0.8, 0.7, 0.5, False),
            Spatter(0.65, 0.3, 1, 0.69, 0.5, False),
            Spatter(0.65, 0.1, 0.7, 0.69, 0.6, True),
            Spatter(0.65, 0.1, 0.5, 0.68, 0.6, True),
        ),
        large=(
            Spatter(0.65, 0.3, 4, 0.69, 0.6, False),
            Spatter(0.65, 0.3, 3, 0.68, 0.6, False),
            Spatter(0.65, 0.3, 2, 0.68, 0.5, False),
            Spatter(0.65, 0.3, 1, 0.65, 1.5, True),
            Spatter(0.67, 0.4, 1, 0.65, 1.5, True),
        ),
        summary="puts drops of water (severities 1 to 3) or mud (4, 5) on the lens",
    ),
    Corruption(
        "contrast",
        "digital",
        lower_contrast,
        small=(0.75, 0.5, 0.4, 0.3, 0.15),
        large=(0.4, 0.3, 0.2, 0.1, 0.05),
        summary="moves values towards their mean",
    ),
    Corruption(
        "elastic-transform",
        "digital",
        stretch,
        small=(
            Elastic(0, 0, 0.08),
            Elastic(0.05, 0.2, 0.07),
            Elastic(0.08, 0.06, 0.06),
            Elastic(0.1, 0.04, 0.05),
            Elastic(0.1, 0.03, 0.03),
        ),
        large=(
            Elastic(2 * _WIDE, 0.7 * _WIDE, 0.1 * _WIDE),
            Elastic(2 * _WIDE, 0.08 * _WIDE, 0.2 * _WIDE),
            Elastic(0.05 * _WIDE, 0.01 * _WIDE, 0.02 * _WIDE),
            Elastic(0.07 * _WIDE, 0.01 * _WIDE, 0.02 * _WIDE),
            Elastic(0.12 * _WIDE, 0.01 * _WIDE, 0.02 * _WIDE),
        ),
        summary="tilts the image and stretches parts of it",
    ),
    Corruption(
        "pixelate",
        "digital",
        pixelate,
        small=(0.95, 0.9, 0.85, 0.75, 0.65),
        large=(0.6, 0.5, 0.4, 0.3, 0.25),
        summary="shows fewer pixels",
    ),
    Corruption(
        "jpeg-compression",
        "digital",
        compress,
        small=(80, 65, 58, 50, 40),
        large=(25, 18, 15, 10, 7),
        summary="compresses as JPEG",
    ),
    Corruption(
        "saturate",
        "digital",
        saturate,
        small=(
            Saturation(0.3, 0),
            Saturation(0.1, 0),
            Saturation(1.5, 0),
            Saturation(2, 0.1),
            Saturation(2.5, 0.2),
        ),
        large=(
            Saturation(0.3, 0),
            Saturation(0.1, 0),
            Saturation(2, 0),
            Saturation(5, 0.1),
            Saturation(20, 0.2),
        ),
        summary="makes colors paler (severities 1, 2) or stronger (3 to 5)",
        needs_color=True,
    ),
)

CORRUPTIONS: dict[str, Corruption] = {corruption.name: corruption for corruption in _LIST}
"""Corruption by name, in the order of the report: by kind."""


def corrupt(
    images: Float[Tensor, "batch channel height width"],
    name: str,
    severity: int,
    *,
    seed: int,
    indices: Int64[Tensor, " batch"] | None = None,
) -> Float[Tensor, "batch channel height width"]:
    """Corrupt images by the name of the corruption.

    Args:
        images: in [0, 1], with 1 or 3 channels.
        name: in :data:`CORRUPTIONS`.
        severity: 1 to 5.
        seed: root of the random draws.
        indices: of the images, by default 0, 1, ...; an image with the same index gets the same draws
            in every batch.

    Returns:
        Images in [0, 1] with 256 levels.

    Raises:
        RecipeError: there is no such corruption or severity, or it cannot change such images.

    Example:
        >>> import torch
        >>> gray = torch.full((2, 3, 32, 32), 0.5)
        >>> float(corrupt(gray, "brightness", 2, seed=0)[0, 0, 0, 0] * 255)
        153.0
        >>> noisy = corrupt(gray, "shot-noise", 5, seed=0)
        >>> alone = corrupt(gray[1:], "shot-noise", 5, seed=0, indices=torch.tensor([1]))
        >>> bool((alone[0] == noisy[1]).all())
        True
    """
    require_known(name, CORRUPTIONS, "corruption")
    return corrupted(CORRUPTIONS[name], images, severity, seed=seed, indices=indices)
