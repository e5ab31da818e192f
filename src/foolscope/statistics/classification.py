"""Scores of a classifier on classes of any size: by class, over all classes, and of its probabilities.

A confusion matrix counts images by true class (row) and predicted class (column). Every function takes any
number of leading axes, one entry per model, and is compared with scikit-learn's in the tests. What is not
defined is NaN: the recall of a class without images, say.
"""

from collections.abc import Callable

import numpy as np
import scipy
from jaxtyping import Float, Int, Int64
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "COUNTED",
    "LOWER_IS_BETTER",
    "accuracy",
    "auc_by_class",
    "balanced_accuracy",
    "brier_score",
    "confusion_matrix",
    "f1_by_class",
    "largest_class",
    "log_loss",
    "macro_auc",
    "macro_f1",
    "only_predicted_class",
    "precision_by_class",
    "recall_by_class",
]

Confusion = Int[np.ndarray, "*models true predicted"]
LogProbabilities = Float[np.ndarray, "*models image classes"]
Labels = Int64[np.ndarray, " image"]

_UNEQUAL = 1.5  # a class of more than this many times the average size makes accuracy misleading


def confusion_matrix(
    labels: Labels, predictions: Int[np.ndarray, "*models image"], classes: int
) -> Confusion:
    """Count the images of one or several models by true and predicted class.

    Example:
        >>> confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
        [[1, 1], [0, 1]]
    """
    *models, images = predictions.shape
    several = predictions.reshape(-1, images)
    offsets = np.arange(len(several))[:, None] * classes**2
    counts = np.bincount((offsets + labels * classes + several).ravel(), minlength=len(several) * classes**2)
    return np.asarray(counts.reshape(*models, classes, classes))


def accuracy(confusion: Confusion) -> Float[np.ndarray, "*models"]:
    """Return the share of images that are classified correctly."""
    return _quotient(_correct(confusion).sum(axis=-1), confusion.sum(axis=(-2, -1)))


def recall_by_class(confusion: Confusion) -> Float[np.ndarray, "*models classes"]:
    """Return the share of each class's images that are classified correctly; NaN without images."""
    return _quotient(_correct(confusion), confusion.sum(axis=-1))


def precision_by_class(confusion: Confusion) -> Float[np.ndarray, "*models classes"]:
    """Return the share of correct ones among the images predicted as each class.

    A class that is never predicted has precision 0, as in scikit-learn.
    """
    predicted = confusion.sum(axis=-2)
    return _quotient(_correct(confusion), np.maximum(predicted, 1))


def f1_by_class(confusion: Confusion) -> Float[np.ndarray, "*models classes"]:
    """Return the harmonic mean of precision and recall, F1 = 2 TP / (2 TP + FP + FN), of each class.

    It is NaN for a class that has no images and is never predicted.
    """
    counted = confusion.sum(axis=-1) + confusion.sum(axis=-2)
    return _quotient(2 * _correct(confusion), counted)


def balanced_accuracy(confusion: Confusion) -> Float[np.ndarray, "*models"]:
    """Return the mean recall over the classes that have images: 1/K for whoever predicts one class only.

    References:
        Brodersen et al. 2010, *The balanced accuracy and its posterior distribution*.
    """
    return _mean_over_classes(recall_by_class(confusion))


def macro_f1(confusion: Confusion) -> Float[np.ndarray, "*models"]:
    """Return the mean F1 over the classes that have images or predictions."""
    return _mean_over_classes(f1_by_class(confusion))


def auc_by_class(log_probabilities: LogProbabilities, labels: Labels) -> Float[np.ndarray, "*models classes"]:
    """Return the area under the ROC curve of each class against the rest.

    It is the probability that an image of the class gets a higher probability of the class than an image of
    another class, ties counting one half: AUC = (R − n₊ (n₊ + 1) / 2) / (n₊ n₋), with R the sum of the ranks
    of the n₊ images of the class. With two classes, both have the same. NaN without n₊ or n₋.

    Images are ranked by log-odds, whose order is that of the probabilities, without the ties where these
    round to 1.

    References:
        Hanley and McNeil 1982, *The meaning and use of the area under a ROC curve*.
    """
    *_, images, classes = log_probabilities.shape
    is_own = labels[:, None] == np.arange(classes)
    own = is_own.sum(axis=0)
    ranks = scipy.stats.rankdata(_log_odds(log_probabilities), axis=-2)
    above = np.where(is_own, ranks, 0.0).sum(axis=-2) - own * (own + 1) / 2
    return _quotient(above, own * (images - own))


