"""The packed form of each layer type: one operation that computes the layer for every trial of a pack.

Parameters and activations carry a leading trial axis. Trials come in groups that share a minibatch, and as
long as no parameter has been met, one activation serves a whole group: affine layers that share a minibatch
become one wide product, deeper ones batched products, convolutions grouped ones on trial · channel maps, kept
channels-last in memory, where pooling is several times faster.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from foolscope.core.errors import RecipeError
from foolscope.learning.optimizers import PackTensors
from foolscope.models.layers import ChannelBias, Dropout, Multiply, Normalize, ZeroScaleBatchNorm
from foolscope.models.whitening import Whitening

__all__ = ["PACKED_LAYERS", "Activation", "Context", "Layer", "add", "has_packed_form"]


@dataclass(frozen=True)
class Context:
    """What a forward pass needs besides parameters and images.

    Args:
        training: whether dropout acts, and normalization takes its statistics from the minibatch.
        dtype: data type of the products.
        generators: one per trial, for dropout; empty in evaluation.
        frozen: names of layers that stay in evaluation mode during training.
    """

    training: bool
    dtype: torch.dtype
    generators: tuple[torch.Generator, ...] = ()
    frozen: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Activation:
    """An activation of the pack.

    Args:
        tensor: "images" (lead, batch, channel, height, width), "maps" (batch, lead · channel, height, width),
            channels-last in memory, or "features" (lead, features, batch).
        lead: the number of groups before the first parameter and the number of trials after it.
        layout: which of the three.
    """

    tensor: Tensor
    lead: int
    layout: Literal["features", "images", "maps"]

    def apply(self, function: Callable[[Tensor], Tensor]) -> "Activation":
        """Apply a function that acts on every element, or on every map, separately."""
        return Activation(function(self.tensor), self.lead, self.layout)

    def as_maps(self) -> "Activation":
        """Return images as maps, and any other activation unchanged."""
        if self.layout != "images":
            return self
        maps = self.tensor.transpose(0, 1).flatten(1, 2)
        return Activation(maps.contiguous(memory_format=torch.channels_last), self.lead, "maps")

    def for_each(self, trials: int) -> "Activation":
        """Repeat an activation that a group shares for each of its trials."""
        copies = trials // self.lead
        if copies == 1:
            return self
        if self.layout != "maps":
            return Activation(self.tensor.repeat_interleave(copies, dim=0), trials, self.layout)
        maps = torch.unflatten(self.tensor, 1, (self.lead, -1)).repeat_interleave(copies, dim=1).flatten(1, 2)
        return Activation(maps.contiguous(memory_format=torch.channels_last), trials, "maps")


@dataclass(frozen=True)
class Layer:
    """One layer of the traced graph: its name, and the same layer of every trial's module."""

    name: str
    modules: tuple[nn.Module, ...]

    def tensor(self, tensors: PackTensors, name: str) -> Float[Tensor, "trial ..."] | None:
        """Return a parameter or a running statistic of every trial, if the layer has it."""
        return tensors.get(f"{self.name}.{name}")


PackedLayer = Callable[[Layer, PackTensors, Activation, Context], Activation]


def _elementwise(layer: Layer, tensors: PackTensors, value: Activation, context: Context) -> Activation:
    return value.apply(layer.modules[0])


def _pooling(layer: Layer, tensors: PackTensors, value: Activation, context: Context) -> Activation:
    return value.as_maps().apply(layer.modules[0])


def _normalize(layer: Layer, tensors: PackTensors, value: Activation, context: Context) -> Activation:
    module = layer.modules[0]
    assert isinstance(module, Normalize)
    mean, deviation = (each.to(value.tensor).view(-1, 1, 1) for each in (module.mean, module.deviation))
    if value.layout == "maps":
        mean, deviation = mean.repeat(value.lead, 1, 1), deviation.repeat(value.lead, 1, 1)
    return value.apply(lambda tensor: (tensor - mean).div_(deviation))


def _flatten(layer: Layer, tensors: PackTensors, value: Activation, context: Context) -> Activation:
    match value.layout:
        case "features":
            return value
        case "images":
            features = value.tensor.flatten(2)
        case "maps":
            features = torch.unflatten(value.tensor, 1, (value.lead, -1)).transpose(0, 1).flatten(2)
    return Activation(features.mT, value.lead, "features")


