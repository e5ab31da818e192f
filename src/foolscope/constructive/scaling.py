"""How many hidden units an error costs, with stated weights and with trained ones."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, Int64
from numpy import ndarray

from foolscope.constructive.approximation import approximate
from foolscope.constructive.functions import ApproximationError, Target
from foolscope.constructive.measuring import sup_error
from foolscope.constructive.trained import TRAINING_STEPS, train_network
from foolscope.core.randomness import torch_generator

__all__ = ["Scaling", "fitted_slope", "scaling"]


@dataclass(frozen=True)
class Scaling:
    """Hidden units and sup-norm errors of several functions at several ratios t/ε.

    Args:
        names: of the functions.
        dimension: of them all, 1 or 2.
        gradient_bounds: t of each function.
        ratios: t/ε that the constructions were asked for.
        units: hidden units that the construction needed.
        bounds: that were guaranteed.
        errors: that were measured of the constructions.
        sizes: hidden units of the trained networks, ascending: every number that a construction needed, and
            the halves, quarters, … of the least of them.
        trained_errors: that were measured of the trained networks, one for each seed.
    """

    names: tuple[str, ...]
    dimension: int
    gradient_bounds: Float64[ndarray, " functions"]
    ratios: Float64[ndarray, " ratios"]
    units: Int64[ndarray, "functions ratios"]
    bounds: Float64[ndarray, "functions ratios"]
    errors: Float64[ndarray, "functions ratios"]
    sizes: Int64[ndarray, " sizes"]
    trained_errors: Float64[ndarray, "functions sizes seeds"]

    @property
    def reached(self) -> Float64[ndarray, "functions ratios"]:
        """What the construction reached: t over its measured error."""
        return _ratio(self.gradient_bounds, self.errors)

    @property
    def slope(self) -> float:
        """Slope of the construction's units against t over the measured error, both logarithmic."""
        return fitted_slope(self.reached, self.units)

    @property
    def typical_errors(self) -> Float64[ndarray, "functions sizes"]:
        """Median error over the seeds of the trained networks."""
        return np.asarray(np.median(self.trained_errors, axis=2), dtype=np.float64)

    @property
    def trained_reached(self) -> Float64[ndarray, "functions sizes"]:
        """What the trained networks reached: t over their error."""
        return _ratio(self.gradient_bounds, self.typical_errors)

    @property
    def fewest_trained(self) -> Float64[ndarray, "functions ratios"]:
        """The smallest trained network that is at least as good as the construction; not-a-number if none."""
        good = self.typical_errors[:, None, :] <= self.errors[:, :, None]
        fewest = np.where(good, self.sizes.astype(np.float64), np.inf).min(axis=2)
        return np.where(np.isfinite(fewest), fewest, np.nan)

    @property
    def as_many_trained(self) -> Float64[ndarray, "functions ratios"]:
        """The error of the trained network with as many units as the construction."""
        return np.take_along_axis(self.typical_errors, np.searchsorted(self.sizes, self.units), axis=1)

    @property
    def sentence(self) -> str:
        """A sentence on which needs fewer units for the same sup-norm error."""
        place = "on the line" if self.dimension == 1 else "in the plane"
        cases, share = self.units.size, self.fewest_trained / self.units
        fewer, nearer = share < 1.0, self.as_many_trained < self.errors
        words = (
            f"For the same sup-norm error {place}, a trained network needed fewer units than a "
            f"constructed one in {int(fewer.sum())} of {cases} cases"
        )
        if fewer.any():
            words += f", {float(np.median(share[fewer])):.0%} as many in their median"
        return f"{words}; with as many units its error was smaller in {int(nearer.sum())}."


def _ratio(
    gradient_bounds: Float64[ndarray, " functions"], errors: Float64[ndarray, "functions ratios"]
) -> Float64[ndarray, "functions ratios"]:
    return np.asarray(gradient_bounds[:, None] / errors, dtype=np.float64)


