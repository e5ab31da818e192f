"""Whether a model is right as often as it says: reliability by confidence, scores of its probabilities."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

__all__ = ["DEFAULT_BINS", "Calibration", "calibration", "calibration_error_by_chance"]

DEFAULT_BINS = 15


@dataclass(frozen=True)
class Calibration:
    """How confidence and accuracy agree.

    Args:
        counts: of the images in each bin of confidence, all of the same width, from 0 to 1.
        confidences: their mean confidence; not a number in an empty bin.
        accuracies: the share of them that is classified right; likewise.
        expected_error: Σ_m |B_m| / n · |acc(B_m) − conf(B_m)|, which depends on the number of bins.
        mean_confidence: over all images.
        accuracy: over all images.
        negative_log_likelihood: −mean log p_label, in nats.
        brier_score: mean Σ_k (p_k − [k = label])², between 0 and 2.
    """

    counts: Int64[np.ndarray, " bin"]
    confidences: Float64[np.ndarray, " bin"]
    accuracies: Float64[np.ndarray, " bin"]
    expected_error: float
    mean_confidence: float
    accuracy: float
    negative_log_likelihood: float
    brier_score: float


def calibration(
    log_probabilities: Float64[np.ndarray, "image class"],
    labels: Int64[np.ndarray, " image"],
    *,
    bins: int = DEFAULT_BINS,
) -> Calibration:
    """Compare the confidence of predictions, the probability of the likeliest class, with their accuracy.

    Bin m holds the confidences in ((m − 1) / M, m / M].

    Args:
        log_probabilities: of each class, natural logarithms; at least one image.
        labels: of the images.
        bins: M, at least 1.

    Example:
        >>> found = calibration(np.log([[0.9, 0.1], [0.9, 0.1]]), np.array([0, 1]), bins=10)
        >>> round(found.expected_error, 6), round(found.brier_score, 6)
        (0.4, 0.82)

    References:
        Guo et al. 2017, *On calibration of modern neural networks*, arXiv:1706.04599, section 2; 15 bins as
        there. Brier 1950, *Verification of forecasts expressed in terms of probability*.
    """
    probabilities = np.exp(log_probabilities)
    predictions = log_probabilities.argmax(axis=1)
    confidence, right = probabilities.max(axis=1), predictions == labels
    places = _places(confidence, bins)
    counts = np.bincount(places, minlength=bins)
    with np.errstate(invalid="ignore"):
        confidences = np.bincount(places, confidence, bins) / counts
        accuracies = np.bincount(places, right, bins) / counts
    of_label = np.arange(len(labels)), labels
    squares = np.square(probabilities).sum(axis=1) - 2 * probabilities[of_label] + 1
    return Calibration(
        counts,
        confidences,
        accuracies,
        float(np.nansum(counts * np.abs(accuracies - confidences)) / len(labels)),
        float(confidence.mean()),
        float(right.mean()),
        float(-log_probabilities[of_label].mean()),
        float(squares.mean()),
    )


def calibration_error_by_chance(
    confidence: Float64[np.ndarray, " image"],
    generator: np.random.Generator,
    *,
    bins: int = DEFAULT_BINS,
    draws: int = 1000,
) -> Float64[np.ndarray, " draw"]:
    """Return the expected calibration errors that a model would show if its confidences were true.

    They are not 0, because only so many images fall to each bin: right or wrong is drawn for each image with
    its own confidence.

    Args:
        confidence: in [0, 1].
        generator: draws what is right.
        bins: as for :func:`calibration`.
        draws: how often.

    References:
        Bröcker and Smith 2007, *Increasing the reliability of reliability diagrams* (consistency resampling).
    """
    places = _places(confidence, bins)
    sums = np.bincount(places, confidence, bins)
    errors = np.empty(draws)
    for draw in range(draws):
        right = generator.random(len(confidence)) < confidence
        errors[draw] = np.abs(np.bincount(places, right, bins) - sums).sum() / len(confidence)
    return errors


def _places(confidence: Float64[np.ndarray, " image"], bins: int) -> Int64[np.ndarray, " image"]:
    places = np.ceil(confidence * bins).astype(np.int64) - 1
    return np.asarray(np.clip(places, 0, bins - 1))
