"""An estimate with its standard error: intervals and p values by Student's t, and Holm's adjustment."""

import math
from dataclasses import dataclass, replace

import numpy as np
import scipy
from jaxtyping import Float

__all__ = [
    "Estimate",
    "half_width",
    "holm",
    "holm_levels",
    "interval",
    "mean_estimate",
    "negated",
    "p_above",
    "p_below",
    "p_different",
    "p_equivalent",
    "p_outside",
    "rate_interval",
    "shifted",
    "standard_deviation",
]

_ROUNDING = 1e-12  # differences smaller than this, relative to the numbers compared, are float64 rounding


@dataclass(frozen=True)
class Estimate:
    """A normally distributed estimate whose standard error is itself estimated.

    Args:
        value: the estimate, in the metric's own unit.
        standard_error: its estimated standard deviation; NaN where there are no degrees of freedom.
        degrees_of_freedom: of the standard error, not always whole; 0 for a single seed, which says nothing
            about spread.
        seeds: how many seeds it averages over.
    """

    value: float
    standard_error: float
    degrees_of_freedom: float
    seeds: int


def standard_deviation(
    residuals: Float[np.ndarray, "*values"], degrees_of_freedom: int, scale: float
) -> float:
    """The root of the mean squared residual; exactly 0 where only rounding is left.

    A root below 1e-12 of ``scale``, the size of the values behind the residuals, counts as rounding.
    """
    deviation = math.sqrt(float((residuals**2).sum()) / degrees_of_freedom)
    return 0.0 if deviation <= _ROUNDING * scale else deviation


def mean_estimate(values: Float[np.ndarray, " seed"], *, variance_factor: float = 1.0) -> Estimate:
    """Estimate the expectation of a quantity from one value per seed, with standard error ``sd/√S``.

    Args:
        values: one per seed.
        variance_factor: by how much the variance of the mean exceeds that of independent values; see
            :func:`foolscope.statistics.curves.turning_estimate`.

    Returns:
        The mean with ``S - 1`` degrees of freedom; without a standard error for a single seed, or where a
        value is not finite.

    Example:
        >>> mean_estimate(np.array([1.0, 2.0, 3.0])).value
        2.0
    """
    seeds, mean = len(values), float(values.mean())
    if seeds < 2 or not np.isfinite(values).all():
        return Estimate(mean, math.nan, 0, seeds)
    deviation = standard_deviation(values - mean, seeds - 1, scale=float(np.abs(values).max()))
    return Estimate(mean, deviation / math.sqrt(seeds / variance_factor), seeds - 1, seeds)


def shifted(estimate: Estimate, by: float) -> Estimate:
    """The same estimate of a quantity that lies ``by`` higher; exactly 0 where only rounding is left."""
    value = estimate.value + by
    if abs(value) <= _ROUNDING * max(abs(estimate.value), abs(by)):
        value = 0.0
    return replace(estimate, value=value)


def negated(estimate: Estimate) -> Estimate:
    """The estimate of the same quantity with its sign reversed."""
    return replace(estimate, value=-estimate.value)


def interval(estimate: Estimate, confidence: float = 0.95) -> tuple[float, float]:
    """The two-sided t interval, ``value ± t(1 - (1 - confidence)/2; df) · standard_error``.

    Returns:
        Lower and upper end; minus and plus infinity for a single seed.

    Example:
        >>> low, high = interval(Estimate(0.5, standard_error=0.1, degrees_of_freedom=4, seeds=5))
        >>> round(low, 3), round(high, 3)
        (0.222, 0.778)
    """
    half = half_width(estimate, confidence)
    return estimate.value - half, estimate.value + half


def half_width(estimate: Estimate, confidence: float = 0.95) -> float:
    """Half the length of :func:`interval`; infinite for a single seed."""
    if estimate.degrees_of_freedom == 0:
        return math.inf
    return (
        float(scipy.special.stdtrit(estimate.degrees_of_freedom, (1 + confidence) / 2))
        * estimate.standard_error
    )


