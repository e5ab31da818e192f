"""A plain torch module turned into a program for many trials at once.

The module is traced with :mod:`torch.fx`; :data:`PACKED_LAYERS` says for each layer type how to compute it
for a whole pack. Parameters and activations carry a leading trial axis. Trials come in groups that share a
minibatch, and as long as no parameter has been met, one activation serves a whole group: affine layers that
share a minibatch become one wide product, deeper ones batched products, convolutions grouped ones.

A module that cannot be traced, or has a layer that the table lacks, runs one trial after another with the
same results.
"""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, fx, nn
from torch.nn import functional

from foolscope.learning.optimizers import PackTensors
from foolscope.models.layers import Dropout, Normalize

__all__ = ["PACKED_LAYERS", "Context", "Program", "pack_program", "solo_program", "unpackable_layers"]


@dataclass(frozen=True)
class Context:
    """What a forward pass needs beside parameters and images.

    Args:
        training: whether dropout acts.
        dtype: data type of the products.
        generators: one per trial, for dropout; empty in evaluation.
    """

    training: bool
    dtype: torch.dtype
    generators: tuple[torch.Generator, ...] = ()


Program = Callable[[PackTensors, Float[Tensor, "group batch channel height width"], Context], Tensor]
"""Parameters (trial, ...), images (group, batch, channel, height, width) -> logits (trial, batch, classes).

Trial t belongs to group t // (trials / groups).
"""


@dataclass(frozen=True)
class _Activation:
    """An activation of the pack.

    It is features (lead, batch, features), or maps (batch, lead · channel, height, width).

    ``lead`` is the number of groups before the first parameter and the number of trials after it.
    """

    tensor: Tensor
    lead: int
    is_map: bool

    def apply(self, function: Callable[[Tensor], Tensor]) -> "_Activation":
        """Apply a function that acts on every element, or on every map, alike."""
        return _Activation(function(self.tensor), self.lead, self.is_map)


@dataclass(frozen=True)
class _Layer:
    """One layer of the traced graph: its name, and the same layer of every trial's module."""

    name: str
    modules: tuple[nn.Module, ...]

    def parameter(self, parameters: PackTensors, name: str) -> Tensor | None:
        return parameters.get(f"{self.name}.{name}")


def _per_trial(value: _Activation, trials: int) -> _Activation:
    """Give every trial its own copy of an activation that its group has shared so far."""
    copies = trials // value.lead
    if copies == 1:
        return value
    if not value.is_map:
        return _Activation(value.tensor.repeat_interleave(copies, dim=0), trials, is_map=False)
    batch, _, height, width = value.tensor.shape
    maps = value.tensor.reshape(batch, value.lead, -1, height, width)
    return _Activation(maps.repeat_interleave(copies, dim=1).flatten(1, 2), trials, is_map=True)


def _elementwise(layer: _Layer, parameters: PackTensors, value: _Activation, context: Context) -> _Activation:
    return value.apply(layer.modules[0])


def _normalize(layer: _Layer, parameters: PackTensors, value: _Activation, context: Context) -> _Activation:
    module = layer.modules[0]
    assert isinstance(module, Normalize)
    batch, _, height, width = value.tensor.shape
    maps = value.tensor.reshape(batch, value.lead, -1, height, width)
    scale = module.deviation.reciprocal()
    normalized = (maps - module.mean[:, None, None].to(maps)).mul_(scale[:, None, None].to(maps))
    return _Activation(normalized.flatten(1, 2), value.lead, is_map=True)


def _flatten(layer: _Layer, parameters: PackTensors, value: _Activation, context: Context) -> _Activation:
    if not value.is_map:
        return value
    batch = value.tensor.shape[0]
    return _Activation(value.tensor.reshape(batch, value.lead, -1).transpose(0, 1), value.lead, is_map=False)


