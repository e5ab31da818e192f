"""Stacks the tensors of several trials, padded with zeros at the end of each axis where shapes differ.

A padded unit has weights of zero on both sides. As long as its activation maps zero to zero, its output is
zero, it gets no gradient and it does not change: the trial computes what it computes alone.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from foolscope.models.prototype_layers import CountedLeaves

__all__ = ["own_part", "stack_padded", "stacked_constants", "stacked_parameters", "stacked_statistics"]


def stack_padded(tensors: Sequence[Shaped[Tensor, "..."]]) -> Shaped[Tensor, "trial ..."]:
    """Stack tensors along a new first axis, each padded with zeros to the largest shape.

    Example:
        >>> stack_padded([torch.ones(1), torch.ones(2)])
        tensor([[1., 0.],
                [1., 1.]])
    """
    shapes = [tensor.shape for tensor in tensors]
    largest = [max(sizes) for sizes in zip(*shapes, strict=True)]
    if all(list(shape) == largest for shape in shapes):
        return torch.stack(list(tensors))
    stacked = tensors[0].new_zeros(len(tensors), *largest)
    for place, tensor in zip(stacked, tensors, strict=True):
        own_part(place, tensor.shape).copy_(tensor)
    return stacked


def own_part(padded: Shaped[Tensor, "..."], shape: Sequence[int]) -> Shaped[Tensor, "..."]:
    """Return the view of one trial's numbers without the padding."""
    return padded[tuple(slice(size) for size in shape)]


def stacked_parameters(models: Sequence[nn.Module]) -> dict[str, Tensor]:
    """Return the parameters that are trained of models of one structure, name to (trial, ...)."""
    return {
        name: stack_padded([model.get_parameter(name).detach() for model in models])
        for name, parameter in models[0].named_parameters()
        if parameter.requires_grad
    }


def stacked_constants(models: Sequence[nn.Module]) -> dict[str, Tensor]:
    """Return what the optimizer does not update, name to (trial, ...).

    These are the running means and variances of batch normalization, and frozen parameters.
    """
    constants = {
        name: stack_padded([model.get_parameter(name).detach() for model in models])
        for name, parameter in models[0].named_parameters()
        if not parameter.requires_grad
    }
    return constants | stacked_statistics(models)


def stacked_statistics(models: Sequence[nn.Module]) -> dict[str, Tensor]:
    """Return what training changes besides parameters, name to (trial, ...).

    These are the running means and variances of batch normalization, and counted leaves.
    """
    names = [f"{path}.{name}" for path, module in models[0].named_modules() for name in _statistics(module)]
    return {name: stack_padded([model.get_buffer(name) for model in models]) for name in names}


def _statistics(module: nn.Module) -> tuple[str, ...]:
    if isinstance(module, nn.BatchNorm2d) and module.track_running_stats:
        return ("running_mean", "running_var")
    return ("scores", "scores_before") if isinstance(module, CountedLeaves) else ()
