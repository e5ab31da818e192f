"""Initial weights, drawn per parameter from the trial's seed and the parameter's name.

Because each parameter has a stream of its own, two models of one seed share the initial weights of every
layer whose shape agrees, which makes the cells of an ablation comparable.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from foolscope.core.errors import RecipeError
from foolscope.core.randomness import torch_generator

__all__ = ["initial_parameters"]


def _uniform_by_fan_in(layer: nn.Module, shape: torch.Size, name: str, generator: torch.Generator) -> Tensor:
    weight = layer.get_parameter("weight")
    bound = 1.0 / math.sqrt(weight[0].numel())
    return torch.empty(shape).uniform_(-bound, bound, generator=generator)


def _ones_and_zeros(layer: nn.Module, shape: torch.Size, name: str, generator: torch.Generator) -> Tensor:
    return torch.ones(shape) if name == "weight" else torch.zeros(shape)


_INITIALIZERS: dict[type[nn.Module], Callable[[nn.Module, torch.Size, str, torch.Generator], Tensor]] = {
    nn.Linear: _uniform_by_fan_in,
    nn.Conv2d: _uniform_by_fan_in,
    nn.BatchNorm2d: _ones_and_zeros,
    nn.GroupNorm: _ones_and_zeros,
    nn.LayerNorm: _ones_and_zeros,
}


def initial_parameters(model: nn.Module, seed: int) -> dict[str, Tensor]:
    """Draw the initial value of every parameter.

    Weights and biases of affine and convolutional layers are uniform in ±1/√fan_in, PyTorch's own default
    (LeCun et al. 1998, *Efficient BackProp*, section 4.6, up to a constant); scales of normalization layers
    are one.

    Args:
        model: gives names and shapes; its own values are not read.
        seed: the trial's seed.

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
