"""The block of residual networks, in one of three orders of its layers, with or without skip connection."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, fx, nn

from foolscope.models.layers import ZeroScaleBatchNorm

__all__ = ["Block", "BlockOptions", "Maps", "Order", "Plan", "basic_plan", "bottleneck_plan", "convolution"]

Maps = Tensor | fx.Proxy
"""(batch, channel, height, width); a proxy stands in while a pack traces the model."""

Order = Literal["conv-norm-relu", "conv-relu-norm", "norm-relu-conv"]

Plan = Sequence[tuple[int, int, int]]
"""Kernel, output channels and stride of each convolution."""


@dataclass(frozen=True)
class BlockOptions:
    """What all blocks of a network share.

    Args:
        order: of convolution, normalization and ReLU.
        skip: whether the block's input, or its 1×1 convolution where shapes differ, is added to the branch.
        zero_last_norm: whether the scale of the last normalization starts at zero.
    """

    order: Order = "conv-norm-relu"
    skip: bool = True
    zero_last_norm: bool = False


def basic_plan(channels: int, stride: int) -> Plan:
    """Return two 3×3 convolutions; He et al. 2016, arXiv:1512.03385, figure 5, left."""
    return ((3, channels, stride), (3, channels, 1))


def bottleneck_plan(channels: int, stride: int) -> Plan:
    """Return 1×1, 3×3 with the stride, and 1×1 with 4 times the channels; figure 5, right."""
    return ((1, channels, 1), (3, channels, stride), (1, 4 * channels, 1))


def convolution(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Conv2d:
    """Return a convolution without bias: the normalization after it would subtract a bias again."""
    return nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)


class Block(nn.Module):
    """Convolutions ``conv1``, …, normalizations ``bn1``, …, and, where shapes differ, ``downsample``.

    With F the branch and S the shortcut, the identity or a strided 1×1 convolution:

    - conv-norm-relu: ReLU(S(x) + F(x)), F = norm conv ReLU norm conv (He et al. 2016, arXiv:1512.03385,
      figure 2);
    - conv-relu-norm: S(x) + F(x), F = norm ReLU conv norm ReLU conv (B1's other order);
    - norm-relu-conv: S(x) + F(x), F = conv ReLU norm conv ReLU norm (He et al. 2016, *Identity mappings*,
      arXiv:1603.05027, figure 4e); a shortcut with a convolution starts from the first ReLU's output.

    Args:
        inputs: channels that come in.
        plan: of the convolutions.
        options: order and skip connection.
    """

    def __init__(self, inputs: int, plan: Plan, options: BlockOptions) -> None:
        super().__init__()
        self.options, self.depth = options, len(plan)
        pre_activation, before = options.order == "norm-relu-conv", inputs
        for position, (kernel, outputs, stride) in enumerate(plan, 1):
            self.add_module(f"conv{position}", convolution(before, outputs, kernel, stride))
            is_last_zero = options.zero_last_norm and position == self.depth
            norm = ZeroScaleBatchNorm if is_last_zero else nn.BatchNorm2d
            self.add_module(f"bn{position}", norm(before if pre_activation else outputs))
            before = outputs
        self.relu = nn.ReLU()
        stride = max(each for _, _, each in plan)
        self.downsample: nn.Module | None = None
        if options.skip and (stride > 1 or inputs != before):
            layers: list[nn.Module] = [convolution(inputs, before, 1, stride)]
            self.downsample = nn.Sequential(*layers, *([] if pre_activation else [nn.BatchNorm2d(before)]))

    def forward(self, inputs: Maps) -> Maps:
        """Map (batch, inputs, height, width) to (batch, outputs, height / stride, width / stride)."""
        return _FORWARD[self.options.order](self, inputs)

    def shortcut(self, inputs: Maps, branch: Any) -> Maps:
        """Return S(x) + F(x), or the branch F(x) of a plain network."""
        result: Maps = branch
        if self.options.skip:
            result = branch + (inputs if self.downsample is None else self.downsample(inputs))
        return result


def _conv_norm_relu(block: Block, inputs: Maps) -> Maps:
    maps = inputs
    for position in range(1, block.depth + 1):
        maps = getattr(block, f"bn{position}")(getattr(block, f"conv{position}")(maps))
        if position < block.depth:
            maps = block.relu(maps)
    result: Maps = block.relu(block.shortcut(inputs, maps))
    return result


def _conv_relu_norm(block: Block, inputs: Maps) -> Maps:
    maps = inputs
    for position in range(1, block.depth + 1):
        maps = getattr(block, f"bn{position}")(block.relu(getattr(block, f"conv{position}")(maps)))
    return block.shortcut(inputs, maps)


def _norm_relu_conv(block: Block, inputs: Maps) -> Maps:
    activated = block.relu(block.get_submodule("bn1")(inputs))
    maps = block.get_submodule("conv1")(activated)
    for position in range(2, block.depth + 1):
        maps = getattr(block, f"conv{position}")(block.relu(getattr(block, f"bn{position}")(maps)))
    return block.shortcut(inputs if block.downsample is None else activated, maps)


_FORWARD: Mapping[Order, Callable[[Block, Maps], Maps]] = {
    "conv-norm-relu": _conv_norm_relu,
    "conv-relu-norm": _conv_relu_norm,
    "norm-relu-conv": _norm_relu_conv,
}
