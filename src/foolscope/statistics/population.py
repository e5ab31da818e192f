"""The accuracy of a setting on the population: the mean over new seeds and new images, with its interval."""

import math

import numpy as np
import scipy
from jaxtyping import Bool

from foolscope.statistics.images import image_part, total_degrees_of_freedom

__all__ = ["population_interval"]

_PRIOR = 0.5
"""Missed images for which results are taken to be the same in every seed, until enough images are missed."""


def population_interval(
    correct: Bool[np.ndarray, "seed image"], confidence: float = 0.95
) -> tuple[float, float]:
    r"""Wilson's interval for the accuracy on new images after training with new seeds.

    The mean accuracy p varies as that of :math:`n = p(1 - p)/V` independent images would, V being the
    variance over seeds and images of :mod:`foolscope.statistics.images`. Wilson's score interval with this
    effective number of images, and with the t quantile q of V's degrees of freedom, is

    .. math:: \frac{p + q^2/2n}{1 + q^2/n} \pm \frac{q}{1 + q^2/n} \sqrt{\frac{p(1-p)}{n} + \frac{q^2}{4n^2}}.

    Near 0 or 1 it stays inside and is not symmetric. The images' share of V is
    :math:`\rho\, p (1 - p) / I`, where ρ is how far seeds agree on which images they miss; few missed images
    tell little about it, so it is drawn towards 1, full agreement, with the weight of half a missed image.

    Args:
        correct: which images each seed classified correctly.
        confidence: of the interval.

    Returns:
        Its ends in [0, 1]; 0 and 1 for a single seed, which says nothing about other seeds.

    Raises:
        ValueError: there are fewer than two images, or no seeds.

    References:
        Wilson (1927), "Probable inference, the law of succession, and statistical inference", JASA 22,
        209-212. Korn and Graubard (1998), "Confidence intervals for proportions with small expected number
        of positive counts estimated from survey data", Survey Methodology 24, 193-201 (effective number).
        Franco, Little, Louis and Slud (2019), "Comparative study of confidence intervals for proportions in
        complex sample surveys", J. Survey Statistics and Methodology 7, 334-364.

    Example:
        >>> correct = np.random.default_rng(0).random((5, 1)) < np.linspace(0.5, 1.4, 400)
        >>> low, high = population_interval(correct)
        >>> 0 < low < correct.mean() < high < 1
        True
    """
    part = image_part(correct.view(np.int8))
    seeds, images = correct.shape
    if seeds < 2:
        return 0.0, 1.0
    by_seed = correct.mean(axis=1)
    mean = float(by_seed.mean())
    bernoulli = mean * (1 - mean)
    if bernoulli == 0:
        effective, freedom = float(images), images - 1.0
    else:
        own = max(0.0, part.variance - 1 / images**2) * images / bernoulli
        missed = images * min(mean, 1 - mean)
        of_images = (missed * own + _PRIOR) / (missed + _PRIOR) * bernoulli / images
        of_seeds = float(by_seed.var(ddof=1)) / seeds
        effective = bernoulli / (of_images + of_seeds)
        freedom = total_degrees_of_freedom((of_images, part.degrees_of_freedom), (of_seeds, seeds - 1))
    quantile = float(scipy.special.stdtrit(freedom, (1 + confidence) / 2)) ** 2 / effective
    center = (mean + quantile / 2) / (1 + quantile)
    half = math.sqrt(quantile * bernoulli + quantile**2 / 4) / (1 + quantile)
    return max(0.0, center - half), min(1.0, center + half)
