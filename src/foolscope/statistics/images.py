r"""The share of chance that the drawn images have in a mean or a difference: seeds × images.

Seeds are readers, images are cases, and every seed judged every image. For d, the result of a seed on an
image or the difference of two settings' results,

.. math:: d_{si} = \Delta + a_s + b_i + e_{si},

and the mean over S seeds and I images varies, over new seeds and new images, by

.. math:: \frac{\sigma_a^2}{S} + \frac{\sigma_b^2}{I} + \frac{\sigma_e^2}{S I}
          = \frac{E\,MS_S + E\,MS_I - E\,MS_E}{S I}

because the mean squares of the two-way layout have the expectations
:math:`I\sigma_a^2 + \sigma_e^2`, :math:`S\sigma_b^2 + \sigma_e^2` and :math:`\sigma_e^2`. An interval over
seeds has the variance between seeds, :math:`MS_S / (S I)`; what it lacks is :math:`(MS_I - MS_E) / (S I)`,
which does not shrink with more seeds.

References:
    Obuchowski and Rockette (1995), "Hypothesis testing of diagnostic accuracy for multiple readers and
    multiple tests", Communications in Statistics - Simulation 24, 285-308. Gallas (2006), "One-shot estimate
    of MRMC variance: AUC", Academic Radiology 13, 353-362 (unbiased moments). Hillis (2007), "A comparison of
    denominator degrees of freedom methods for multiple observer ROC analysis", Statistics in Medicine 26,
    596-619.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Num

from foolscope.statistics.estimate import Estimate

__all__ = [
    "ImagePart",
    "contrast_part",
    "difference_parts",
    "image_part",
    "total_degrees_of_freedom",
    "with_images",
]

_PSEUDO_IMAGES = 1.0
"""Images on which the settings differ in every seed, added so that few differing images are no certainty."""


@dataclass(frozen=True)
class ImagePart:
    """The images' share of the variance of a mean over seeds and images.

    Args:
        variance: to be added to the variance over seeds on these images, in the squared unit of the metric.
        degrees_of_freedom: of ``variance``, an estimate itself.
        residual: the share of the residual, which differs from image to image and from seed to seed, in the
            variance over seeds on these images; more images make it smaller.
        images: how many.
    """

    variance: float
    degrees_of_freedom: float
    residual: float
    images: int


@dataclass(frozen=True)
class _Layout:
    """What the two-way layout of seeds and images comes to."""

    seeds: int
    image_means: Num[np.ndarray, " image"]
    residual_square: float

    @classmethod
    def of(cls, values: Num[np.ndarray, "seed image"]) -> "_Layout":
        seeds, images = values.shape
        by_seed = values.mean(axis=1, dtype=np.float64)
        wide = np.float64 if values.dtype.kind == "f" else np.int32
        by_image = values.sum(axis=0, dtype=wide) / seeds
        mean = float(by_seed.mean())
        squares = np.square(values, dtype=wide).sum(dtype=np.float64)
        residual = (
            float(squares)
            - seeds * images * mean**2
            - images * float(((by_seed - mean) ** 2).sum())
            - seeds * float(((by_image - mean) ** 2).sum())
        )
        freedom = max(1, (seeds - 1) * (images - 1))
        return cls(seeds, by_image, max(0.0, residual) / freedom if seeds > 1 else 0.0)


def image_part(values: Num[np.ndarray, "..."], *, largest: float = 1.0) -> ImagePart:
    r"""The images' share of the variance of ``values.mean()``.

    :math:`\max(0, MS_I - MS_E) / (S I) + \text{largest}^2 / I^2`. The second term is that of one more image
    with the largest possible value in every seed. Where two settings differ on few images, the first term
    alone is often far too small; for a single pair of models, discordant pairs are added as a correction.
    The degrees of freedom follow from the kurtosis of the images' means, high where few images differ:
    :math:`Var(s^2) = \sigma^4 (2/(I - 1) + (\kappa - 3)/I)`.

    Args:
        values: one row per seed and one column per image, at least two images: results, 0 or 1, or
            differences of results, -1, 0 or 1, as int8, which is not copied to floats; or any floats.
        largest: the largest possible absolute value.

    Returns:
        The share. With a single seed the residual cannot be told from the images and is part of it.

    Raises:
        ValueError: there are fewer than two images, or no seeds.

    References:
        Bonett and Price (2012), "Adjusted Wald confidence interval for a difference of binomial proportions
        based on paired data", J. Educational and Behavioral Statistics 37, 479-488 (they add two images, one
        in each direction). O'Neill (2014), "Some useful moment results in sampling problems", The American
        Statistician 68, 282-296 (variance of a variance).

    Example:
        >>> differences = np.array([[1, 0, 0, -1, 1, 0], [1, 0, 0, 0, 1, 0]], dtype=np.int8)
        >>> round(image_part(differences).variance, 4)
        0.0833
    """
    if values.ndim != 2 or values.shape[0] < 1 or values.shape[1] < 2:
        raise ValueError(
            f"values must have one row per seed and one column per image, at least two images; "
            f"got the shape {values.shape}"
        )
    layout = _Layout.of(values)
    return _part(layout.image_means, layout.residual_square / layout.seeds, largest)


def difference_parts(
    correct: Bool[np.ndarray, "cell seed image"],
    baseline: int,
    *,
    paired: bool = True,
    present: Bool[np.ndarray, "cell seed"] | None = None,
) -> tuple[ImagePart | None, ...]:
    """The images' share of the variance of every cell's difference from the baseline.

    Args:
        correct: which images each trial classified correctly; all trials on the same images.
        baseline: the index of the cell that the others are compared with.
        paired: whether the same seed in two cells has something in common, so that differences are taken
            seed by seed over the seeds that both have.
        present: which trials exist; all by default. What ``correct`` says of the others is ignored.

    Returns:
        One share for each cell; ``None`` for the baseline, and where a cell has no trial to compare.

    Example:
        >>> correct = np.random.default_rng(0).random((3, 5, 400)) < 0.9
        >>> none, second, third = difference_parts(correct, baseline=0)
        >>> none is None, second.images
        (True, 400)
    """
    there = np.ones(correct.shape[:2], dtype=bool) if present is None else present
    small = np.ascontiguousarray(correct).view(np.int8)
    whole = bool(there.all())
    parts: list[ImagePart | None] = []
    for cell in range(len(correct)):
        own, other = there[cell], there[baseline]
        if paired:
            own = other = own & other
        if cell == baseline or not (own.any() and other.any()):
            parts.append(None)
        elif paired:
            first, second = (
                (small[cell], small[baseline]) if whole else (small[cell][own], small[baseline][own])
            )
            parts.append(image_part(first - second))
        else:
            one, two = _Layout.of(small[cell][own]), _Layout.of(small[baseline][other])
            noise = one.residual_square / one.seeds + two.residual_square / two.seeds
            parts.append(_part(one.image_means - two.image_means, noise, 1.0))
    return tuple(parts)


def contrast_part(
    correct: Bool[np.ndarray, "cell seed image"], weights: Sequence[float] | Mapping[int, float]
) -> ImagePart:
    """The images' share of the variance of a weighted sum of cells, as of a trend.

    Args:
        correct: which images each trial classified correctly; a seed has something in common across cells.
        weights: of the cells, in their order or by index; cells without a weight are ignored.
    """
    by_cell = dict(weights) if isinstance(weights, Mapping) else dict(enumerate(weights))
    total = np.zeros(correct.shape[1:])
    for cell, weight in by_cell.items():
        if weight:
            total += weight * correct[cell]
    above = sum(max(0.0, weight) for weight in by_cell.values())
    below = sum(max(0.0, -weight) for weight in by_cell.values())
    return image_part(total, largest=max(above, below))


def with_images(estimate: Estimate, part: ImagePart) -> Estimate:
    """Add the images' share to the variance over seeds: the estimate is then about new images.

    Without degrees of freedom, as of a single seed, it stays without.
    """
    if estimate.degrees_of_freedom <= 0:
        return estimate
    over_seeds = estimate.standard_error**2
    return replace(
        estimate,
        standard_error=math.sqrt(over_seeds + part.variance),
        images_variance=part.variance,
        degrees_of_freedom=total_degrees_of_freedom(
            (over_seeds, estimate.degrees_of_freedom), (part.variance, part.degrees_of_freedom)
        ),
    )


def total_degrees_of_freedom(*parts: tuple[float, float]) -> float:
    r"""Satterthwaite's degrees of freedom of a sum of independently estimated variances.

    :math:`(\sum_j V_j)^2 / \sum_j (V_j^2 / \nu_j)`.

    Args:
        parts: a variance and its degrees of freedom, each; one of 0 has no influence.

    Returns:
        The degrees of freedom, at least the fewest and at most the sum; 0 where a variance that is not 0 has
        none, infinity where all variances are 0.

    References:
        Satterthwaite (1946), "An approximate distribution of estimates of variance components", Biometrics
        Bulletin 2, 110-114.

    Example:
        >>> total_degrees_of_freedom((2.0, 4), (2.0, 359)).__round__(2)
        15.82
    """
    counted = [(variance, freedom) for variance, freedom in parts if variance > 0]
    if not counted:
        return float("inf")
    if any(freedom <= 0 for _, freedom in counted):
        return 0.0
    largest = max(variance for variance, _ in counted)  # or squares of small variances would be 0
    shares = [(variance / largest, freedom) for variance, freedom in counted]
    return sum(share for share, _ in shares) ** 2 / sum(share**2 / freedom for share, freedom in shares)


def _part(image_means: Num[np.ndarray, " image"], noise: float, largest: float) -> ImagePart:
    """Return the share from the images' means and the variance that the residual gives each of them."""
    images = len(image_means)
    deviations = image_means - image_means.mean()
    squares = deviations**2
    spread = float(squares.sum()) / (images - 1)
    added = _PSEUDO_IMAGES * (largest / images) ** 2
    variance = max(0.0, spread - noise) / images + added
    freedom = images - 1.0
    if spread > 0:
        kurtosis = float((squares**2).mean()) / float(squares.mean()) ** 2
        freedom = min(freedom, 2 / (2 / (images - 1) + max(0.0, kurtosis - 3) / images))
        freedom *= min(1.0, variance * images / spread) ** 2  # the noise is subtracted, its chance is not
    return ImagePart(variance, max(1.0, freedom), noise / images, images)
