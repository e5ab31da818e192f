"""The small convolutional network: two convolutions with pooling, three affine layers."""

from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from foolscope.core.errors import RecipeError
from foolscope.models.layers import Dropout
from foolscope.models.settings import ImageShape, ModelSettings

__all__ = ["SmallCNN", "build_small_cnn"]

_Width = Annotated[int, Field(ge=1)]


class SmallCNN(ModelSettings):
    """conv 5×5, ReLU, pool 2; conv 3×3, ReLU, pool 2; affine layers with ReLU.

    With its defaults and 3×32×32 images: 3→8→16 channels, then 576→120→84→classes. Images smaller than 16
    pixels are padded so that the convolutions keep their size.
    """

    name: Literal["small-cnn"] = "small-cnn"
    channels: tuple[_Width, _Width] = Field((8, 16), description="output channels of the two convolutions")
    units: tuple[_Width, _Width] = Field((120, 84), description="units of the two hidden affine layers")
    dropout: float = Field(0.0, ge=0.0, lt=1.0, description="dropout rate after each hidden affine layer")


def build_small_cnn(settings: SmallCNN, image_shape: ImageShape, classes: int) -> nn.Module:
    """Return the network for images of at least 4×4 pixels.

    Raises:
        RecipeError: the images are too small for two poolings.
    """
    channel, height, width = image_shape
    if min(height, width) < 4:
        raise RecipeError(f"model small-cnn needs images of at least 4×4 pixels; got {height}×{width}")
    padded = min(height, width) < 16
    first, second = settings.channels

    def side(pixels: int) -> int:
        if padded:
            return pixels // 2 // 2
        return ((pixels - 4) // 2 - 2) // 2

    features = second * side(height) * side(width)
    return nn.Sequential(
        nn.Conv2d(channel, first, 5, padding=2 if padded else 0),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(first, second, 3, padding=1 if padded else 0),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(features, settings.units[0]),
        nn.ReLU(),
        Dropout(settings.dropout),
        nn.Linear(settings.units[0], settings.units[1]),
        nn.ReLU(),
        Dropout(settings.dropout),
        nn.Linear(settings.units[1], classes),
    )
