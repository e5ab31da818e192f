"""Progressive resizing: training begins with small images and ends with those of full size."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from foolscope.core.errors import RecipeError
from foolscope.learning.settings import TrainingSettings

__all__ = ["check_resizing", "image_scale", "resized"]

_MULTIPLE = 4  # pixels of which a reduced side is a multiple, so that maps can be halved twice


def image_scale(training: TrainingSettings, epoch: int) -> float:
    """Return the scale of the training images in an epoch, 1 at full size.

    It grows linearly from ``initial_scale`` in the first epoch, and is 1 from epoch ``resizing_epochs`` on.
    Howard, *Training Imagenet in 3 hours* (fast.ai, 2018), trains so; Tan and Le 2021, *EfficientNetV2*,
    arXiv:2104.00298, section 4, measure it.

    Args:
        training: its ``initial_scale`` and ``resizing_epochs``.
        epoch: from 0.

    Example:
        >>> settings = TrainingSettings(initial_scale=0.5, resizing_epochs=2)
        >>> [image_scale(settings, epoch) for epoch in range(4)]
        [0.5, 0.75, 1.0, 1.0]
    """
    if epoch >= training.resizing_epochs:
        return 1.0
    return training.initial_scale + (1.0 - training.initial_scale) * epoch / training.resizing_epochs


def resized(
    images: Float[Tensor, "group batch channel height width"], scale: float
) -> Float[Tensor, "group batch channel small_height small_width"]:
    """Scale images down: a new pixel is the mean of the old ones that it covers at least in part.

    Sides become multiples of 4 pixels, the nearest ones, and no larger than they were.

    Example:
        >>> resized(torch.ones(1, 2, 3, 28, 32), 0.6).shape
        torch.Size([1, 2, 3, 16, 20])
    """
    if scale == 1.0:
        return images
    height, width = (_side(each, scale) for each in images.shape[-2:])
    small = functional.adaptive_avg_pool2d(images.flatten(0, 1), (height, width))
    return torch.unflatten(small, 0, images.shape[:2])


def _side(full: int, scale: float) -> int:
    return min(full, max(_MULTIPLE, _MULTIPLE * int(full * scale / _MULTIPLE + 0.5)))


def check_resizing(training: TrainingSettings, model: nn.Module, image_shape: tuple[int, int, int]) -> None:
    """Refuse a model that takes images of one size only.

    Args:
        training: the settings.
        model: built for images of full size; it is evaluated on two black images of each size.
        image_shape: channel, height and width.

    Raises:
        RecipeError: the model cannot take smaller images, or the settings change nothing.
    """
    if training.resizing_epochs == 0:
        return
    if training.initial_scale == 1.0:
        raise RecipeError(
            "resizing_epochs needs an initial_scale below 1; with 1 every image has its full size"
        )
    parameter = next(model.parameters())
    black = torch.zeros(1, 2, *image_shape, dtype=parameter.dtype, device=parameter.device)
    small = resized(black, training.initial_scale)
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            model(small[0])
    except (RuntimeError, ValueError) as error:
        height, width = small.shape[-2:]
        raise RecipeError(
            f"resizing_epochs needs a model that takes images of any size, and this one cannot take "
            f"{height}×{width} (its weights fit {image_shape[1]}×{image_shape[2]}); use one with global "
            "pooling, as fast-cnn, all-conv or resnet18, or resizing_epochs = 0"
        ) from error
    finally:
        model.train(was_training)
