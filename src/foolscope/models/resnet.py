"""The residual network for small images: three stages of residual blocks with batch normalization."""

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, fx, nn

from foolscope.core.errors import RecipeError
from foolscope.models.settings import ImageShape, ModelSettings

__all__ = ["ResNet", "ResidualBlock", "build_resnet"]


class ResNet(ModelSettings):
    """conv 3×3, stages of residual blocks of which all but the first halve the image, average pooling.

    He et al. 2016, *Deep residual learning*, arXiv:1512.03385, section 4.2: with 16, 32, 64 channels and n
    blocks a stage it has 6n + 2 layers. We differ in the shortcuts between stages, which are 1×1 convolutions
    with batch normalization (their option B).
    """

    name: Literal["resnet"] = "resnet"
    channels: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = Field(
        (16, 32, 64), description="channels of each stage"
    )
    blocks: int = Field(1, ge=1, description="residual blocks in a stage")


class ResidualBlock(nn.Module):
    """ReLU(shortcut(x) + norm(conv(ReLU(norm(conv(x)))))), He et al. 2016, equations 1 and 2.

    Args:
        inputs: channels that come in.
        outputs: channels that go out.
        stride: 2 halves the image.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            _convolution(inputs, outputs, 3, stride),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            _convolution(outputs, outputs, 3, 1),
            nn.BatchNorm2d(outputs),
        )
        changes = stride != 1 or inputs != outputs
        self.shortcut = (
            nn.Sequential(_convolution(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))
            if changes
            else nn.Identity()
        )
        self.activation = nn.ReLU()

    def forward(self, inputs: Tensor | fx.Proxy) -> Tensor | fx.Proxy:
        """Map (batch, inputs, height, width) to (batch, outputs, height / stride, width / stride).

        A proxy stands in for the images while a pack traces the model.
        """
        result: Tensor | fx.Proxy = self.activation(self.shortcut(inputs) + self.branch(inputs))
        return result


def _convolution(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Conv2d:
    """Return a convolution without bias: the normalization after it would subtract a bias again."""
    return nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)


def build_resnet(settings: ResNet, image_shape: ImageShape, classes: int) -> nn.Module:
    """Return the network.

    Raises:
        RecipeError: the images are too small for the number of stages.
    """
    channel, height, width = image_shape
    smallest = 2 ** (len(settings.channels) - 1)
    if min(height, width) < smallest:
        raise RecipeError(
            f"model resnet with {len(settings.channels)} stages needs images of at least "
            f"{smallest}×{smallest} pixels; got {height}×{width}"
        )
    first = settings.channels[0]
    layers: list[nn.Module] = [_convolution(channel, first, 3, 1), nn.BatchNorm2d(first), nn.ReLU()]
    before = first
    for stage, outputs in enumerate(settings.channels):
        for block in range(settings.blocks):
            layers.append(ResidualBlock(before, outputs, stride=2 if stage > 0 and block == 0 else 1))
            before = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, classes))
