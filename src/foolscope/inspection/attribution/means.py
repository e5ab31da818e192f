"""The mean of a number over images, with its interval."""

import math

import numpy as np
from jaxtyping import Float64
from pydantic import Field

from foolscope.core.settings import Settings
from foolscope.statistics.estimate import Estimate, interval

__all__ = ["Mean", "mean_over_images"]


class Mean(Settings):
    """A mean over images with its interval."""

    mean: float
    low: float | None = Field(None, description="lower end of the 95 % t interval; null for a single image")
    high: float | None = None


def mean_over_images(values: Float64[np.ndarray, " image"]) -> Mean | None:
    """Return the mean of the finite values with its 95 % t interval; None where no value is finite.

    Example:
        >>> mean_over_images(np.array([1.0, float("nan")]))
        Mean(mean=1.0, low=None, high=None)
    """
    known = values[np.isfinite(values)]
    if not known.size:
        return None
    mean = float(known.mean())
    if known.size < 2:
        return Mean(mean=mean)
    error = float(known.std(ddof=1)) / math.sqrt(known.size)
    low, high = interval(Estimate(mean, error, known.size - 1, known.size))
    return Mean(mean=mean, low=low, high=high)
