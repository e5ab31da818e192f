"""The all-convolutional network: strided convolutions in place of pooling, global averages as logits."""

from typing import Literal

from pydantic import Field
from torch import nn

from foolscope.models.layers import Dropout
from foolscope.models.settings import ImageShape, Initialization, ModelSettings
from foolscope.models.shapes import can_be_halved, halved

__all__ = ["AllConv", "build_all_conv"]


class AllConv(ModelSettings):
    """All-CNN-C: 96, 96, 96/2, 192, 192, 192/2, 192, 1×1 192, 1×1 classes, each with ReLU; global average.

    The numbers are channels of 3×3 convolutions, /2 means stride 2; dropout acts on the image and after both
    strided convolutions. Springenberg et al. 2015, *Striving for simplicity*, arXiv:1412.6806, tables 1 and 2
    and section 3.1: 1,369,738 parameters for ten classes of 3×32×32 images. We differ in the logits, which
    have no ReLU. The stride is 1 where the map has one pixel in height or width, and the seventh convolution
    is padded where its map has fewer than 3 pixels.
    """

    name: Literal["all-conv"] = "all-conv"
    base_channels: int = Field(
        96, ge=1, description="channels of the first convolutions; later ones have twice as many"
    )
    input_dropout: float = Field(0.2, ge=0.0, lt=1.0, description="dropout rate of the normalized image")
    dropout: float = Field(0.5, ge=0.0, lt=1.0, description="dropout rate after each strided convolution")
    initialization: Initialization = Field(
        "he", description="as published by He et al.: no normalization layer"
    )


def build_all_conv(settings: AllConv, image_shape: ImageShape, classes: int) -> nn.Module:
    """Return the network, for images of any size."""
    before, height, width = image_shape
    layers: list[nn.Module] = [Dropout(settings.input_dropout)]
    for outputs in (settings.base_channels, 2 * settings.base_channels):
        stride = 2 if can_be_halved(height, width) else 1
        layers += [
            *(nn.Conv2d(before, outputs, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(outputs, outputs, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(outputs, outputs, 3, stride=stride, padding=1), nn.ReLU()),
            Dropout(settings.dropout),
        ]
        before = outputs
        height, width = halved(height, width)
    padding = 0 if min(height, width) >= 3 else 1
    return nn.Sequential(
        *layers,
        *(nn.Conv2d(before, before, 3, padding=padding), nn.ReLU()),
        *(nn.Conv2d(before, before, 1), nn.ReLU()),
        nn.Conv2d(before, classes, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