def _linear(layer: _Layer, parameters: PackTensors, value: _Activation, context: Context) -> _Activation:
    weight, bias = layer.parameter(parameters, "weight"), layer.parameter(parameters, "bias")
    assert weight is not None
    trials, outputs, inputs = weight.shape
    shared = trials // value.lead  # trials that read the same activation: one wide product computes them all
    wide = weight.to(context.dtype).view(value.lead, shared * outputs, inputs).transpose(1, 2)
    products = torch.bmm(value.tensor.to(context.dtype), wide)
    if bias is not None:
        products = products + bias.to(context.dtype).view(value.lead, 1, shared * outputs)
    if shared > 1:
        products = products.view(value.lead, -1, shared, outputs).transpose(1, 2).flatten(0, 1)
    return _Activation(products, trials, is_map=False)


def _convolution(layer: _Layer, parameters: PackTensors, value: _Activation, context: Context) -> _Activation:
    module = layer.modules[0]
    assert isinstance(module, nn.Conv2d)
    weight, bias = layer.parameter(parameters, "weight"), layer.parameter(parameters, "bias")
    assert weight is not None
    if module.groups > 1:  # the groups of trials that share an image would not line up with the layer's own
        value = _per_trial(value, weight.shape[0])
    maps = functional.conv2d(
        value.tensor.to(context.dtype),
        weight.to(context.dtype).flatten(0, 1),
        None if bias is None else bias.to(context.dtype).flatten(),
        stride=module.stride,
        padding=module.padding,
        dilation=module.dilation,
        groups=value.lead * module.groups,
    )
    return _Activation(maps, weight.shape[0], is_map=True)


def _dropout(layer: _Layer, parameters: PackTensors, value: _Activation, context: Context) -> _Activation:
    rates = [module.rate for module in layer.modules if isinstance(module, Dropout)]
    if not context.training or not any(rates):
        return value
    value = _per_trial(value, len(rates))
    tensor = value.tensor
    shape = list(tensor.shape)  # of one trial's activation, as its own module would see it
    if value.is_map:
        shape[1] //= len(rates)
    else:
        del shape[0]
    masks = [
        _mask(shape, rate, generator, tensor)
        for rate, generator in zip(rates, context.generators, strict=True)
    ]
    kept = torch.cat(masks, dim=1) if value.is_map else torch.stack(masks)
    return value.apply(lambda tensor: tensor * kept)


def _mask(shape: Sequence[int], rate: float, generator: torch.Generator, like: Tensor) -> Tensor:
    """Draw what :class:`Dropout` draws: nothing at rate zero."""
    if rate == 0.0:
        return like.new_ones(shape)
    kept = torch.rand(shape, generator=generator, device=like.device).ge_(rate)
    return kept.div_(1.0 - rate).to(like.dtype)


def _add(first: _Activation, second: _Activation) -> _Activation:
    trials = max(first.lead, second.lead)
    first, second = _per_trial(first, trials), _per_trial(second, trials)
    return _Activation(first.tensor + second.tensor, trials, first.is_map)


PackedLayer = Callable[[_Layer, PackTensors, _Activation, Context], _Activation]

PACKED_LAYERS: dict[type[nn.Module], PackedLayer] = {
    nn.Linear: _linear,
    nn.Conv2d: _convolution,
    nn.Flatten: _flatten,
    Dropout: _dropout,
    Normalize: _normalize,
    nn.Identity: _elementwise,
    nn.ReLU: _elementwise,
    nn.Tanh: _elementwise,
    nn.Sigmoid: _elementwise,
    nn.GELU: _elementwise,
    nn.MaxPool2d: _elementwise,
    nn.AvgPool2d: _elementwise,
    nn.AdaptiveAvgPool2d: _elementwise,
}


