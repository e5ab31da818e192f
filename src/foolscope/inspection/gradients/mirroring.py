"""Describes our torch models for the reference, whose hand-derived layers then compute the same."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import nn

from foolscope.core.errors import RecipeError
from foolscope.learning.losses import CrossEntropy, LossSettings, SquaredError
from foolscope.models.layers import Dropout, Normalize
from foolscope.models.recurrent_layers import LastStep, LSTMLayer, RNNLayer, Rows
from foolscope.models.resnet import ResidualBlock
from foolscope.reference import CrossEntropy as DerivedCrossEntropy
from foolscope.reference import Loss, Parameters
from foolscope.reference import SquaredError as DerivedSquaredError

__all__ = ["described", "mirrored_loss", "state_of"]

_KINDS: Mapping[type[nn.Module], tuple[str, tuple[str, ...]]] = {
    nn.Flatten: ("flatten", ()),
    nn.Identity: ("identity", ()),
    nn.Linear: ("affine", ()),
    nn.Conv2d: ("convolution", ("stride", "padding")),
    nn.MaxPool2d: ("max-pooling", ("kernel_size", "stride", "padding")),
    nn.AdaptiveAvgPool2d: ("global-average-pooling", ()),
    nn.BatchNorm2d: ("batch-normalization", ("eps", "momentum")),
    nn.ReLU: ("relu", ()),
    nn.Sigmoid: ("sigmoid", ()),
    nn.Tanh: ("tanh", ()),
    nn.GELU: ("gelu", ()),
    Normalize: ("normalize", ()),
    Dropout: ("identity", ()),
    Rows: ("rows", ()),
    RNNLayer: ("rnn", ("activation",)),
    LSTMLayer: ("lstm", ()),
    LastStep: ("last-step", ()),
}
_RENAMED = {"kernel_size": "kernel", "eps": "epsilon"}

# Options that the layers of the reference lack must have their usual value.
_USUAL: Mapping[type[nn.Module], Mapping[str, tuple[object, ...]]] = {
    nn.Flatten: {"start_dim": (1,), "end_dim": (-1,)},
    nn.Conv2d: {"dilation": ((1, 1),), "groups": (1,), "padding_mode": ("zeros",)},
    nn.MaxPool2d: {"dilation": (1,), "ceil_mode": (False,), "return_indices": (False,)},
    nn.AdaptiveAvgPool2d: {"output_size": (1, (1, 1))},
    nn.BatchNorm2d: {"affine": (True,), "track_running_stats": (True,)},
    nn.GELU: {"approximate": ("none",)},
    Dropout: {"rate": (0.0,)},
}


def described(module: nn.Module, prefix: str = "", *, training: bool = False) -> list[dict[str, Any]]:
    """Describe a model for :func:`foolscope.reference.reference_network`.

    With ``training`` dropout is refused, for the reference would drop other units.

    Raises:
        RecipeError: a layer has no counterpart; the sentence names it.

    Example:
        >>> described(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)))
        [{'layer': 'flatten', 'name': '0'}, {'layer': 'affine', 'name': '1'}]
    """
    entries: list[dict[str, Any]] = []
    if not prefix and type(module) is not nn.Sequential:
        raise RecipeError(f"{type(module).__name__} is not a sequence of layers")
    for name, child in module.named_children():
        path = f"{prefix}{name}"
        if type(child) is nn.Sequential:
            entries += described(child, f"{path}.", training=training)
        elif type(child) is ResidualBlock:
            entries += [
                {"layer": "residual", "name": path, "branch": _way(child.branch, training)}
                | {"shortcut": _way(child.shortcut, training)},
                {"layer": "relu", "name": f"{path}.activation"},
            ]
        else:
            entries.append({"name": path, **_entry(path, child, training)})
    return [{"layer": entry.pop("layer"), **entry} for entry in entries]


def _way(way: nn.Module, training: bool) -> list[dict[str, Any]]:
    """Describe one path of a residual block; the identity has no layer."""
    return [] if type(way) is nn.Identity else described(way, training=training)


def _entry(path: str, layer: nn.Module, training: bool) -> dict[str, Any]:
    kind = type(layer)
    if kind not in _KINDS:
        raise RecipeError(f"there is no hand-derived layer for {kind.__name__} ({path})")
    for option, usual in _USUAL.get(kind, {}).items():
        value = getattr(layer, option)
        if value not in usual and (kind is not Dropout or training):
            what = "dropout acts in training" if kind is Dropout else "no hand-derived layer supports it"
            raise RecipeError(f"{kind.__name__} ({path}) has {option} = {value}: {what}")
    name, settings = _KINDS[kind]
    return {"layer": name} | {_RENAMED.get(each, each): getattr(layer, each) for each in settings}


def mirrored_loss(settings: LossSettings) -> Loss:
    """Return the hand-derived counterpart of a loss.

    Raises:
        RecipeError: there is none.
    """
    if settings.class_weights is not None:
        raise RecipeError(f"there is no hand-derived {settings.name} with class_weights")
    match settings:
        case CrossEntropy():
            return DerivedCrossEntropy(settings.label_smoothing)
        case SquaredError():
            return DerivedSquaredError()
    raise RecipeError(f"there is no hand-derived loss for {settings.name}")


def state_of(model: nn.Module) -> Parameters:
    """Return copies of the floating-point parameters and buffers as arrays.

    Example:
        >>> list(state_of(nn.Linear(1, 1)))
        ['weight', 'bias']
    """
    return {
        name: np.array(value.detach().cpu().numpy())
        for name, value in model.state_dict().items()
        if value.is_floating_point()
    }
