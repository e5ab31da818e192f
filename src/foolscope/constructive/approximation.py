"""A network with stated weights that is within epsilon of a function: no training, a guarantee."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from foolscope.constructive.functions import ApproximationError, Function
from foolscope.constructive.measuring import sup_error
from foolscope.constructive.networks import CornerNetwork, cell_values, staircase
from foolscope.constructive.partition import LEAST_SHARPNESS, cells_for, guarantee

__all__ = ["MOST_UNITS", "SHARPNESS", "Approximation", "approximate"]

SHARPNESS = 20.0
"""Steepness times cell width by default: finite steepness then costs 8e-9 of the error, at most one cell."""

MOST_UNITS = 4_000_000

_MOST_SHARPNESS = 100.0
_ATTEMPTS = 4
_TOLERANCE = 1e-9  # of a difference of values: what the function's own rounding may add to its slope


@dataclass(frozen=True)
class Approximation:
    """A network that approximates a function, with its guaranteed error bound.

    Args:
        module: from (batch, dimension) to (batch, 1), in the dtype that was asked for.
        function: what it approximates.
        dimension: 1 or 2.
        gradient_bound: t: no partial derivative is larger in size.
        epsilon: what was asked for.
        cells: n, along each side.
        hidden_units: n − 1 on the line, n² − 1 in the plane, 2 (n − 1) of which are steps.
        steepness: w of every step.
        bound: of the sup-norm error, for every function with this gradient bound and these values in the
            cells; at most epsilon. The overlaps of neighbors, the finite steepness and rounding are in it;
            what rounding does within the function itself is not.
        rounding: the part of the bound that is due to rounding.
    """

    module: nn.Module
    function: Function
    dimension: int
    gradient_bound: float
    epsilon: float
    cells: int
    hidden_units: int
    steepness: float
    bound: float
    rounding: float

    def sup_error(self, points_per_cell: int = 8) -> float:
        """Measure the largest error on a grid, which takes time in proportion to points times units.

        Args:
            points_per_cell: along each side; borders of cells are among them, and centers if it is even.
        """
        return sup_error(
            self.module,
            self.function,
            dimension=self.dimension,
            points_per_axis=points_per_cell * self.cells + 1,
            hidden_units=self.hidden_units,
        )


def approximate(
    function: Function,
    gradient_bound: float,
    epsilon: float,
    dimension: int = 1,
    *,
    sharpness: float = SHARPNESS,
    dtype: torch.dtype = torch.float64,
) -> Approximation:
    """Build a network that is within epsilon of a function everywhere on the unit interval or square.

    With n cells along each side, each 1/n wide, and steps of steepness w = q n on their borders,

        max |g − f| ≤ d (t / n) (½ + 2 / (exp(q) − 1)) + rounding ≤ ε,

    for d dimensions and partial derivatives of at most t: proved in
    :mod:`foolscope.constructive.partition`. So n is about t/(2ε) on the line and t/ε in the plane, and the
    hidden units are n − 1 and n² − 1: one for each step, and one for each tower.

    Rounding is bounded by what the weights are: a sum of k terms adds at most k u Σ|terms|, u the unit
    roundoff; an argument w x + b is off by at most 6 u w, which at any point only the nearest steps feel.
    Large steepness itself is harmless: a step moves by 6 u whatever w is. What float32 cannot do is to add up
    many heights: it guarantees t/ε up to some thousands on the line and some hundreds in the plane.

    Args:
        function: from the coordinates, each a float64 tensor (points,) in [0, 1], to the values, (points,).
        gradient_bound: t ≥ 0, for the partial derivative in each coordinate.
        epsilon: ε > 0.
        dimension: 1 for the unit interval, 2 for the unit square.
        sharpness: q, steepness times cell width, in [2 ln 2, 100].
        dtype: of the network, float32 or float64.

    Raises:
        ApproximationError: an argument is out of range, the function returns something else than one finite
            number for each point or is steeper than the gradient bound, more than 4 million hidden units are
            needed, or rounding alone may take up epsilon.

    Example:
        >>> wave = approximate(lambda x: torch.sin(3 * x), gradient_bound=3.0, epsilon=0.1)
        >>> wave.hidden_units, wave.bound <= 0.1, wave.sup_error() <= wave.bound
        (15, True, True)
        >>> ripples = approximate(lambda x, y: torch.sin(3 * x) * y, 3.0, 0.25, dimension=2)
        >>> ripples.hidden_units, ripples.bound <= 0.25, ripples.sup_error() <= ripples.bound
        (168, True, True)

    References:
        Nielsen 2015, *Neural Networks and Deep Learning*, chapter 4, for steps, bumps and towers. There,
        towers are thresholded sums, which leave holes where four of them meet
        (:func:`foolscope.constructive.tower`); here, they add up to one.
    """
    _check(gradient_bound, epsilon, dimension, sharpness, dtype)
    margin = 0.0
    for _ in range(_ATTEMPTS):
        needed = cells_for(gradient_bound, epsilon - margin, dimension, sharpness)
        _check_size(needed, gradient_bound, epsilon, dimension, sharpness)
        cells = int(needed)
        values = cell_values(function, cells, dimension)
        _check_slope(values, gradient_bound)
        steepness = sharpness * cells
        rounding = _rounding(values, gradient_bound, sharpness, dtype)
        bound = guarantee(gradient_bound, cells, dimension, sharpness) + rounding
        if bound <= epsilon:
            build = staircase if dimension == 1 else CornerNetwork
            module = build(values, steepness, dtype)
            units = cells**dimension - 1
            return Approximation(
                module, function, dimension, gradient_bound, epsilon, cells, units, steepness, bound, rounding
            )
        margin = 2.0 * rounding
        if margin >= epsilon:
            break
    advice = "use float64 or raise epsilon" if dtype == torch.float32 else "raise epsilon"
    raise ApproximationError(
        f"epsilon {epsilon:g} is too small for {str(dtype).removeprefix('torch.')}: rounding alone may add up"
        f" to {rounding:.2g} in a network of {cells**dimension - 1:,} units; {advice}"
    )


def _rounding(
    values: Float64[Tensor, "*cells"], gradient_bound: float, sharpness: float, dtype: torch.dtype
) -> float:
    """Bound what rounding adds to the error, to first order in the unit roundoff, for any order of sums.

    A derivative of a sigmoid is at most ¼ and at most exp(−|z|); at any point those of all steps in one
    coordinate add up to at most ½ + 2 / (exp(q) − 1). What they multiply is a difference of neighboring
    values.
    """
    cells, dimension = len(values), values.ndim
    unit, fine = (torch.finfo(each).eps / 2 for each in (dtype, torch.float64))
    differences = [values.diff(dim=axis) for axis in range(dimension)]
    heights = [
        each.flatten() if dimension == 1 else each.select(1 - axis, 0)
        for axis, each in enumerate(differences)
    ]
    if dimension == 2:
        heights.append(differences[0].diff(dim=1).flatten())
    total = sum(float(each.abs().sum()) for each in heights)
    sums = unit * ((dimension * cells + 16) * total + 4 * float(values.abs().max()))
    centers = (
        2 * fine * (dimension * gradient_bound + 2 * sum(float(each.abs().sum()) for each in differences))
    )
    shift = 6 * unit * sharpness * cells
    largest = max(float(each.abs().max()) for each in differences)
    arguments = dimension * largest * (0.5 + 2.0 / math.expm1(sharpness)) * shift * math.exp(shift)
    underflow = 4 * values.numel() * torch.finfo(dtype).tiny
    return sums + centers + arguments + underflow


def _check(
    gradient_bound: float, epsilon: float, dimension: int, sharpness: float, dtype: torch.dtype
) -> None:
    if dimension not in (1, 2):
        raise ApproximationError(f"dimension must be 1 (unit interval) or 2 (unit square); got {dimension}")
    if not 0.0 < epsilon < math.inf:
        raise ApproximationError(f"epsilon must be positive and finite; got {epsilon}")
    if not 0.0 <= gradient_bound < math.inf:
        raise ApproximationError(
            f"gradient_bound must be at least 0 and finite; got {gradient_bound}."
            " Give the largest size of a partial derivative"
        )
    if not LEAST_SHARPNESS <= sharpness <= _MOST_SHARPNESS:
        raise ApproximationError(
            f"sharpness must be in [2 ln 2, {_MOST_SHARPNESS:g}]; got {sharpness}."
            f" {SHARPNESS:g} is the default"
        )
    if dtype not in (torch.float32, torch.float64):
        raise ApproximationError(f"dtype must be torch.float32 or torch.float64; got {dtype}")


def _check_size(
    cells: float, gradient_bound: float, epsilon: float, dimension: int, sharpness: float
) -> None:
    units = math.prod([cells] * dimension) - 1.0  # a power would raise an overflow
    if units > MOST_UNITS:
        most = math.isqrt(MOST_UNITS) if dimension == 2 else MOST_UNITS
        least = guarantee(gradient_bound, most, dimension, sharpness)
        raise ApproximationError(
            f"epsilon {epsilon:g} with gradient_bound {gradient_bound:g} needs {units:.3g} hidden units,"
            f" more than {MOST_UNITS:,}; raise epsilon to about {1.06 * least:.2g}"
        )


def _check_slope(values: Float64[Tensor, "*cells"], gradient_bound: float) -> None:
    """Refuse a gradient bound that the values in neighboring cells already contradict."""
    cells = len(values)
    steepest = max(float(values.diff(dim=axis).abs().max()) for axis in range(values.ndim)) * cells
    slack = _TOLERANCE * (gradient_bound + cells * float(values.abs().max()))
    if steepest > gradient_bound + slack:
        raise ApproximationError(
            f"gradient_bound is {gradient_bound:g}, but the function rises by {steepest:.4g} per unit"
            " between two neighboring cells; give at least that"
        )
