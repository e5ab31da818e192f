"""ResNet-18, 34 and 50 with torchvision's parameter names, for small and for large images."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from foolscope.core.errors import RecipeError
from foolscope.models.residual_blocks import (
    Block,
    BlockOptions,
    Maps,
    Order,
    Plan,
    basic_plan,
    bottleneck_plan,
    convolution,
)
from foolscope.models.settings import ImageShape, Initialization, ModelSettings
from foolscope.models.shapes import can_be_halved

__all__ = [
    "ResNet18",
    "ResNet34",
    "ResNet50",
    "ResidualNetwork",
    "build_residual_network",
    "from_torchvision",
]


class _ResidualSettings(ModelSettings):
    """Settings of all of them."""

    stem: Literal["small", "large"] = Field(
        "small",
        description="first layers: small, a 3×3 convolution, for images of about 32×32 pixels; or large, a "
        "7×7 convolution with stride 2 and max-pooling, for about 224×224",
    )
    base_channels: int = Field(
        64, ge=1, description="channels of the first stage; each later stage doubles them"
    )
    order: Order = Field(
        "conv-norm-relu",
        description="order of the layers in a residual branch: conv-norm-relu as published, conv-relu-norm, "
        "or norm-relu-conv (pre-activation)",
    )
    skip: bool = Field(True, description="add the block's input to its branch; without, the network is plain")
    zero_last_norm: bool = Field(
        False, description="scales of the last normalization in each branch start at 0 (conv-norm-relu only)"
    )
    initialization: Initialization = Field("he", description="as published")


class ResNet18(_ResidualSettings):
    """conv, 4 stages of 2 blocks (3×3, 3×3), all but the first halving the map, global average, affine.

    He et al. 2016, *Deep residual learning*, arXiv:1512.03385, table 1; the stem for small images replaces
    the first convolution by one of 3×3 without stride, and has no max-pooling.
    """

    name: Literal["resnet18"] = "resnet18"


class ResNet34(_ResidualSettings):
    """ResNet-18 with 3, 4, 6, 3 blocks in its stages."""

    name: Literal["resnet34"] = "resnet34"


class ResNet50(_ResidualSettings):
    """ResNet-34 with bottleneck blocks (1×1, 3×3, 1×1), whose outputs have 4 times the channels.

    He et al. 2016, arXiv:1512.03385, section 4.1, figure 5. As in torchvision, and unlike the paper, the 3×3
    convolution has the stride (Goyal et al. 2017, arXiv:1706.02677, section 5.1).
    """

    name: Literal["resnet50"] = "resnet50"


_PLANS: Mapping[str, tuple[Callable[[int, int], Plan], tuple[int, int, int, int]]] = {
    "resnet18": (basic_plan, (2, 2, 2, 2)),
    "resnet34": (basic_plan, (3, 4, 6, 3)),
    "resnet50": (bottleneck_plan, (3, 4, 6, 3)),
}


class ResidualNetwork(nn.Module):
    """Stem, four stages, global average and affine layer, under torchvision's names.

    Pre-activation has no normalization in its stem and one after the last stage, ``bn_last``.

    Args:
        settings: of ResNet-18, 34 or 50.
        image_shape: channel, height, width.
        classes: number of logits.
    """

    def __init__(self, settings: _ResidualSettings, image_shape: ImageShape, classes: int) -> None:
        super().__init__()
        self.order = settings.order
        pre_activation, large = settings.order == "norm-relu-conv", settings.stem == "large"
        channel, *size = image_shape
        stride = _stride(size, wanted=large)
        self.conv1 = convolution(channel, settings.base_channels, 7 if large else 3, stride)
        size = [math.ceil(side / stride) for side in size]
        self.bn1 = nn.Identity() if pre_activation else nn.BatchNorm2d(settings.base_channels)
        self.relu = nn.ReLU()
        stride = _stride(size, wanted=large)
        self.maxpool = nn.MaxPool2d(3, stride, padding=1) if stride > 1 else nn.Identity()
        size = [math.ceil(side / stride) for side in size]
        options = BlockOptions(settings.order, settings.skip, settings.zero_last_norm)
        plan, counts = _PLANS[settings.name]
        before = settings.base_channels
        for stage, count in enumerate(counts):
            blocks = nn.Sequential()
            for position in range(count):
                stride = _stride(size, wanted=stage > 0 and position == 0)
                size = [math.ceil(side / stride) for side in size]
                convolutions = plan(settings.base_channels * 2**stage, stride)
                blocks.append(Block(before, convolutions, options))
                before = convolutions[-1][1]
            self.add_module(f"layer{stage + 1}", blocks)
        self.bn_last = nn.BatchNorm2d(before) if pre_activation else nn.Identity()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(before, classes)

    def forward(self, images: Maps) -> Maps:
        """Map (batch, channel, height, width) to logits (batch, classes)."""
        maps = self.conv1(images)
        match self.order:
            case "conv-norm-relu":
                maps = self.relu(self.bn1(maps))
            case "conv-relu-norm":
                maps = self.bn1(self.relu(maps))
        maps = self.maxpool(maps)
        for stage in range(4):
            maps = self.get_submodule(f"layer{stage + 1}")(maps)
        if self.order == "norm-relu-conv":
            maps = self.relu(self.bn_last(maps))
        logits: Maps = self.fc(self.flatten(self.avgpool(maps)))
        return logits


def _stride(size: Sequence[int], *, wanted: bool) -> int:
    """Return 2 where it is wanted and the map can be halved."""
    return 2 if wanted and can_be_halved(*size) else 1


def build_residual_network(settings: _ResidualSettings, image_shape: ImageShape, classes: int) -> nn.Module:
    """Return the network, for images of any size.

    A stage keeps the size of maps that have one pixel in height or width.

    Raises:
        RecipeError: ``zero_last_norm`` with another order than "conv-norm-relu", or without skip connections.
    """
    if settings.zero_last_norm and (settings.order != "conv-norm-relu" or not settings.skip):
        raise RecipeError(
            "zero_last_norm = true needs order = 'conv-norm-relu' and skip = true; "
            f"got order = {settings.order!r} and skip = {str(settings.skip).lower()}"
        )
    return ResidualNetwork(settings, image_shape, classes)


def from_torchvision(model: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state of a residual network with torchvision's weights.

    torchvision's names are those of the model's ``body``; files from before PyTorch 0.4.1 have no
    ``num_batches_tracked``, which is then zero. The normalization stays the model's own.

    Args:
        model: of :func:`foolscope.models.build_model` with the stem "large" and the default order.
        weights: a state dict of ``torchvision.models.resnet18``, 34 or 50.

    Raises:
        RecipeError: names or shapes do not fit the model.

    Example:
        >>> from foolscope.models import build_model
        >>> settings = ResNet18(base_channels=2, stem="large", normalization="half")
        >>> model, other = (build_model(settings, (3, 64, 64), 5, seed=seed) for seed in (0, 1))
        >>> theirs = other.get_submodule("body").state_dict()  # has torchvision's names
        >>> model.load_state_dict(from_torchvision(model, theirs))
        <All keys matched successfully>
    """
    state = model.state_dict()
    own = {name: value for name, value in state.items() if name.startswith("body.")}
    given = {f"body.{name}": value for name, value in weights.items()}
    for name, value in own.items():
        if name.endswith("num_batches_tracked"):
            given.setdefault(name, value.new_zeros(()))
    for name in (*own, *given):
        expected, found = (tuple(each[name].shape) if name in each else None for each in (own, given))
        if expected != found:
            key = name.removeprefix("body.")
            raise RecipeError(
                f"these weights do not fit the model: {key} is {_shape(found)} in the weights and "
                f"{_shape(expected)} in the model. Choose the network, stem and channels of the weights"
            )
    return {**state, **given}


def _shape(shape: tuple[int, ...] | None) -> str:
    return "absent" if shape is None else "×".join(map(str, shape)) or "a number"
