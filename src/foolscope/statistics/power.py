"""How large an effect would have been found, and how many more seeds would decide."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import numpy as np
import scipy
from jaxtyping import Float

from foolscope.statistics.estimate import Estimate

__all__ = [
    "MOST_SEEDS",
    "minimum_detectable_effect",
    "more_seeds",
    "power_above",
    "power_decided",
    "power_equivalent",
    "power_outside",
]

MOST_SEEDS = 1000  # more additional seeds than this are not worth counting exactly

_Array = Float[np.ndarray, "..."]
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)


def power_above(truth: Estimate, bound: float, alpha: float) -> float:
    """How often a one-sided t test would find this estimate above ``bound``, if it were the truth.

    ``P(T' > t(1 - α))``, T' noncentral t with noncentrality ``(value - bound) / standard_error``.

    References:
        Cohen (1988), *Statistical Power Analysis for the Behavioral Sciences*, section 2.5; statsmodels' and
        R's ``power.t.test`` compute the same.

    Example:
        >>> round(power_above(Estimate(1.0, 0.3, 8, 9), bound=0.0, alpha=0.025), 3)
        0.83
    """
    freedom = truth.degrees_of_freedom
    effect = (truth.value - bound) / truth.standard_error
    critical = float(scipy.special.stdtrit(freedom, 1 - alpha))
    return _mean_over_spread(
        lambda u: scipy.special.ndtr(effect - critical * u), freedom, (effect / critical,), 1 / critical
    )


def power_equivalent(truth: Estimate, margin: float, alpha: float) -> float:
    """How often two one-sided tests would find this estimate within ``±margin``, if it were the truth.

    With u the ratio of the estimated to the true standard error σ, the average over u of
    ``max(0, Φ((m - θ)/σ - t u) - Φ(-(m + θ)/σ + t u))``; exact, the same as Owen's Q functions.

    References:
        Phillips (1990), "Power of the two one-sided tests procedure in bioequivalence", J. Pharmacokinetics
        and Biopharmaceutics 18, 137-144.

    Example:
        >>> round(power_equivalent(Estimate(0.0, 0.15, 20, 6), margin=0.5, alpha=0.05), 3)
        0.884
    """
    freedom = truth.degrees_of_freedom
    high, low = (margin - truth.value) / truth.standard_error, (margin + truth.value) / truth.standard_error
    critical = float(scipy.special.stdtrit(freedom, 1 - alpha))

    def decided(u: _Array) -> _Array:
        return np.maximum(
            0.0, scipy.special.ndtr(high - critical * u) - scipy.special.ndtr(critical * u - low)
        )

    turns = (high / critical, low / critical, (high + low) / (2 * critical))
    return _mean_over_spread(decided, freedom, turns, 1 / critical)


def power_decided(truth: Estimate, margin: float, alpha_different: float, alpha_equivalent: float) -> float:
    """How often the t test, or else two one-sided tests, would decide, if this were the truth.

    Undecided are the estimates too small to be different and too large to be equivalent,
    ``margin - t_equivalent u σ ≤ |estimate| ≤ t_different u σ``.

    Returns:
        A probability, at least that of either alone and at most their sum.
    """
    freedom, effect = truth.degrees_of_freedom, truth.value / truth.standard_error
    reach = margin / truth.standard_error
    different = float(scipy.special.stdtrit(freedom, 1 - alpha_different / 2))
    equivalent = float(scipy.special.stdtrit(freedom, 1 - alpha_equivalent))

    def decided(u: _Array) -> _Array:
        outer = different * u
        inner = np.minimum(np.maximum(0.0, reach - equivalent * u), outer)
        above = scipy.special.ndtr(outer - effect) - scipy.special.ndtr(inner - effect)
        below = scipy.special.ndtr(-inner - effect) - scipy.special.ndtr(-outer - effect)
        return 1.0 - above - below

    turns = (
        abs(effect) / different,
        abs(reach - abs(effect)) / equivalent,
        reach / equivalent,
        reach / (different + equivalent),
    )
    return _mean_over_spread(decided, freedom, turns, 1 / min(different, equivalent))


def power_outside(truth: Estimate, margin: float, alpha: float) -> float:
    """How often the ``1 - alpha`` interval would lie on the far side of ``±margin``, if this were the truth.

    An interval beyond the wrong end, which is far rarer, is not counted.
    """
    upper = replace(truth, value=abs(truth.value))
    return power_above(upper, margin, alpha / 2)


def minimum_detectable_effect(estimate: Estimate, alpha: float, power: float = 0.8) -> float:
    """The smallest true effect that a two-sided t test finds with the given power.

    Only the standard error and the degrees of freedom of the estimate matter, not its value.

    Returns:
        The effect, in the estimate's unit; infinite for a single seed.

    Example:
        >>> round(minimum_detectable_effect(Estimate(0.0, 0.3, 8, 9), alpha=0.05), 3)
        0.96
    """
    if estimate.degrees_of_freedom == 0:
        return math.inf
    # Rounded, so that many contrasts with nearly the same freedom are solved once.
    freedom = float(f"{estimate.degrees_of_freedom:.2g}")
    return _noncentrality(freedom, alpha, power) * estimate.standard_error


def more_seeds(estimate: Estimate, decides: Callable[[Estimate], float], power: float = 0.8) -> int | None:
    """How many seeds more would decide, if the present estimate and spread were the truth.

    The standard error goes with ``1/√S`` and the degrees of freedom with ``S - 1``. The answer is a rough
    guide: where the present estimate decides nothing, it is too imprecise to plan from exactly. ``decides``
    is the probability of a decision if the given estimate were the truth; it must rise with the seeds.

    Returns:
        The smallest number, at least 1; None if it is more than :data:`MOST_SEEDS`, or cannot be known (a
        single seed).

    Example:
        >>> more_seeds(Estimate(0.5, 0.3, 4, 5), lambda truth: power_above(truth, 0.0, 0.025))
        12
    """
    if estimate.seeds < 2 or not estimate.standard_error > 0:
        return None

    def enough(more: int) -> bool:
        return decides(_with_seeds(estimate, estimate.seeds + more)) >= power

    high = 1
    while not enough(high):
        if high == MOST_SEEDS:
            return None
        high = min(2 * high, MOST_SEEDS)
    low = high // 2  # not enough, or 0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _with_seeds(estimate: Estimate, seeds: int) -> Estimate:
    error = estimate.standard_error * math.sqrt(estimate.seeds / seeds)
    freedom = estimate.degrees_of_freedom / (estimate.seeds - 1) * (seeds - 1)
    return Estimate(estimate.value, error, freedom, seeds)


def _power_two_sided(effect: float, freedom: float, alpha: float) -> float:
    critical = float(scipy.special.stdtrit(freedom, 1 - alpha / 2))
    return _mean_over_spread(
        lambda u: scipy.special.ndtr(effect - critical * u) + scipy.special.ndtr(-effect - critical * u),
        freedom,
        (effect / critical,),
        1 / critical,
    )


@lru_cache(maxsize=1024)
def _noncentrality(freedom: float, alpha: float, power: float) -> float:
    high = 1.0
    while _power_two_sided(high, freedom, alpha) < power:
        high *= 2
    return float(
        scipy.optimize.brentq(
            lambda effect: _power_two_sided(effect, freedom, alpha) - power, 0.0, high, xtol=1e-10
        )
    )


def _mean_over_spread(
    function: Callable[[_Array], _Array], freedom: float, turns: tuple[float, ...], width: float
) -> float:
    """Average over the ratio u of an estimated to the true deviation, ``freedom · u² ~ χ²(freedom)``.

    scipy's noncentral t is NaN for some ordinary arguments (1.17: cdf(-2.78, 4, 10)), and of two one-sided
    tests it has no distribution. One quadrature does for all: Gauss-Legendre panels, broken around the
    ``turns``, where the function changes over a few ``width``.
    """
    half = freedom / 2
    low = math.sqrt(float(scipy.special.gammaincinv(half, 1e-14)) / half)
    high = math.sqrt(float(scipy.special.gammainccinv(half, 1e-14)) / half)
    breaks = {low, high, 1.0}
    for turn in turns:
        breaks.update(min(max(turn + offset * width, low), high) for offset in (-8.0, 0.0, 8.0))
    edges = np.array(sorted(breaks))
    starts, lengths = edges[:-1, None], np.diff(edges)[:, None]
    u = starts + lengths * (_NODES + 1) / 2  # (panel, node)
    log_density = math.log(2) + half * math.log(half) - float(scipy.special.gammaln(half))
    density = np.exp(log_density + (freedom - 1) * np.log(u) - half * u**2)
    return min(1.0, float(np.sum(lengths / 2 * _WEIGHTS * density * function(u))))
