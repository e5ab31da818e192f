r"""How many seeds would decide: the chance of a decision over what the true effect and spread may still be.

Planning as if the estimate were the truth promises too much or too little: an effect that is undecided
because it was underestimated, or a spread that came out too small by chance, are as likely as the reverse. So
effect and spread are drawn from what the seeds so far leave open, further seeds are drawn given them, and the
chance of a decision is the share of draws that are decided (the *assurance*; O'Hagan, Stevens and Campbell
2005).

The distribution of true effects before the first seed is stated: normal around 0, with a standard deviation
of κ standard deviations σ of a paired difference; and ``p(σ²) ∝ 1/σ²``. After n seeds with mean m and
variance s²,

.. math::
    \sigma^2 \sim \frac{(n - 1) s^2 + m^2 / (\kappa^2 + 1/n)}{\chi^2_n}, \qquad
    \mu \mid \sigma \sim N\!\left(w m,\; w \sigma^2 / n\right), \qquad w = \frac{\kappa^2}{\kappa^2 + 1/n}

References:
    O'Hagan, Stevens and Campbell 2005, *Assurance in clinical trial design*, Pharmaceutical Statistics 4;
    Gelman et al., *Bayesian Data Analysis*, section 3.3 (the normal model with a conjugate prior).
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float

__all__ = ["EFFECTS_SCALE", "Decides", "further_seeds", "plausible_truths"]

EFFECTS_SCALE = 1.0
"""κ: standard deviation of the true effects, in standard deviations of a paired difference."""

_CHANCES = (0.5, 0.8)
_DRAWS = 1000
_HORIZONS = (30, 200)

Decides = Callable[[Float[np.ndarray, "draw seed"]], Bool[np.ndarray, "draw seeds_used"]]
"""Says of paired differences whether their first 2, 3, ... would decide."""


def plausible_truths(
    differences: Float[np.ndarray, " seed"],
    draws: int,
    generator: np.random.Generator,
    effects_scale: float = EFFECTS_SCALE,
) -> tuple[Float[np.ndarray, " draw"], Float[np.ndarray, " draw"]]:
    """Draw true effects, and standard deviations of a paired difference, given those so far.

    Args:
        differences: one per seed, at least two.
        draws: how many.
        generator: of the draws.
        effects_scale: κ.
    """
    n, mean, variance = len(differences), float(differences.mean()), float(differences.var(ddof=1))
    squares = (n - 1) * variance + mean**2 / (effects_scale**2 + 1 / n)
    deviations = np.sqrt(squares / generator.chisquare(n, draws))
    weight = effects_scale**2 / (effects_scale**2 + 1 / n)
    effects = weight * mean + deviations * np.sqrt(weight / n) * generator.standard_normal(draws)
    return effects, deviations


def further_seeds(
    differences: Float[np.ndarray, " seed"],
    decides: Decides,
    generator: np.random.Generator,
    *,
    effects_scale: float = EFFECTS_SCALE,
) -> tuple[int | None, int | None]:
    """How many more seeds would decide with a chance of one in two, and of four in five.

    Args:
        differences: paired differences so far, one per seed; at least two, not all the same.
        decides: says of paired differences whether their first 2, 3, ... would decide.
        generator: of the draws.
        effects_scale: κ, the width of the distribution of true effects that is assumed.

    Returns:
        Two numbers, each None if it is more than 200, or cannot be known (a single seed, no scatter).

    Example:
        >>> from foolscope.statistics.sequential import running_moments
        >>> def beyond_two_errors(differences):
        ...     moments = running_moments(differences)
        ...     return abs(moments.means) > 2 * moments.errors
        >>> further_seeds(np.array([0.1, 0.9, 0.3, -0.2]), beyond_two_errors, np.random.default_rng(0))
        (8, 104)
    """
    n = len(differences)
    if n < 2 or not differences.std() > 0:
        return None, None
    for horizon in _HORIZONS:
        effects, deviations = plausible_truths(differences, _DRAWS, generator, effects_scale)
        new = effects[:, None] + deviations[:, None] * generator.standard_normal((_DRAWS, horizon))
        every = np.concatenate([np.broadcast_to(differences, (_DRAWS, n)), new], axis=1)
        shares = decides(every).mean(axis=0)[n - 1 :]  # with 1, 2, ... more
        found = [_nearest(shares, chance) for chance in _CHANCES]
        if found[-1] is not None:
            break
    return found[0], found[1]


def _nearest(shares: Float[np.ndarray, " seed"], chance: float) -> int | None:
    """Return the first number to reach a chance, or the one before it if that is nearer."""
    if not (shares >= chance).any():
        return None
    first = int((shares >= chance).argmax())
    is_before_nearer = first > 0 and chance - shares[first - 1] < shares[first] - chance
    return first if is_before_nearer else first + 1