def _linear(layer: Layer, tensors: PackTensors, value: Activation, context: Context) -> Activation:
    weight, bias = layer.tensor(tensors, "weight"), layer.tensor(tensors, "bias")
    assert weight is not None
    trials, outputs, inputs = weight.shape
    shared = trials // value.lead  # trials that read the same activation: one wide product computes them all
    products = _products(
        weight.view(value.lead, shared * outputs, inputs).to(context.dtype),
        value.tensor.to(context.dtype),
        None if bias is None else bias.view(value.lead, shared * outputs, 1).to(context.dtype),
    )
    return Activation(products.view(trials, outputs, -1), trials, "features")


def _products(
    weights: Float[Tensor, "lead outputs inputs"],
    values: Float[Tensor, "lead inputs batch"],
    bias: Float[Tensor, "lead outputs 1"] | None,
) -> Float[Tensor, "lead outputs batch"]:
    """Return W x + b for every minibatch.

    With W on the left its gradient comes out as W lies in memory, and neither softmax nor optimizer walks
    through anything against the grain. A single pair of matrices takes the routine for two, the faster one.
    """
    if len(values) > 1:
        return torch.bmm(weights, values) if bias is None else torch.baddbmm(bias, weights, values)
    product = torch.mm(weights[0], values[0]) if bias is None else torch.addmm(bias[0], weights[0], values[0])
    return product[None]


def _convolution(layer: Layer, tensors: PackTensors, value: Activation, context: Context) -> Activation:
    module = layer.modules[0]
    assert isinstance(module, nn.Conv2d)
    weight, bias = layer.tensor(tensors, "weight"), layer.tensor(tensors, "bias")
    assert weight is not None
    options = {"stride": module.stride, "padding": module.padding, "dilation": module.dilation}
    return _convolved(value, weight, bias, context.dtype, module.groups, options)


def _whitening(layer: Layer, tensors: PackTensors, value: Activation, context: Context) -> Activation:
    """Convolve with filters that are no parameters: every trial's module has its own."""
    weight = torch.stack([each.weight for each in layer.modules if isinstance(each, Whitening)])
    return _convolved(value, weight, layer.tensor(tensors, "bias"), context.dtype)


def _convolved(
    value: Activation,
    weight: Float[Tensor, "trial output input height width"],
    bias: Float[Tensor, "trial output"] | None,
    dtype: torch.dtype,
    own_groups: int = 1,
    options: Mapping[str, Any] = MappingProxyType({}),
) -> Activation:
    """Convolve images or maps with every trial's filters; the options are those of ``functional.conv2d``."""
    trials = weight.shape[0]
    weight = weight.to(dtype)
    bias = None if bias is None else bias.to(dtype)

    def convolve(maps: Tensor, weights: Tensor, biases: Tensor | None, groups: int) -> Tensor:
        return functional.conv2d(
            maps.to(dtype).contiguous(memory_format=torch.channels_last),
            weights.flatten(0, 1).contiguous(memory_format=torch.channels_last),
            None if biases is None else biases.flatten(),
            groups=groups * own_groups,
            **options,
        )

    if own_groups > 1:  # the groups of trials that share an image would not line up with the layer's own
        value = value.for_each(trials)
    if value.layout == "maps":
        return Activation(convolve(value.tensor, weight, bias, value.lead), trials, "maps")
    # One convolution per minibatch: a grouped one over few channels each takes several times as long.
    weights = torch.unflatten(weight, 0, (value.lead, -1)).unbind()
    biases = [None] * value.lead if bias is None else torch.unflatten(bias, 0, (value.lead, -1)).unbind()
    maps = [
        convolve(images, own, own_bias, 1)
        for images, own, own_bias in zip(value.tensor, weights, biases, strict=True)
    ]
    return Activation(maps[0] if value.lead == 1 else torch.cat(maps, dim=1), trials, "maps")


def _channel_bias(layer: Layer, tensors: PackTensors, value: Activation, context: Context) -> Activation:
    bias = layer.tensor(tensors, "bias")
    assert bias is not None
    value = value.as_maps().for_each(len(bias))
    return value.apply(lambda maps: maps + bias.to(maps.dtype).view(-1, 1, 1))


