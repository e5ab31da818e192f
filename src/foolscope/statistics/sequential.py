r"""Tests of a mean that may be looked at after every seed: a t test with a mixture over effect sizes.

Let x_1, x_2, ... be one paired difference per seed, normal with mean μ and standard deviation σ, both
unknown, and t_n the t statistic of the first n against μ₀. The *evidence* that μ > μ₀ is the likelihood ratio
of t_n between effects (μ - μ₀)/σ drawn from a half-normal distribution with scale τ, and no effect. If μ =
μ₀ its expectation is 1 at every n and it is a martingale, so that by Ville's inequality it ever reaches 1/α
with probability α at most: the p value ``1 / max over n of the evidence`` may be looked at after every seed.
If μ < μ₀, every t_n is smaller than the same seeds' with μ = μ₀, and the evidence rises with t_n, so that the
bound holds there, too. All bounds that the tests do not reject form a confidence sequence: intervals of
which, with probability 1 - α, every one covers μ.

References:
    Lai 1976, *On confidence sequences*; Gönen, Johnson, Lu and Westfall 2005, *The Bayesian two-sample t
    test* (the closed form of the two-sided ratio); Hendriksen, de Heide and Grünwald 2021, *Optional stopping
    with Bayes factors* (why the unknown σ does no harm); Lindon, Ham, Tingley and Bojinov, arXiv 2210.08589;
    Wang and Ramdas, arXiv 2310.03722. The one-sided ratio in closed form is derived in
    ``docs/statistics/sequential.md``.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

__all__ = [
    "EFFECT_SCALE",
    "IMAGE_SHARE",
    "Moments",
    "confidence_bounds",
    "critical_t",
    "image_quantile",
    "log_evidence",
    "running_moments",
    "running_p",
    "tail_beyond_images",
]

EFFECT_SCALE = 1.0
"""τ, of the effects looked for, in standard deviations of a paired difference; see the table in the docs."""

IMAGE_SHARE = 0.5
"""The share of α that is spent on the chance in the test images, where there is any."""

_ROUNDING = 1e-12  # deviations smaller than this, relative to the numbers compared, are float64 rounding
_HALVINGS = 60

Prefixes = Float[np.ndarray, "*cells seed"]


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and standard error of the first n differences of every contrast, for n = 2, 3, ...

    Args:
        means: NaN beyond a contrast's own seeds.
        errors: standard errors; never below what counting in whole images allows.
        seeds: n, along the last axis.
    """

    means: Prefixes
    errors: Prefixes
    seeds: Int[np.ndarray, " seed"]


def log_evidence(t: ArrayLike, seeds: ArrayLike, scale: float = EFFECT_SCALE) -> Float[np.ndarray, "..."]:
    r"""Logarithm of the evidence that the mean exceeds the bound which t is against.

    With n seeds, r = 1 + nτ² and a = (r - 1)/r · t²/(t² + n - 1),

    .. math:: E_n = 2\, r^{-1/2} (1 - a)^{-n/2}\; F_n\!\left(\operatorname{sign}(t)\sqrt{n a / (1 - a)}\right)

    F_n being the distribution function of Student's t with n degrees of freedom.

    Args:
        t: t statistics, infinite where nothing scatters.
        seeds: n ≥ 2.
        scale: τ, of the half-normal distribution of effect sizes.

    Example:
        >>> np.exp(log_evidence([0.0, 4.0, -4.0], 10)).round(3).tolist()
        [0.302, 47.061, 0.092]
    """
    t, n = np.asarray(t, dtype=float), np.asarray(seeds, dtype=float)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where(np.isinf(t), 1.0, t**2 / (t**2 + n - 1))
        r = 1 + n * scale**2
        a = (r - 1) / r * ratio
        tail = scipy.special.stdtr(n, np.sign(t) * np.sqrt(n * a / (1 - a)))
        return np.asarray(math.log(2) - np.log(r) / 2 - n / 2 * np.log1p(-a) + np.log(tail))