def p_below(estimate: Estimate, bound: float) -> float:
    """One-sided p value of "the true value is at least ``bound``"; small means it lies below.

    ``P(T ≤ (value - bound)/standard_error)``. Without any spread between seeds the p value is 0 or 1, which
    :func:`foolscope.statistics.doubts.estimate_doubts` points out; with a single seed it is 1.

    Example:
        >>> round(p_below(Estimate(0.5, 0.1, 4, 5), bound=0.8), 3)
        0.02
    """
    if estimate.degrees_of_freedom == 0:
        return 1.0
    gap = shifted(estimate, -bound).value
    if estimate.standard_error == 0:
        return 0.0 if gap < 0 else 1.0
    return float(scipy.special.stdtr(estimate.degrees_of_freedom, gap / estimate.standard_error))


def p_above(estimate: Estimate, bound: float) -> float:
    """One-sided p value of "the true value is at most ``bound``"; the mirror image of :func:`p_below`."""
    return p_below(negated(estimate), -bound)


def p_different(estimate: Estimate) -> float:
    """Two-sided p value of "the true value is 0"."""
    return min(1.0, 2 * min(p_below(estimate, 0.0), p_above(estimate, 0.0)))


def p_equivalent(estimate: Estimate, margin: float) -> float:
    """P value of "the true value is ``margin`` or more away from 0"; small means it is not.

    Two one-sided tests: the larger of the two p values. It is below α exactly if the ``1 - 2α`` interval lies
    inside ``±margin``.

    References:
        Schuirmann (1987), "A comparison of the two one-sided tests procedure and the power approach", J.
        Pharmacokinetics and Biopharmaceutics 15, 657-680.

    Example:
        >>> round(p_equivalent(Estimate(0.1, 0.1, 4, 5), margin=0.5), 3)
        0.008
    """
    return max(p_below(estimate, margin), p_above(estimate, -margin))


def p_outside(estimate: Estimate, margin: float) -> float:
    """P value of "the true value lies within ``±margin``"; below α if the ``1 - α`` interval is outside."""
    return min(1.0, 2 * min(p_above(estimate, margin), p_below(estimate, -margin)))


def rate_interval(count: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """The exact interval of a probability, from how often something happened.

    References:
        Clopper and Pearson (1934), "The use of confidence or fiducial limits illustrated in the case of the
        binomial", Biometrika 26, 404-413.

    Example:
        >>> low, high = rate_interval(1, 5)
        >>> round(low, 3), round(high, 3)
        (0.005, 0.716)
    """
    tail = (1 - confidence) / 2
    low = 0.0 if count == 0 else float(scipy.special.betaincinv(count, trials - count + 1, tail))
    high = 1.0 if count == trials else float(scipy.special.betaincinv(count + 1, trials - count, 1 - tail))
    return low, high


def holm(p_values: Float[np.ndarray, " tests"]) -> Float[np.ndarray, " tests"]:
    """Adjust p values by Holm: rejecting where they are below α keeps the family-wise error at α.

    With the p values in ascending order, ``adjusted(i) = max over j ≤ i of min(1, (m - j + 1) p(j))``. The
    tests need not be independent. The adjusted p values are in the order given.

    References:
        Holm (1979), "A simple sequentially rejective multiple test procedure", Scand. J. Statistics 6, 65-70.

    Example:
        >>> holm(np.array([0.01, 0.04, 0.03])).round(2).tolist()
        [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    steps = np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.maximum.accumulate(np.minimum(1.0, p_values[order] * steps))
    return adjusted


def holm_levels(p_values: Float[np.ndarray, " tests"], alpha: float) -> Float[np.ndarray, " tests"]:
    """The level that Holm's procedure asks of each p value in its present rank, ``alpha / (m - rank + 1)``.

    For planning: what each p value has to reach if the others stay as they are.

    Example:
        >>> holm_levels(np.array([0.01, 0.04, 0.03]), alpha=0.06).round(3).tolist()
        [0.02, 0.06, 0.03]
    """
    levels = np.empty(len(p_values))
    levels[np.argsort(p_values, kind="stable")] = alpha / np.arange(len(p_values), 0, -1)
    return levels