def _batch_norm(layer: Layer, tensors: PackTensors, value: Activation, context: Context) -> Activation:
    """Normalize trial · channel maps; the running statistics among the tensors are updated in place."""
    module = layer.modules[0]
    assert isinstance(module, nn.BatchNorm2d)
    mean, variance = layer.tensor(tensors, "running_mean"), layer.tensor(tensors, "running_var")
    weight, bias = layer.tensor(tensors, "weight"), layer.tensor(tensors, "bias")
    assert mean is not None
    assert variance is not None
    assert module.momentum is not None
    value = value.as_maps().for_each(mean.shape[0])
    training = context.training and layer.name not in context.frozen
    if training and value.tensor[:, 0].numel() < 2:
        raise RecipeError(
            "batch normalization in training needs at least 2 numbers per channel; got 1. "
            "Choose another batch_size, so that no minibatch is a single image"
        )
    maps = functional.batch_norm(
        value.tensor,
        mean.view(-1),
        variance.view(-1),
        None if weight is None else weight.flatten(),
        None if bias is None else bias.flatten(),
        training=training,
        momentum=module.momentum,
        eps=module.eps,
    )
    return Activation(maps, value.lead, "maps")


def _dropout(layer: Layer, tensors: PackTensors, value: Activation, context: Context) -> Activation:
    rates = [module.rate for module in layer.modules if isinstance(module, Dropout)]
    if not context.training or not any(rates):
        return value
    value = value.as_maps().for_each(len(rates))
    batch = value.tensor.shape[0 if value.layout == "maps" else 2]
    if value.layout == "maps":
        own_shape = (batch, value.tensor.shape[1] // len(rates), *value.tensor.shape[2:])
    else:
        own_shape = (batch, value.tensor.shape[1])
    masks = [  # as each trial's own module would draw them
        _mask(own_shape, rate, generator, value.tensor)
        for rate, generator in zip(rates, context.generators, strict=True)
    ]
    kept = torch.cat(masks, dim=1) if value.layout == "maps" else torch.stack(masks).mT
    return value.apply(lambda tensor: tensor * kept)


def _mask(shape: Sequence[int], rate: float, generator: torch.Generator, like: Tensor) -> Tensor:
    """Draw a mask as :class:`Dropout` does, which draws nothing at rate zero."""
    if rate == 0.0:
        return like.new_ones(shape)
    kept = torch.rand(shape, generator=generator, device=like.device).ge_(rate)
    return kept.div_(1.0 - rate).to(like.dtype)


def add(first: Activation, second: Activation) -> Activation:
    """Return the sum of two activations, as after a skip connection."""
    trials = max(first.lead, second.lead)
    first, second = first.as_maps().for_each(trials), second.as_maps().for_each(trials)
    return Activation(first.tensor + second.tensor, trials, first.layout)


PACKED_LAYERS: dict[type[nn.Module], PackedLayer] = {
    nn.Linear: _linear,
    nn.Conv2d: _convolution,
    Whitening: _whitening,
    ChannelBias: _channel_bias,
    nn.BatchNorm2d: _batch_norm,
    ZeroScaleBatchNorm: _batch_norm,
    nn.Flatten: _flatten,
    Dropout: _dropout,
    Normalize: _normalize,
    Multiply: _elementwise,
    nn.Identity: _elementwise,
    nn.ReLU: _elementwise,
    nn.Tanh: _elementwise,
    nn.Sigmoid: _elementwise,
    nn.GELU: _elementwise,
    nn.MaxPool2d: _pooling,
    nn.AvgPool2d: _pooling,
    nn.AdaptiveAvgPool2d: _pooling,
    nn.AdaptiveMaxPool2d: _pooling,
}


def has_packed_form(layer: nn.Module, is_map: bool) -> bool:
    """Whether the packed form of a layer covers its options and the axes of its input."""
    match layer:
        case nn.Linear():
            return not is_map
        case nn.Conv2d():
            return is_map and layer.padding_mode == "zeros"
        case nn.BatchNorm2d():
            return is_map and layer.track_running_stats and layer.momentum is not None
        case Normalize() | Whitening() | ChannelBias() | nn.AvgPool2d() | nn.AdaptiveAvgPool2d():
            return is_map
        case nn.MaxPool2d() | nn.AdaptiveMaxPool2d():
            return is_map and not layer.return_indices
        case nn.Flatten():
            return (layer.start_dim, layer.end_dim) == (1, -1)
        case _:
            return True
