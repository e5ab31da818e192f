"""The convolutional network for Fashion-MNIST: convolutions with ReLU and pooling, then two affine layers."""

import itertools
from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from foolscope.models.layers import Dropout
from foolscope.models.settings import ImageShape, ModelSettings
from foolscope.models.shapes import can_be_halved

__all__ = ["ConvNet", "build_convnet"]


class ConvNet(ModelSettings):
    """Stages of conv 3×3, ReLU, max-pooling 2; an affine layer with ReLU and dropout; logits.

    With its defaults and 1×28×28 images: 1→32→64 channels, then 3136→128→classes, 421,642 parameters for ten
    classes. Convolutions keep the size of the map, and pooling stops at maps of one pixel in height or width.
    Published experiment E3 states no widths: these are ours.
    """

    name: Literal["convnet"] = "convnet"
    channels: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = Field(
        (32, 64), description="channels of each stage"
    )
    units: int = Field(128, ge=1, description="units of the hidden affine layer")
    dropout: float = Field(0.0, ge=0.0, lt=1.0, description="dropout rate after the hidden affine layer")


def build_convnet(settings: ConvNet, image_shape: ImageShape, classes: int) -> nn.Module:
    """Return the network, for images of any size."""
    channel, height, width = image_shape
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise((channel, *settings.channels)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
        if can_be_halved(height, width):
            layers.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
    return nn.Sequential(
        *layers,
        nn.Flatten(),
        nn.Linear(settings.channels[-1] * height * width, settings.units),
        nn.ReLU(),
        Dropout(settings.dropout),
        nn.Linear(settings.units, classes),
    )
