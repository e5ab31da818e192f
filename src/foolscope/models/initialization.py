"""Initial weights, each parameter drawn from the trial's seed and the parameter's name.

Because each parameter has a stream of its own, two models of one seed share the initial weights of every
layer whose shape agrees, which makes the cells of an ablation comparable.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from foolscope.core.errors import RecipeError
from foolscope.core.randomness import torch_generator
from foolscope.models.prototype_layers import GradientLeaves, NearestPrototypes
from foolscope.models.recurrent_layers import LSTMLayer, RNNLayer

__all__ = ["initial_parameters"]


def _uniform_by_fan_in(layer: nn.Module, shape: torch.Size, name: str, generator: torch.Generator) -> Tensor:
    weight = layer.get_parameter("weight")
    bound = 1.0 / math.sqrt(weight[0].numel())
    return torch.empty(shape).uniform_(-bound, bound, generator=generator)


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


_INITIALIZERS: dict[type[nn.Module], Callable[[nn.Module, torch.Size, str, torch.Generator], Tensor]] = {
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


def initial_parameters(model: nn.Module, seed: int) -> dict[str, Tensor]:
    """Draw the initial value of every parameter.

    Weights and biases of affine and convolutional layers are uniform in ±1/√fan_in, PyTorch's own default
    (LeCun et al. 1998, *Efficient BackProp*, section 4.6, up to a constant); scales of normalization layers
    are one. In recurrent layers the input weights are uniform as in affine layers, the recurrent matrices
    random orthogonal (Saxe et al. 2014, arXiv:1312.6120, section 3) times the layer's spectral norm, and the
    biases zero except that of the forget gate. In prototype trees prototypes are N(0.5, 0.1²) and leaves
    N(0, 1), as in the authors' program (Nauta et al. 2021, arXiv:2012.02046).

    Returns:
        Parameter name to float32 tensor on the CPU.

    Raises:
        RecipeError: a layer with parameters has no rule here.
    """
    values: dict[str, Tensor] = {}
    for prefix, layer in model.named_modules():
        for name, parameter in layer.named_parameters(recurse=False):
            initializer = _INITIALIZERS.get(type(layer))
            if initializer is None:
                known = ", ".join(kind.__name__ for kind in _INITIALIZERS)
                raise RecipeError(
                    f"no initial values are defined for layer type {type(layer).__name__}; known: {known}. "
                    "Add a line to foolscope/models/initialization.py"
                )
            path = f"{prefix}.{name}" if prefix else name
            generator = torch_generator(seed, "initialization", path)
            values[path] = initializer(layer, parameter.shape, name, generator)
    return values
