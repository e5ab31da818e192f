"""Curves of several seeds: where they turn, and how far they have come since."""

import numpy as np
from jaxtyping import Float, Int

from foolscope.statistics.estimate import Estimate, mean_estimate

__all__ = ["changes_since", "turning_epochs", "turning_estimate"]


def turning_epochs(curves: Float[np.ndarray, "seed epoch"]) -> Int[np.ndarray, " seed"]:
    r"""Choose for every seed the epoch at which the *other* seeds' mean is lowest.

    .. math:: m_i = \arg\min_e \sum_{j \ne i} y_{je}

    A seed's own minimum would not do: ``last - own minimum`` is never negative, and on a level curve it is
    positive by as much as the curve fluctuates, so that every curve would "turn upwards". The other seeds
    know nothing of this seed's fluctuations: where the expected curve is level, the expectation of ``y_iE -
    y_im`` is 0.

    Returns:
        Positions along the epochs, from 0; the first of equals.
    """
    others = curves.sum(axis=0) - curves
    return np.asarray(np.argmin(others, axis=1))


def changes_since(
    curves: Float[np.ndarray, "seed epoch"], epochs: Int[np.ndarray, " seed"]
) -> Float[np.ndarray, " seed"]:
    """The last value of every curve minus its value at the given epoch, a position from 0."""
    return np.asarray(curves[:, -1] - curves[np.arange(len(curves)), epochs])


def turning_estimate(changes: Float[np.ndarray, " seed"]) -> Estimate:
    r"""Estimate the mean change since the epochs of :func:`turning_epochs`.

    The seeds chose each other's epochs, which makes their changes dependent: the variance of the mean is up
    to twice what their scatter suggests (three times with 20 seeds). It is multiplied by :math:`1 + S/(S -
    1)`, Nadeau and Bengio's correction for estimates that share what was learned from the others. In
    simulations of level curves of pure noise (2 to 20 seeds, 5 to 100 epochs, independent or autocorrelated)
    a turn is then found in at most 4 % of studies.

    References:
        Nadeau and Bengio (2003), "Inference for the generalization error", Machine Learning 52, 239-281,
        section 3.
    """
    seeds = len(changes)
    return mean_estimate(changes, variance_factor=1 + seeds / max(1, seeds - 1))