def fitted_slope(
    reached: Float64[ndarray, "functions ratios"], units: Int64[ndarray, "functions ratios"]
) -> float:
    """Fit log units = slope · log reached + a constant of each function, by least squares.

    Example:
        >>> fitted_slope(np.array([[1.0, 2.0, 4.0]]), np.array([[3, 12, 48]]))
        2.0
    """
    across, up = np.log(reached), np.log(units)
    across = across - across.mean(axis=1, keepdims=True)
    up = up - up.mean(axis=1, keepdims=True)
    return float((across * up).sum() / (across * across).sum())


def scaling(
    functions: Sequence[Target],
    ratios: Sequence[float],
    *,
    seed: int = 0,
    seeds: int = 3,
    training_steps: int = TRAINING_STEPS,
) -> Scaling:
    """Approximate each function at each ratio t/ε, and train networks with as many or fewer units.

    Args:
        functions: at least one, all of the same dimension and with a positive gradient bound.
        ratios: t/ε, at least two different ones, each more than 4 so that there is something to fit.
        seed: what the initial weights of the trained networks are derived from.
        seeds: trained networks of each size, at least 1.
        training_steps: of Adam.

    Raises:
        ApproximationError: an argument is out of range, or a construction is impossible.
    """
    _check(functions, ratios, seeds, training_steps)
    shape, dimension = (len(functions), len(ratios)), functions[0].dimension
    units, bounds, errors = np.zeros(shape, dtype=np.int64), np.zeros(shape), np.zeros(shape)
    for row, column in np.ndindex(shape):
        target = functions[row]
        built = approximate(
            target.function, target.gradient_bound, target.gradient_bound / ratios[column], dimension
        )
        units[row, column], bounds[row, column] = built.hidden_units, built.bound
        errors[row, column] = built.sup_error()
    sizes = _sizes(units)
    trained = np.zeros((len(functions), len(sizes), seeds))
    for row, column, number in np.ndindex(trained.shape):
        generator = torch_generator(seed, "approximation", functions[row].name, int(sizes[column]), number)
        trained[row, column, number] = _trained_error(
            functions[row], int(sizes[column]), generator, training_steps
        )
    return Scaling(
        tuple(target.name for target in functions),
        dimension,
        np.array([target.gradient_bound for target in functions], dtype=np.float64),
        np.array(ratios, dtype=np.float64),
        units,
        bounds,
        errors,
        sizes,
        trained,
    )


def _sizes(units: Int64[ndarray, "functions ratios"]) -> Int64[ndarray, " sizes"]:
    """Return all numbers of units, and the halves, quarters, … of the smallest."""
    sizes = set(units.ravel().tolist())
    least = min(sizes)
    while least > 1:
        least //= 2
        sizes.add(least)
    return np.array(sorted(sizes), dtype=np.int64)


def _trained_error(target: Target, size: int, generator: torch.Generator, training_steps: int) -> float:
    """Train a network and measure it on eight points for each cell of a construction of its size."""
    network = train_network(
        target.function, size, target.dimension, generator=generator, training_steps=training_steps
    )
    cells = math.isqrt(size) + 1 if target.dimension == 2 else size + 1
    return sup_error(
        network,
        target.function,
        dimension=target.dimension,
        points_per_axis=max(8 * cells, _LEAST_POINTS[target.dimension]) + 1,
        hidden_units=size,
    )


_LEAST_POINTS = {1: 1024, 2: 128}


def _check(functions: Sequence[Target], ratios: Sequence[float], seeds: int, training_steps: int) -> None:
    dimensions = sorted({target.dimension for target in functions})
    if len(dimensions) != 1:
        raise ApproximationError(f"scaling needs functions of one dimension; got dimensions {dimensions}")
    flat = [target.name for target in functions if not target.gradient_bound > 0]
    if flat:
        raise ApproximationError(f"scaling needs positive gradient bounds; that of {flat[0]!r} is not")
    if len(set(ratios)) < 2 or min(ratios) <= 4:
        raise ApproximationError(
            f"scaling needs at least two different ratios t/epsilon above 4; got {list(ratios)}"
        )
    if min(seeds, training_steps) < 1:
        raise ApproximationError(
            f"seeds and training_steps must be at least 1; got {seeds} and {training_steps}"
        )