def critical_t(most_seeds: int, alpha: float, scale: float = EFFECT_SCALE) -> Float[np.ndarray, " seed"]:
    """Return the t statistic at which the evidence reaches 1/α, for n = 2, ..., ``most_seeds``.

    It is infinite where so few seeds cannot reach it at all.

    Example:
        >>> critical_t(20, 0.025)[[0, 3, 8, 18]].round(2).tolist()
        [inf, 8.49, 3.87, 3.43]
    """
    return _critical_t(most_seeds, alpha, scale)


@lru_cache(maxsize=256)
def _critical_t(most_seeds: int, alpha: float, scale: float) -> Float[np.ndarray, " seed"]:
    n = np.arange(2, most_seeds + 1)
    low, high = np.zeros(n.shape), np.ones(n.shape)  # of the cosine t / √(t² + n - 1)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        reached = log_evidence(_t_of(middle, n), n, scale) >= -math.log(alpha)
        low, high = np.where(reached, low, middle), np.where(reached, middle, high)
    reachable = log_evidence(np.full(n.shape, np.inf), n, scale) > -math.log(alpha)
    critical = np.where(reachable, _t_of(high, n), np.inf)
    critical.flags.writeable = False  # it is shared by all callers
    return critical


def _t_of(cosine: Float[np.ndarray, " seed"], n: Int[np.ndarray, " seed"]) -> Float[np.ndarray, " seed"]:
    with np.errstate(divide="ignore"):
        return np.asarray(cosine * np.sqrt((n - 1) / (1 - cosine**2)))


def running_moments(
    differences: Float[np.ndarray, "*cells seed"], *, step: float = 0.0, magnitude: float = 0.0
) -> Moments:
    """Return mean and standard error of the first 2, 3, ... differences.

    ``√(s²/n + step²/6)``: a metric that is counted in whole images is rounded by up to half a step, with
    variance step²/12 in either setting of a difference, and where the seeds scatter by less than a step they
    are all rounded alike, so that this part does not shrink with their number.

    Args:
        differences: in the order of the seeds, NaN after the last of a contrast's own.
        step: size of one count of the metric, 1/images; 0 for a continuous metric.
        magnitude: size of the values that were subtracted; differences below 1e-12 of it are rounding.
    """
    total = differences.shape[-1]
    means = np.empty((*differences.shape[:-1], max(0, total - 1)))
    variances = np.empty_like(means)
    mean = differences[..., 0].copy()
    squares = np.zeros_like(mean)
    for index in range(1, total):
        deviation = differences[..., index] - mean
        mean = mean + deviation / (index + 1)
        squares = squares + deviation * (differences[..., index] - mean)
        means[..., index - 1], variances[..., index - 1] = mean, squares / index
    means = np.where(np.abs(means) <= _ROUNDING * magnitude, 0.0, means)
    variances = np.where(variances <= (_ROUNDING * magnitude) ** 2, 0.0, variances)
    seeds = np.arange(2, total + 1)
    return Moments(means, np.sqrt(variances / seeds + step**2 / 6), seeds)


def running_p(
    moments: Moments,
    bound: float,
    *,
    below: bool = False,
    image_error: ArrayLike = 0.0,
    image_freedom: ArrayLike = np.inf,
    scale: float = EFFECT_SCALE,
) -> Float[np.ndarray, "*cells"]:
    """One-sided p value, at any look, of "the mean is at most ``bound``"; ``below``: at least.

    It is ``1 / max over n of the evidence``, at most 1. Where the verdict is about new images, see
    :func:`tail_beyond_images`.

    Args:
        moments: of the first n differences.
        bound: in the unit of the differences.
        below: whether to look for a mean below the bound instead of above it.
        image_error: standard error of the mean by the choice of test images, which no seed makes smaller.
        image_freedom: its degrees of freedom.
        scale: τ, of the effects looked for.
    """
    gaps = (bound - moments.means) if below else (moments.means - bound)
    image_error, image_freedom = np.asarray(image_error, float), np.asarray(image_freedom, float)
    if not image_error.any():
        p_values = _tail(gaps, moments, scale)
    else:
        p_values = tail_beyond_images(gaps, moments, image_error, image_freedom, scale)
    p_values = np.where(np.isnan(gaps), 1.0, np.minimum(1.0, p_values))
    return np.asarray(p_values.min(axis=-1, initial=1.0))