class _Tracer(fx.Tracer):
    """Traces down to the layers that the table knows."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return type(m) in PACKED_LAYERS


def unpackable_layers(model: nn.Module) -> tuple[str, ...]:
    """Name the layer types for which the table has no packed operation.

    Example:
        >>> unpackable_layers(nn.Sequential(nn.Linear(2, 2), nn.Softplus()))
        ('Softplus',)
    """
    kinds = {
        type(layer)
        for layer in model.modules()
        if type(layer) not in PACKED_LAYERS and not any(True for _ in layer.children())
    }
    return tuple(sorted(kind.__name__ for kind in kinds))


def pack_program(models: Sequence[nn.Module]) -> Program:
    """Derive the packed program of models that differ at most in values and dropout rates.

    Args:
        models: one per trial, of one structure.

    Returns:
        The packed program, or the one-after-another program where the first model cannot be packed.
    """
    model = models[0]
    tied = len(list(model.named_parameters(remove_duplicate=False))) > len(list(model.parameters()))
    if tied or unpackable_layers(model):
        return solo_program(models)
    try:
        nodes = list(_Tracer().trace(model).nodes)
    except (fx.proxy.TraceError, RuntimeError, TypeError):  # control flow that depends on values
        return solo_program(models)
    if not _is_packable(nodes, model):
        return solo_program(models)
    layers = {
        node: _Layer(str(node.target), tuple(model.get_submodule(str(node.target)) for model in models))
        for node in nodes
        if node.op == "call_module"
    }

    def program(parameters: PackTensors, images: Tensor, context: Context) -> Tensor:
        groups, batch = images.shape[:2]
        maps = images.transpose(0, 1).reshape(batch, -1, *images.shape[3:])
        values: dict[fx.Node, _Activation] = {}
        for node in nodes:
            arguments: Any = node.args
            if node.op == "placeholder":
                values[node] = _Activation(maps, groups, is_map=True)
            elif node.op == "call_module":
                layer = layers[node]
                packed = PACKED_LAYERS[type(layer.modules[0])]
                values[node] = packed(layer, parameters, values[arguments[0]], context)
            elif node.op == "call_function":
                values[node] = _add(values[arguments[0]], values[arguments[1]])
            else:
                return values[arguments[0]].tensor.to(_result_type(parameters))
        raise AssertionError("a traced graph ends with an output")

    return program


def _is_packable(nodes: Sequence[fx.Node], model: nn.Module) -> bool:
    """Whether a graph has only layers of the table and additions, each on what its packed form expects."""
    is_map: dict[fx.Node, bool] = {}
    for node in nodes:
        inputs = [each for each in node.args if isinstance(each, fx.Node)]
        if node.kwargs or len(inputs) != len(node.args):
            return False
        kinds = {is_map[each] for each in inputs}
        if node.op == "placeholder" and not is_map:
            is_map[node] = True
        elif node.op == "call_module" and len(inputs) == 1:
            layer = model.get_submodule(str(node.target))
            if not _has_packed_form(layer, is_map[inputs[0]]):
                return False
            is_map[node] = is_map[inputs[0]] and not isinstance(layer, nn.Flatten)
        elif node.op == "call_function" and node.target in (operator.add, torch.add) and len(kinds) == 1:
            is_map[node] = is_map[inputs[0]]
        elif node.op != "output" or kinds != {False}:
            return False
    return True


def _has_packed_form(layer: nn.Module, is_map: bool) -> bool:
    """Whether the packed form of a layer covers its options and the axes of its input."""
    match layer:
        case nn.Linear():
            return not is_map
        case nn.Conv2d():
            return is_map and layer.padding_mode == "zeros"
        case Normalize() | nn.MaxPool2d() | nn.AvgPool2d() | nn.AdaptiveAvgPool2d():
            return is_map
        case nn.Flatten():
            return (layer.start_dim, layer.end_dim) == (1, -1)
        case _:
            return True


def _result_type(parameters: PackTensors) -> torch.dtype:
    return next(iter(parameters.values())).dtype


def solo_program(models: Sequence[nn.Module]) -> Program:
    """Return the program that runs one trial after another: slower, the same results, any module."""

    def program(parameters: PackTensors, images: Tensor, context: Context) -> Tensor:
        shared = len(models) // images.shape[0]
        logits = []
        for trial, model in enumerate(models):
            model.train(context.training)
            for layer in model.modules():
                if isinstance(layer, Dropout) and context.generators:
                    layer.generator = context.generators[trial]
            own = {name: value[trial] for name, value in parameters.items()}
            with torch.autocast(images.device.type, context.dtype, enabled=context.dtype == torch.bfloat16):
                logits.append(torch.func.functional_call(model, own, (images[trial // shared],)))
        return torch.stack(logits).to(_result_type(parameters))

    return program
