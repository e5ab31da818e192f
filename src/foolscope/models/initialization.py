"""Initial weights, each parameter drawn from the trial's seed and the parameter's name.

Because each parameter has a stream of its own, two models of one seed share the initial weights of every
layer whose shape agrees, which makes the cells of an ablation comparable.
"""

import math
from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from foolscope.core.errors import RecipeError
from foolscope.core.randomness import torch_generator
from foolscope.models.prototype_layers import GradientLeaves, NearestPrototypes
from foolscope.models.recurrent_layers import LSTMLayer, RNNLayer
from foolscope.models.settings import Initialization

__all__ = ["HasInitialValues", "initial_parameters"]

_Rule = Callable[[nn.Module, torch.Size, str, torch.Generator], Tensor]


@runtime_checkable
class HasInitialValues(Protocol):
    """A layer that knows how its own parameters start."""

    def initial_value(self, name: str, generator: torch.Generator) -> Tensor:
        """Draw the initial value of the parameter ``name``."""
        ...


def _uniform_by_fan_in(layer: nn.Module, shape: torch.Size, name: str, generator: torch.Generator) -> Tensor:
    weight = layer.get_parameter("weight")
    bound = 1.0 / math.sqrt(weight[0].numel())
    return torch.empty(shape).uniform_(-bound, bound, generator=generator)


def _normal_by_fan_in(layer: nn.Module, shape: torch.Size, name: str, generator: torch.Generator) -> Tensor:
    if name == "bias":
        return torch.zeros(shape)
    return torch.empty(shape).normal_(0.0, math.sqrt(2.0 / shape[1:].numel()), generator=generator)


def _passing_on(layer: nn.Module, shape: torch.Size, name: str, generator: torch.Generator) -> Tensor:
    value = _uniform_by_fan_in(layer, shape, name, generator)
    if name == "weight":
        nn.init.dirac_(value[: shape[1]])
    return value


def _ones_and_zeros(layer: nn.Module, shape: torch.Size, name: str, generator: torch.Generator) -> Tensor:
    return torch.ones(shape) if name == "weight" else torch.zeros(shape)


def _recurrent(layer: nn.Module, shape: torch.Size, name: str, generator: torch.Generator) -> Tensor:
    assert isinstance(layer, RNNLayer)
    if name == "weight_hh_l0":
        return layer.spectral_norm * _orthogonal(shape[0], generator)
    return _inputs_of_recurrent(shape, name, generator)


def _lstm(layer: nn.Module, shape: torch.Size, name: str, generator: torch.Generator) -> Tensor:
    assert isinstance(layer, LSTMLayer)
    units = shape[0] // 4
    if name == "weight_hh_l0":
        return torch.cat([_orthogonal(units, generator) for _ in range(4)])
    value = _inputs_of_recurrent(shape, name, generator)
    if name == "bias_ih_l0":
        value[units : 2 * units] = layer.forget_bias
    return value


def _inputs_of_recurrent(shape: torch.Size, name: str, generator: torch.Generator) -> Tensor:
    if name == "bias_ih_l0":
        return torch.zeros(shape)
    bound = 1.0 / math.sqrt(shape[1])
    return torch.empty(shape).uniform_(-bound, bound, generator=generator)


def _orthogonal(units: int, generator: torch.Generator) -> Tensor:
    return nn.init.orthogonal_(torch.empty(units, units), generator=generator)


def _prototypes(layer: nn.Module, shape: torch.Size, name: str, generator: torch.Generator) -> Tensor:
    return torch.empty(shape).normal_(0.5, 0.1, generator=generator)  # in the middle of a sigmoid's range


def _leaves(layer: nn.Module, shape: torch.Size, name: str, generator: torch.Generator) -> Tensor:
    return torch.empty(shape).normal_(generator=generator)


_INITIALIZERS: dict[type[nn.Module], _Rule] = {
    nn.Linear: _uniform_by_fan_in,
    nn.Conv2d: _uniform_by_fan_in,
    nn.BatchNorm2d: _ones_and_zeros,
    nn.GroupNorm: _ones_and_zeros,
    nn.LayerNorm: _ones_and_zeros,
    RNNLayer: _recurrent,
    LSTMLayer: _lstm,
    NearestPrototypes: _prototypes,
    GradientLeaves: _leaves,
}


_HIDDEN_INITIALIZERS: Mapping[Initialization, Mapping[type[nn.Module], _Rule]] = {
    "uniform": {},
    "he": {nn.Linear: _normal_by_fan_in, nn.Conv2d: _normal_by_fan_in},
    "dirac": {nn.Conv2d: _passing_on},
}
"""What differs from the rules above in all layers but the last, from which the logits come."""


def initial_parameters(
    model: nn.Module, seed: int, initialization: Initialization = "uniform"
) -> dict[str, Tensor]:
    """Draw the initial value of every parameter.

    Weights and biases of affine and convolutional layers are uniform in ±1/√fan_in, PyTorch's own default
    (LeCun et al. 1998, *Efficient BackProp*, section 4.6, up to a constant); scales of normalization layers
    are one. In recurrent layers the input weights are uniform as in affine layers, the recurrent matrices
    random orthogonal (Saxe et al. 2014, arXiv:1312.6120, section 3) times the layer's spectral norm, and the
    biases zero except that of the forget gate. In prototype trees prototypes are N(0.5, 0.1²) and leaves
    N(0, 1), as in the authors' program (Nauta et al. 2021, arXiv:2012.02046). Layers with an
    ``initial_value`` of their own draw by it.

    With "he" the weights of affine and convolutional layers are normal with mean 0 and variance 2/fan_in, and
    their biases zero (He et al. 2015, arXiv:1502.01852, equation 10). With "dirac" the first filters of a
    convolution, as many as it has input channels, copy one input channel each (Jordan 2024,
    arXiv:2404.00498, section 3.3). Both leave the last affine or convolutional layer uniform, so that the
    loss starts at that of guessing.

    Returns:
        Parameter name to float32 tensor on the CPU.

    Raises:
        RecipeError: a layer with parameters has no rule here.
    """
    values: dict[str, Tensor] = {}
    affine = [path for path, layer in model.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    for prefix, layer in model.named_modules():
        rules = (
            _INITIALIZERS
            if prefix in affine[-1:]
            else {**_INITIALIZERS, **_HIDDEN_INITIALIZERS[initialization]}
        )
        for name, parameter in layer.named_parameters(recurse=False):
            path = f"{prefix}.{name}" if prefix else name
            generator = torch_generator(seed, "initialization", path)
            if isinstance(layer, HasInitialValues):
                values[path] = layer.initial_value(name, generator)
                continue
            initializer = rules.get(type(layer))
            if initializer is None:
                known = ", ".join(kind.__name__ for kind in _INITIALIZERS)
                raise RecipeError(
                    f"no initial values are defined for layer type {type(layer).__name__}; known: {known}. "
                    "Add a line to foolscope/models/initialization.py"
                )
            values[path] = initializer(layer, parameter.shape, name, generator)
    return values
