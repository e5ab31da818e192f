"""A plain torch module turned into a program for many trials at once.

The module is traced with :mod:`torch.fx`; :data:`foolscope.learning.packs.packed_layers.PACKED_LAYERS` says
for each layer type how to compute it for a whole pack. A module that cannot be traced, or has a layer that
the table lacks, runs one trial after another with the same results.
"""

import operator
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, fx, nn

from foolscope.learning.optimizers import PackTensors
from foolscope.learning.packs.packed_layers import (
    PACKED_LAYERS,
    Activation,
    Context,
    Layer,
    add,
    has_packed_form,
)
from foolscope.learning.packs.stacking import own_part
from foolscope.models.layers import Dropout
from foolscope.models.views import VIEWS, AveragedViews, View

__all__ = [
    "PACKED_LAYERS",
    "Context",
    "Program",
    "pack_program",
    "solo_program",
    "solo_reason",
    "unpackable_layers",
]

Program = Callable[[PackTensors, Float[Tensor, "group batch channel height width"], Context], Tensor]
"""Parameters and running statistics (trial, ...), images -> logits (trial, batch, classes).

Trial t belongs to group t // (trials / groups). The logits have the images' data type. In training the
running statistics are updated in place.
"""


class _Tracer(fx.Tracer):
    """Traces a module down to the layers in the table."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return type(m) in PACKED_LAYERS


def unpackable_layers(model: nn.Module) -> tuple[str, ...]:
    """Name the layer types for which the table has no packed operation.

    Where some of them have parameters, only those are named.

    Example:
        >>> unpackable_layers(nn.Sequential(nn.Linear(2, 2), nn.Softplus()))
        ('Softplus',)
    """
    unknown = [
        layer
        for layer in model.modules()
        if type(layer) not in PACKED_LAYERS and not any(True for _ in layer.children())
    ]
    with_parameters = [layer for layer in unknown if any(True for _ in layer.parameters())]
    return tuple(sorted({type(layer).__name__ for layer in with_parameters or unknown}))


def solo_reason(model: nn.Module) -> str | None:
    """Return why a model trains one trial after another; ``None`` if it can be packed.

    Example:
        >>> solo_reason(nn.Sequential(nn.Flatten(), nn.Linear(2, 2), nn.Softplus()))
        'there is no packed form of Softplus'
    """
    unpackable = unpackable_layers(model)
    if unpackable:
        return f"there is no packed form of {', '.join(unpackable)}"
    if len(list(model.named_parameters(remove_duplicate=False))) > len(list(model.parameters())):
        return "layers share parameters"
    model = _one_view(model)
    try:
        nodes = list(_Tracer().trace(model).nodes)
    except (fx.proxy.TraceError, RuntimeError, TypeError) as error:
        return f"its forward pass depends on values ({str(error).splitlines()[0]})"
    return (
        None
        if _is_packable(nodes, model)
        else ("its layers have options or connections without a packed form")
    )


def pack_program(models: Sequence[nn.Module]) -> Program:
    """Derive the packed program of models that differ at most in values, widths and dropout rates.

    Where :func:`solo_reason` gives a reason, the program runs one trial after another.
    """
    if solo_reason(models[0]) is not None:
        return solo_program(models)
    views = models[0].views if isinstance(models[0], AveragedViews) else None
    models = [_one_view(model) for model in models]
    nodes = list(_Tracer().trace(models[0]).nodes)
    layers = {
        node: Layer(str(node.target), tuple(model.get_submodule(str(node.target)) for model in models))
        for node in nodes
        if node.op == "call_module"
    }
    _pool_before_relu(layers)
    last_uses = _last_uses(nodes)

    def program(parameters: PackTensors, images: Tensor, context: Context) -> Tensor:
        values: dict[fx.Node, Activation] = {}
        for node in nodes:
            arguments: Any = node.args
            if node.op == "placeholder":
                values[node] = Activation(images, len(images), "images")
            elif node.op == "call_module":
                layer = layers[node]
                packed = PACKED_LAYERS[type(layer.modules[0])]
                values[node] = packed(layer, parameters, values[arguments[0]], context)
            elif node.op == "call_function":
                values[node] = add(values[arguments[0]], values[arguments[1]])
            else:
                return values[arguments[0]].tensor.mT.to(images.dtype)
            for used in last_uses[node]:
                del values[used]
        raise AssertionError("a traced graph ends with an output")

    return program if views is None else _averaging(program, VIEWS[views])


def _last_uses(nodes: Sequence[fx.Node]) -> dict[fx.Node, list[fx.Node]]:
    """Return for each node the nodes whose value no later one reads; a value that nobody reads is its own."""
    last = {node: node for node in nodes}
    for node in nodes:
        last |= dict.fromkeys(node.all_input_nodes, node)
    ended: dict[fx.Node, list[fx.Node]] = {node: [] for node in nodes}
    for node, user in last.items():
        ended[user].append(node)
    return ended


def _one_view(model: nn.Module) -> nn.Module:
    """Return the model without its test-time augmentation."""
    if not isinstance(model, AveragedViews):
        return model
    return nn.Sequential(OrderedDict(normalization=model.normalization, body=model.body))


def _averaging(program: Program, views: Sequence[tuple[float, View]]) -> Program:
    """Return the program that averages the logits over views in evaluation."""

    def averaged(parameters: PackTensors, images: Tensor, context: Context) -> Tensor:
        if context.training:
            return program(parameters, images, context)
        logits = [weight * program(parameters, view(images), context) for weight, view in views]
        return torch.stack(logits).sum(dim=0)

    return averaged


def _pool_before_relu(layers: dict[fx.Node, Layer]) -> None:
    """Swap each ReLU that feeds only a max-pooling with it: the same result at less cost.

    The largest of rectified numbers is the rectified largest, and where all are negative neither order has a
    gradient.
    """
    for node, layer in layers.items():
        users = list(node.users)
        if isinstance(layer.modules[0], nn.ReLU) and len(users) == 1 and users[0] in layers:
            pooling = layers[users[0]]
            if isinstance(pooling.modules[0], nn.MaxPool2d):
                layers[node], layers[users[0]] = pooling, layer


def _is_packable(nodes: Sequence[fx.Node], model: nn.Module) -> bool:
    """Whether a graph has only additions and layers in the table, on inputs that packed forms accept."""
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
            if not has_packed_form(layer, is_map[inputs[0]]):
                return False
            is_map[node] = is_map[inputs[0]] and not isinstance(layer, nn.Flatten)
        elif node.op == "call_function" and node.target in (operator.add, torch.add) and len(kinds) == 1:
            is_map[node] = is_map[inputs[0]]
        elif node.op != "output" or kinds != {False}:
            return False
    return True


def solo_program(models: Sequence[nn.Module]) -> Program:
    """Return the program that runs one trial after another: slower, with the same results, for any module."""

    def program(parameters: PackTensors, images: Tensor, context: Context) -> Tensor:
        shared = len(models) // images.shape[0]
        logits = []
        for trial, model in enumerate(models):
            model.train(context.training)
            for name in context.frozen:
                model.get_submodule(name).eval()
            for layer in model.modules():
                if isinstance(layer, Dropout) and context.generators:
                    layer.generator = context.generators[trial]
            own = {name: buffer.clone() for name, buffer in model.named_buffers()}  # may be written to
            shapes = {name: each.shape for name, each in (*model.named_parameters(), *own.items())}
            own |= {name: own_part(value[trial], shapes[name]) for name, value in parameters.items()}
            with torch.autocast(images.device.type, context.dtype, enabled=context.dtype == torch.bfloat16):
                logits.append(torch.func.functional_call(model, own, (images[trial // shared],)))
        return torch.stack(logits).to(images.dtype)

    return program
