"""The sup-norm error of a network on a fine grid, in batches that fit into memory."""

import math

import torch
from torch import nn

from foolscope.constructive.functions import ApproximationError, Function, values_at

__all__ = ["sup_error"]

_BATCH_NUMBERS = 2**21  # activations of hidden units at a time: 16 MB in float64


def sup_error(
    module: nn.Module, function: Function, *, dimension: int, points_per_axis: int, hidden_units: int
) -> float:
    """Return the largest difference of a network and a function on a grid that includes the borders.

    The network gets its points in the dtype and on the device of its weights; the function is taken at the
    very same points, after rounding, in float64.

    Returns:
        The error; infinite if the network's output is not a number somewhere.

    Raises:
        ApproximationError: there are fewer than two points, or the function is not finite at one of them.
    """
    if points_per_axis < 2:
        raise ApproximationError(f"an error is measured on at least 2 points per axis; got {points_per_axis}")
    weight = next(module.parameters())
    axis = torch.linspace(0.0, 1.0, points_per_axis, dtype=torch.float64).to(weight.dtype)
    count, size = points_per_axis**dimension, max(1, _BATCH_NUMBERS // max(1, hidden_units))
    largest = 0.0
    with torch.no_grad():
        for start in range(0, count, size):
            numbers = torch.arange(start, min(start + size, count))
            places = [numbers // points_per_axis**power % points_per_axis for power in range(dimension)]
            points = torch.stack([axis[place] for place in places], dim=1)
            outputs = module(points.to(weight.device)).squeeze(1).double().cpu()
            differences = (outputs - values_at(function, points.double())).abs()
            largest = max(largest, float(differences.nan_to_num(nan=math.inf, posinf=math.inf).max()))
    return largest
