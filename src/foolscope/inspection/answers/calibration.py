"""Calibration: confidence against accuracy, and scores of the predicted probabilities."""

import numpy as np
import scipy
from jaxtyping import Float64, Int64
from pydantic import Field

from foolscope.core.settings import Settings
from foolscope.statistics.classification import brier_score, log_loss

__all__ = ["Calibration", "CalibrationBin", "calibration", "calibration_error_by_chance"]

_BINS = 15


class CalibrationBin(Settings):
    """The images whose confidence falls into one bin."""

    low: float
    high: float
    images: int
    confidence: float | None = Field(None, description="mean; null in an empty bin")
    accuracy: float | None = None
    accuracy_low: float | None = Field(None, description="lower end of Wilson's 95 % interval")
    accuracy_high: float | None = None


class Calibration(Settings):
    """How well confidence and accuracy agree."""

    bins: list[CalibrationBin] = Field(description="of equal width, from 0 to 1")
    expected_error: float = Field(description="Σ share of the bin · |accuracy - confidence|")
    expected_by_chance: float = Field(description="its mean were every confidence true")
    highest_by_chance: float = Field(description="its 95 % quantile were every confidence true")
    mean_confidence: float
    accuracy: float
    negative_log_likelihood: float = Field(description="mean, in nats")
    brier_score: float = Field(description="mean over images of the sum over classes, between 0 and 2")


def calibration(
    log_probabilities: Float64[np.ndarray, "image class"],
    labels: Int64[np.ndarray, " image"],
    generator: np.random.Generator,
    *,
    bins: int = _BINS,
) -> Calibration:
    """Compare the confidence of predictions, the probability of the predicted class, with their accuracy.

    Bin m of M ``bins`` holds the confidences in ((m − 1) / M, m / M]. The expected calibration error is
    Σ_m |B_m| / n · |acc(B_m) − conf(B_m)|, which depends on M; the Brier score is mean Σ_k (p_k − [k =
    label])². Logarithms are natural, and there is at least one image.

    Example:
        >>> log_probabilities, labels = np.log([[0.9, 0.1], [0.9, 0.1]]), np.array([0, 1])
        >>> found = calibration(log_probabilities, labels, np.random.default_rng(0), bins=10)
        >>> round(found.expected_error, 6), round(found.brier_score, 6)
        (0.4, 0.82)

    References:
        Guo et al. 2017, *On calibration of modern neural networks*, arXiv:1706.04599, section 2; 15 bins as
        there. Brier 1950, *Verification of forecasts expressed in terms of probability*.
    """
    probabilities = np.exp(log_probabilities)
    confidence, right = probabilities.max(axis=1), log_probabilities.argmax(axis=1) == labels
    places = _places(confidence, bins)
    counts = np.bincount(places, minlength=bins)
    with np.errstate(invalid="ignore"):  # empty bins
        confidences = np.bincount(places, confidence, bins) / counts
        accuracies = np.bincount(places, right, bins) / counts
    chance = calibration_error_by_chance(confidence, generator, bins=bins)
    counted = zip(counts.tolist(), confidences.tolist(), accuracies.tolist(), strict=True)
    return Calibration(
        bins=[_bin(m / bins, (m + 1) / bins, *each) for m, each in enumerate(counted)],
        expected_error=float(np.nansum(counts * np.abs(accuracies - confidences)) / len(labels)),
        expected_by_chance=float(chance.mean()),
        highest_by_chance=float(np.quantile(chance, 0.95)),
        mean_confidence=float(confidence.mean()),
        accuracy=float(right.mean()),
        negative_log_likelihood=float(log_loss(log_probabilities, labels)),
        brier_score=float(brier_score(log_probabilities, labels)),
    )


def calibration_error_by_chance(
    confidence: Float64[np.ndarray, " image"],
    generator: np.random.Generator,
    *,
    bins: int = _BINS,
    draws: int = 1000,
) -> Float64[np.ndarray, " draw"]:
    """Return the expected calibration errors that a model would show if its confidences were true.

    They are above 0, because each bin holds finitely many images: whether an image is classified correctly is
    drawn with its own confidence.

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


def _bin(low: float, high: float, images: int, confidence: float, accuracy: float) -> CalibrationBin:
    if not images:
        return CalibrationBin(low=low, high=high, images=0)
    ends = scipy.stats.binomtest(round(accuracy * images), images).proportion_ci(method="wilson")
    return CalibrationBin(
        low=low,
        high=high,
        images=images,
        confidence=confidence,
        accuracy=accuracy,
        accuracy_low=float(ends.low),
        accuracy_high=float(ends.high),
    )


def _places(confidence: Float64[np.ndarray, " image"], bins: int) -> Int64[np.ndarray, " image"]:
    places = np.ceil(confidence * bins).astype(np.int64) - 1
    return np.asarray(np.clip(places, 0, bins - 1))
