"""Comparing gradients: the relative error of two arrays, and the derivative from differences."""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from foolscope.reference.layer import Array

__all__ = ["central_differences", "difference_step", "relative_error"]


def relative_error(first: Array, second: Array) -> float:
    """Return the largest difference in units of the largest number: max|a − b| / max(max|a|, max|b|).

    The scale is the whole array's, not each number's own, for a gradient that cancels to about zero has no
    relative precision left. Two arrays of zeros agree; an array with a number that is not finite agrees with
    nothing.

    Returns:
        At least 0, at most 2; infinity where a number is not finite.

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> relative_error(np.array([100.0, 1.0]), np.array([99.0, 1.0]))
        0.01
    """
    if first.shape != second.shape:
        raise ValueError(f"only arrays of one shape can be compared; got {first.shape} and {second.shape}")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        return math.inf
    scale = max(float(np.abs(first).max(initial=0.0)), float(np.abs(second).max(initial=0.0)))
    return float(np.abs(first - second).max() / scale) if scale else 0.0


def difference_step(dtype: np.dtype[np.floating]) -> float:
    """Return the step at which rounding and curvature cost a central difference about the same: ∛(machine ε).

    A difference over 2h carries rounding of about ε / h and misses h² times a third of half the third
    derivative; for functions and derivatives of order one the sum is least near h = ∛ε.

    Example:
        >>> [f"{difference_step(np.dtype(name)):.1e}" for name in ("float64", "float32")]
        ['6.1e-06', '4.9e-03']
    """
    return math.cbrt(np.finfo(dtype).eps)


def central_differences(
    function: Callable[[Array], float], point: Float[np.ndarray, "*shape"], step: float | None = None
) -> Float[np.ndarray, "*shape"]:
    """Estimate the gradient of a function of many numbers: (f(x + h e_i) − f(x − h e_i)) / 2h for every i.

    The step h is that of numbers up to 1, and relative to larger ones; by default :func:`difference_step`.
    The point x is not changed; the function must not keep the array that it gets.

    Example:
        >>> central_differences(lambda x: float((x**2).sum()), np.array([1.0, -2.0])).round(6)
        array([ 2., -4.])
    """
    base = difference_step(point.dtype) if step is None else step
    moved, gradient = point.copy(), np.empty_like(point)
    for index in np.ndindex(point.shape):
        size = base * max(1.0, abs(float(point[index])))
        values, places = [], []
        for sign in (1, -1):
            moved[index] = point[index] + sign * size
            places.append(float(moved[index]))  # as rounded, for the true distance
            values.append(function(moved))
        moved[index] = point[index]
        gradient[index] = (values[0] - values[1]) / (places[0] - places[1])
    return gradient
