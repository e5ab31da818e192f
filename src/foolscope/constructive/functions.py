"""Functions to approximate: their interface, and examples with known gradient bounds."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from foolscope.core.errors import FoolscopeError

__all__ = ["EXAMPLES", "ApproximationError", "Function", "Target", "values_at"]

Function = Callable[..., Tensor]
"""From the coordinates, each a tensor (points,) in [0, 1], to the values, (points,)."""


class ApproximationError(FoolscopeError, ValueError):
    """A function, gradient bound or epsilon for which no network of a reasonable size exists."""


@dataclass(frozen=True)
class Target:
    """A function on the unit interval or the unit square, with a bound on its gradient.

    Args:
        name: in words.
        function: from the coordinates, each (points,), to the values, (points,).
        gradient_bound: t: no partial derivative is larger in size.
        dimension: 1 or 2.
    """

    name: str
    function: Function
    gradient_bound: float
    dimension: int


EXAMPLES: tuple[Target, ...] = (
    Target("two waves", lambda x: torch.sin(9 * x) / 2 + torch.sin(20 * x) / 5, 8.5, 1),
    Target("kink", lambda x: (x - 1 / math.pi).abs(), 1.0, 1),
    Target("slope", lambda x: torch.tanh(6 * (x - 0.6)), 6.0, 1),
    Target("ripples", lambda x, y: torch.sin(5 * (x + y)) / 2, 2.5, 2),
    Target("pyramid", lambda x, y: 1 - (x - 1 / math.pi).abs() - (y - 1 / math.e).abs(), 1.0, 2),
    Target("hill", lambda x, y: torch.exp(-4 * ((x - 0.6) ** 2 + (y - 0.4) ** 2)), 1.716, 2),
)
"""The functions of the scaling figure; the gradient bounds are rounded upwards."""


def values_at(function: Function, points: Float64[Tensor, "points dimension"]) -> Float64[Tensor, " points"]:
    """Return the function's values at some points.

    Raises:
        ApproximationError: it returns something else than one finite number for each point.
    """
    values = torch.as_tensor(function(*points.unbind(dim=1)))
    if values.shape != points.shape[:1]:
        raise ApproximationError(
            f"the function must return one value for each of {len(points)} points, of shape ({len(points)},);"
            f" got shape {tuple(values.shape)}. Compute with tensors, elementwise"
        )
    values = values.double()
    wrong = (~values.isfinite()).nonzero()
    if len(wrong):
        place = ", ".join(f"{coordinate:.6g}" for coordinate in points[int(wrong[0])].tolist())
        domain = "interval" if points.shape[1] == 1 else "square"
        raise ApproximationError(
            f"the function must be finite on the whole unit {domain};"
            f" got {float(values[int(wrong[0])])} at ({place})"
        )
    return values