def macro_auc(log_probabilities: LogProbabilities, labels: Labels) -> Float[np.ndarray, "*models"]:
    """Return the mean of :func:`auc_by_class`, one class against the rest, over the classes that have one."""
    return _mean_over_classes(auc_by_class(log_probabilities, labels))


def log_loss(log_probabilities: LogProbabilities, labels: Labels) -> Float[np.ndarray, "*models"]:
    """Return the mean of −log p_label, in nats."""
    return np.asarray(-_of_label(log_probabilities, labels).mean(axis=-1))


def brier_score(log_probabilities: LogProbabilities, labels: Labels) -> Float[np.ndarray, "*models"]:
    """Return the mean over images of Σ_k (p_k − [k = label])², between 0 and 2.

    The sum runs over all classes, as in Brier's definition; with two classes it is twice the score of the
    positive class alone.

    References:
        Brier 1950, *Verification of forecasts expressed in terms of probability*.
    """
    probabilities = np.exp(log_probabilities)
    squares = np.square(probabilities).sum(axis=-1) - 2 * _of_label(probabilities, labels) + 1
    return np.asarray(squares.mean(axis=-1))


COUNTED: dict[str, Callable[[Confusion], Float[np.ndarray, "*models"]]] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "f1": macro_f1,
}
"""The scores that follow from a confusion matrix; the higher the better."""

LOWER_IS_BETTER = frozenset({"loss", "log_loss", "brier"})
"""The scores of which a low value is good."""


def only_predicted_class(confusion: Int[np.ndarray, "true predicted"]) -> int | None:
    """Return the class that a model predicts for every image, where there are images of several classes.

    Example:
        >>> only_predicted_class(np.array([[20, 0], [1, 0]])), only_predicted_class(np.eye(2, dtype=int))
        (0, None)
    """
    predicted = np.flatnonzero(confusion.sum(axis=0))
    several = np.count_nonzero(confusion.sum(axis=1)) > 1
    return int(predicted[0]) if len(predicted) == 1 and several else None


def largest_class(counts: Int[np.ndarray, " classes"]) -> tuple[int, float] | None:
    """Return the largest class and its share where classes are unequal: above 1.5 times the average size.

    Its share is the accuracy of whoever always predicts it.

    Example:
        >>> largest_class(np.array([60, 3])), largest_class(np.array([10, 9, 11]))
        ((0, 0.9523809523809523), None)
    """
    largest, total = int(counts.argmax()), int(counts.sum())
    if not total or counts[largest] * len(counts) <= _UNEQUAL * total:
        return None
    return largest, float(counts[largest] / total)


def _correct(confusion: Confusion) -> Int[np.ndarray, "*models classes"]:
    return np.asarray(np.diagonal(confusion, axis1=-2, axis2=-1))


def _quotient(counts: ArrayLike, totals: ArrayLike) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(np.asarray(totals) > 0, np.divide(counts, totals), np.nan)


def _mean_over_classes(values: Float[np.ndarray, "*models classes"]) -> Float[np.ndarray, "*models"]:
    defined = np.isfinite(values)
    return _quotient(np.where(defined, values, 0.0).sum(axis=-1), defined.sum(axis=-1))


def _of_label(values: LogProbabilities, labels: Labels) -> Float[np.ndarray, "*models image"]:
    return np.asarray(values[..., np.arange(len(labels)), labels])


def _log_odds(log_probabilities: LogProbabilities) -> LogProbabilities:
    """Return log p_k − log Σ_{j ≠ k} p_j; only the largest p_k can be so near 1 that 1 − p_k would round."""
    largest = log_probabilities.argmax(axis=-1)[..., None]
    others = log_probabilities.copy()
    np.put_along_axis(others, largest, -np.inf, axis=-1)
    with np.errstate(divide="ignore"):  # a probability of 0, or a single class
        rest = np.log1p(-np.exp(np.minimum(others, 0.0)))
        np.put_along_axis(rest, largest, scipy.special.logsumexp(others, axis=-1, keepdims=True), axis=-1)
    return np.asarray(log_probabilities - rest)
