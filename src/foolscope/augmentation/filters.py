"""Weighs each pixel with its neighbors: sharpness and Gaussian blur."""

from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import AfterValidator, Field
from torch import Tensor
from torch.nn import functional

from foolscope.augmentation.applying import in_parts, over_pixels, per_image
from foolscope.augmentation.settings import (
    AugmentationSettings,
    Draws,
    Images,
    ImageShape,
    Numbers,
    Probability,
    Span,
    within,
)
from foolscope.core.errors import RecipeError

__all__ = [
    "GaussianBlur",
    "Sharpness",
    "apply_gaussian_blur",
    "apply_sharpness",
    "blurred",
    "check_gaussian_blur",
    "sharpened",
]

_Factor = Annotated[Span, AfterValidator(within(0))]
_Sigma = Annotated[Span, AfterValidator(within(0.01, 100))]


class Sharpness(AugmentationSettings):
    """Blend each image with its smoothed picture: 0 is smoothed, 1 the image, above 1 sharper."""

    name: Literal["sharpness"] = "sharpness"
    factor: _Factor = Field(
        (0.2, 1.8), description="0 is smoothed, 1 changes nothing; a number or [low, high]"
    )
    probability: Probability = Field(1.0, description="that an image is changed, in [0, 1]")

    measure = "factor"


class GaussianBlur(AugmentationSettings):
    """Blur each image with a Gaussian kernel; beyond the border the image is mirrored."""

    name: Literal["gaussian-blur"] = "gaussian-blur"
    sigma: _Sigma = Field(
        (0.1, 2.0), description="standard deviation of the kernel, in pixels; a number or [low, high]"
    )
    radius: int = Field(2, ge=1, description="of the kernel, in pixels: it is 2 radius + 1 wide")
    probability: Probability = Field(1.0, description="that an image is changed, in [0, 1]")

    measure = "sigma"
    unit = " px"


def check_gaussian_blur(settings: GaussianBlur, image_shape: ImageShape) -> None:
    """Refuse a kernel that needs more mirrored pixels than there are.

    Raises:
        RecipeError: the radius is not less than the side of the images.
    """
    side = min(image_shape[1:])
    if settings.radius >= side:
        raise RecipeError(
            f"gaussian-blur: radius must be at most {side - 1} for {image_shape[1]}×{image_shape[2]} images; "
            f"got {settings.radius}"
        )


@in_parts
def sharpened(images: Images, factors: Numbers) -> Images:
    """Blend with the smoothed image: ``s + f (x − s)``, clipped.

    Pillow's smoothing: the mean of the 3×3 neighborhood in which the pixel itself counts five times; the
    outermost pixels stay.
    """
    return torch.lerp(_smoothed(images), images, over_pixels(factors, images)).clamp_(0.0, 1.0)


def _smoothed(images: Images) -> Images:
    result = images.clone()
    if min(images.shape[2:]) < 3:
        return result
    rows = images[:, :, :-2] + images[:, :, 1:-1]
    rows += images[:, :, 2:]
    sums = rows[..., :-2] + rows[..., 1:-1]
    sums += rows[..., 2:]
    result[:, :, 1:-1, 1:-1] = sums.add_(images[:, :, 1:-1, 1:-1], alpha=4.0).div_(13.0)
    return result


@in_parts
def blurred(images: Images, sigmas: Numbers, radius: int) -> Images:
    r"""Convolve with a Gaussian of each image's own width, along columns and along rows.

    .. math:: y_i = \sum_{d = -r}^{r} w_d x_{i + d}, \quad w_d \propto \exp(-d^2 / 2 \sigma^2)

    Each pass adds shifted copies of the whole padded image as it lies in memory, which is faster than to
    shift row by row; what runs over the ends of rows falls into the padding, and is not kept.
    """
    offsets = torch.arange(-radius, radius + 1, device=images.device)
    weights = torch.exp(-0.5 * (offsets / sigmas[:, None]) ** 2)
    weights = (weights / weights.sum(dim=1, keepdim=True)).to(images.dtype)
    padded = functional.pad(images, (radius,) * 4, mode="reflect").contiguous()
    _, plane, row, column = padded.stride()
    result = padded.flatten(1)
    for step in (row, column):
        result = _convolved(result, weights, step)
    return result.as_strided(images.shape, (result.stride(0), plane, row, column)).clamp(0.0, 1.0)


def _convolved(
    pixels: Float[Tensor, "batch pixels"], weights: Float[Tensor, "batch offset"], step: int
) -> Float[Tensor, "batch kept"]:
    """Add pixels ``step`` apart in memory, weighted; the last ones, which lack others, are not kept."""
    first, *others = torch.split(weights, 1, dim=1)
    kept = pixels.shape[1] - len(others) * step
    result: Tensor = pixels[:, :kept] * first
    for place, weight in enumerate(others, start=1):
        result.addcmul_(pixels[:, place * step : place * step + kept], weight)
    return result


def apply_sharpness(settings: Sharpness, images: Images, draws: Draws) -> Images:
    """Change each image's sharpness."""
    return per_image(images, draws, settings.probability, sharpened, draws.uniform(settings.factor))


def apply_gaussian_blur(settings: GaussianBlur, images: Images, draws: Draws) -> Images:
    """Blur each image."""

    def blur(images: Images, sigmas: Numbers) -> Images:
        return blurred(images, sigmas, settings.radius)

    return per_image(images, draws, settings.probability, blur, draws.uniform(settings.sigma))