def tail_beyond_images(
    gaps: Prefixes,
    moments: Moments,
    image_error: Float[np.ndarray, "*cells"],
    image_freedom: Float[np.ndarray, "*cells"],
    scale: float = EFFECT_SCALE,
) -> Prefixes:
    """One-sided p values, at each n, where seeds and test images are both chance.

    α is split: the bound at level α lies below the mean by the half-width of the seeds at (1 - q)α plus that
    of the images at qα, with q = :data:`IMAGE_SHARE`. By Bonferroni the sum is exceeded with probability α at
    most, however seeds and images are related; the images' half-width is that of one t test, as the images
    are the same at every look. The p value is the α at which the bound is reached.
    """
    error, freedom = image_error[..., None], image_freedom[..., None]
    low, high = np.zeros_like(gaps), np.maximum(gaps, 0.0)  # of the part of the gap that the seeds explain
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        by_seeds = _tail(middle, moments, scale) / (1 - IMAGE_SHARE)
        by_images = _image_tail(gaps - middle, error, freedom) / IMAGE_SHARE
        more = by_seeds > by_images  # the seeds need more of the gap
        low, high = np.where(more, middle, low), np.where(more, high, middle)
    by_seeds = _tail(high, moments, scale) / (1 - IMAGE_SHARE)
    by_images = _image_tail(gaps - low, error, freedom) / IMAGE_SHARE
    return np.asarray(np.where(gaps > 0, np.maximum(by_seeds, by_images), 1.0))


def confidence_bounds(
    moments: Moments,
    alpha: float,
    *,
    image_error: float = 0.0,
    image_freedom: float = np.inf,
    scale: float = EFFECT_SCALE,
) -> tuple[float, float]:
    """Bounds of the mean of one contrast that hold at every look, each one-sided at level ``alpha``.

    The intersection of the intervals after 2, 3, ... seeds; together the bounds have confidence 1 - 2α. They
    agree with :func:`running_p`. Where the intersection is empty, which has probability 2α at most, the
    interval after the last seed.

    Example:
        >>> moments = running_moments(np.array([0.9, 1.1, 1.0, 1.2, 0.8, 1.0]))
        >>> low, high = confidence_bounds(moments, 0.025)
        >>> round(low, 2), round(high, 2)
        (0.68, 1.32)
    """
    known = ~np.isnan(moments.means)
    if not known.any():
        return -math.inf, math.inf
    share = IMAGE_SHARE if image_error > 0 else 0.0
    last = int(moments.seeds[known][-1])
    critical = critical_t(last, (1 - share) * alpha, scale)
    with np.errstate(invalid="ignore"):
        reach = np.where(np.isinf(critical), np.inf, moments.errors[known] * critical)
    means = moments.means[known]
    low, high = float((means - reach).max()), float((means + reach).min())
    if low > high:
        low, high = float(means[-1] - reach[-1]), float(means[-1] + reach[-1])
    images = 0.0
    if share:
        images = image_error * image_quantile(share * alpha, image_freedom)
    return low - images, high + images


def image_quantile(alpha: float, freedom: float) -> float:
    """Return the t quantile that an image part exceeds with probability ``alpha``; normal without end."""
    if math.isinf(freedom):
        return float(scipy.special.ndtri(1 - alpha))
    return float(scipy.special.stdtrit(freedom, 1 - alpha))


def _tail(gaps: Prefixes, moments: Moments, scale: float) -> Prefixes:
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        t = np.where(gaps == 0, 0.0, gaps / moments.errors)
        return np.asarray(np.exp(-log_evidence(t, moments.seeds, scale)))


def _image_tail(
    gaps: Prefixes, error: Float[np.ndarray, "..."], freedom: Float[np.ndarray, "..."]
) -> Prefixes:
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(gaps == 0, 0.0, gaps / error)
    normal = scipy.special.ndtr(-t)
    return np.asarray(np.where(np.isinf(freedom), normal, scipy.special.stdtr(freedom, -t)))
