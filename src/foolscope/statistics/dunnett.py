"""Comparisons with a common baseline, adjusted for their number: Dunnett's test, stepping down.

Differences from one baseline move together, since the baseline's chance is in all of them, the more so the
noisier it is. Dunnett's procedure knows that, where Holm's and Bonferroni's do not, and rejects more.

References:
    Dunnett (1955), "A multiple comparison procedure for comparing several treatments with a control", JASA
    50, 1096-1121; Marcus, Peritz and Gabriel (1976) for stepping down; Hsu (1996), *Multiple Comparisons*,
    section 3.2, for the one-dimensional integral.
"""

import math
from typing import NamedTuple

import numpy as np
import scipy
from jaxtyping import Float

__all__ = ["Adjusted", "smallest_p", "step_down"]

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(32)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
_POINTS, _LENGTHS = np.polynomial.legendre.leggauss(40)
# Small p values come from estimated variances that happen to be small: the cube puts nodes there.
_SHARES = ((_POINTS + 1) / 2) ** 3
_SHARE_WEIGHTS = _LENGTHS / 2 * 3 * ((_POINTS + 1) / 2) ** 2
_FEW = 20  # remaining comparisons, from which on every step counts the remaining ones anew


class Adjusted(NamedTuple):
    """What adjustment makes of several p values.

    Args:
        p_values: adjusted; rejecting where they are below α keeps the family-wise error at α.
        levels: what the unadjusted p value of each had to fall below at its step. An interval of confidence
            ``1 - level`` excludes 0 exactly where the adjusted p value is below α.
    """

    p_values: Float[np.ndarray, " tests"]
    levels: Float[np.ndarray, " tests"]


def smallest_p(p: float, shared: Float[np.ndarray, " tests"], degrees_of_freedom: float) -> float:
    """How often the smallest of several two-sided p values is below ``p``, if no comparison differs.

    The t statistics have correlations ``√(shared_i shared_j)`` and one estimated variance in common.

    Args:
        p: between 0 and 1.
        shared: of each comparison, the share of the baseline in its variance: 1/2 where all scatter alike.
        degrees_of_freedom: of the variance that the statistics have in common; infinity where each has one of
            its own, so that only the differences move together.

    Example:
        >>> round(smallest_p(0.05, np.full(4, 0.5), 20), 3)  # Bonferroni's bound is 0.2
        0.15
    """
    if len(shared) == 1 or p >= 1:
        return min(1.0, p)
    if math.isinf(degrees_of_freedom):
        weights, reach = np.ones(1), np.array([float(scipy.special.ndtri(1 - p / 2))])
    else:
        critical = float(scipy.special.stdtrit(degrees_of_freedom, 1 - p / 2))
        chi_squared = 2 * scipy.special.gammaincinv(degrees_of_freedom / 2, _SHARES)
        weights, reach = _SHARE_WEIGHTS, critical * np.sqrt(chi_squared / degrees_of_freedom)
    together, counts = np.unique(np.clip(shared, 0.0, 0.99).round(2), return_counts=True)
    inside = np.ones((len(reach), len(_NODES)))
    for share, count in zip(together, counts, strict=True):
        centre, own = np.sqrt(share) * _NODES, np.sqrt(1 - share)
        within = scipy.special.ndtr((reach[:, None] - centre) / own) - scipy.special.ndtr(
            (-reach[:, None] - centre) / own
        )
        inside *= within**count
    return float(np.clip(1 - weights @ inside @ _WEIGHTS, p, min(1.0, len(shared) * p)))


def step_down(
    p_values: Float[np.ndarray, " tests"],
    shared: Float[np.ndarray, " tests"],
    degrees_of_freedom: float,
    alpha: float,
) -> Adjusted:
    """Adjust two-sided p values of comparisons with one baseline.

    The smallest p value is held against the distribution of the smallest of all, the next against that of the
    remaining ones, and so on, until one is not below α. All from there on share that step's level. Of many
    comparisons the remaining ones are counted anew whenever a twentieth of them is gone, which errs on the
    safe side.

    Args:
        p_values: unadjusted.
        shared: see :func:`smallest_p`.
        degrees_of_freedom: see :func:`smallest_p`.
        alpha: family-wise level.

    Example:
        >>> adjusted = step_down(np.array([0.04, 0.001, 0.03]), np.full(3, 0.5), 20, 0.05)
        >>> adjusted.p_values.round(3).tolist(), adjusted.levels.round(4).tolist()
        ([0.055, 0.003, 0.055], [0.0275, 0.0195, 0.0275])
    """
    order = np.argsort(p_values, kind="stable")
    adjusted, levels = np.empty(len(p_values)), np.empty(len(p_values))
    highest, counted = 0.0, len(p_values)
    remaining = shared
    level = _level(alpha, remaining, degrees_of_freedom)
    for step, place in enumerate(order):
        left = len(order) - step
        if left < counted and (left <= _FEW or left <= 0.95 * counted):
            remaining, counted = shared[order[step:]], left
            if highest < alpha:
                level = _level(alpha, remaining, degrees_of_freedom)
        highest = max(highest, smallest_p(float(p_values[place]), remaining, degrees_of_freedom))
        adjusted[place], levels[place] = highest, level
    return Adjusted(adjusted, levels)


def _level(alpha: float, shared: Float[np.ndarray, " tests"], degrees_of_freedom: float) -> float:
    """Return the p value of which :func:`smallest_p` is α."""
    if len(shared) == 1:
        return alpha
    return float(
        scipy.optimize.brentq(
            lambda p: smallest_p(p, shared, degrees_of_freedom) - alpha, alpha / len(shared) / 2, alpha
        )
    )
