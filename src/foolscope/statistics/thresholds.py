"""Where to draw the line between two classes: the threshold at which a score is highest."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int64

__all__ = ["best_offset"]


def best_offset(
    margins: Float[np.ndarray, " image"],
    labels: Int64[np.ndarray, " image"],
    score: Callable[[np.ndarray], np.ndarray],
) -> float:
    """Return the number b for which the predictions [margin + b > 0] score highest.

    All predictions that a threshold can give are tried, by their confusion matrices. Among equals the one
    that moves the threshold least is taken, so it stays at 0 if no other is better.

    Args:
        margins: logit of class 1 minus logit of class 0.
        labels: 0 or 1.
        score: confusion matrices (candidate, true, predicted) to scores, one of
            :data:`~foolscope.statistics.classification.COUNTED`.

    Example:
        >>> from foolscope.statistics.classification import balanced_accuracy
        >>> best_offset(np.array([-5.0, -4.0, -3.0, -1.0]), np.array([0, 0, 0, 1]), balanced_accuracy)
        2.0
    """
    values, places = np.unique(margins, return_inverse=True)
    below = np.concatenate([[values[0] - 1.0], values])
    above = np.concatenate([values, [values[-1] + 1.0]])
    thresholds = np.where((below <= 0) & (above > 0), 0.0, (below + above) / 2)
    by_value = np.stack([np.bincount(places[labels == own], minlength=len(values)) for own in (0, 1)])
    predicted_0 = np.concatenate([np.zeros((2, 1), dtype=np.int64), by_value.cumsum(axis=1)], axis=1)
    predicted_1 = by_value.sum(axis=1, keepdims=True) - predicted_0
    scores = score(np.stack([predicted_0, predicted_1], axis=-1).transpose(1, 0, 2))
    best = np.flatnonzero(scores == scores.max())
    return float(-thresholds[best[np.abs(thresholds[best]).argmin()]])
