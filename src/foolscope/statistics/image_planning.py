"""How many more seeds, or how many images, would decide what these do not."""

from collections.abc import Callable
from typing import NamedTuple

from foolscope.statistics.estimate import Estimate
from foolscope.statistics.images import ImagePart, total_degrees_of_freedom
from foolscope.statistics.power import MOST_SEEDS

__all__ = ["Needed", "needed"]

_MOST_TIMES_THE_IMAGES = 1000


class Needed(NamedTuple):
    """What would decide.

    Args:
        more_seeds: how many more with the present images; ``None`` where no number up to 1000 would, because
            the images limit what seeds can tell.
        images: how many images in all with the present seeds; ``None`` where no number up to 1000 times the
            present one would, because the seeds limit what images can tell.
        limit: the source of chance that has the larger share of the variance now.
    """

    more_seeds: int | None
    images: int | None
    limit: str


def needed(
    on_these_images: Estimate, part: ImagePart, decides: Callable[[Estimate], float], power: float = 0.8
) -> Needed:
    r"""How many more seeds, or images, would decide about new images, if the present spreads were the truth.

    With :math:`V_S` the variance over S seeds on these I images, :math:`V_e` the residual's share of it and
    :math:`V_I` the images' share, the variance is

    .. math:: V_S \frac{S}{S'} + V_I \quad\text{with S' seeds, and}\quad
              V_S - V_e + (V_e + V_I) \frac{I}{I'} \quad\text{with I' images.}

    Args:
        on_these_images: the estimate with its standard error over seeds alone.
        part: the images' share of its variance.
        decides: the probability of a decision if the given estimate were the truth; it must rise as the
            standard error falls.
        power: the probability that is wanted.

    Returns:
        Rough guides, both at least one more than there are; both ``None`` for a single seed.

    References:
        Hillis, Obuchowski and Berbaum (2011), "Power estimation for multireader ROC methods: an updated and
        unified approach", Academic Radiology 18, 129-142.

    Example:
        >>> from foolscope.statistics.power import power_above
        >>> estimate, part = Estimate(0.018, 0.004, 4, 5), ImagePart(0.008**2, 200.0, 0.003**2, 360)
        >>> found = needed(estimate, part, lambda truth: power_above(truth, 0.0, 0.025))
        >>> found.more_seeds is None, found.images > 360
        (True, True)
    """
    limit = "images" if part.variance > on_these_images.standard_error**2 else "seeds"
    if on_these_images.seeds < 2 or not on_these_images.standard_error > 0:
        return Needed(None, None, limit)
    seeds, over_seeds = on_these_images.seeds, on_these_images.standard_error**2
    freedom = on_these_images.degrees_of_freedom / (seeds - 1)

    def truth(
        variance: float, seed_freedom: float, of_images: float, image_freedom: float, count: int
    ) -> float:
        total = total_degrees_of_freedom((variance, seed_freedom), (of_images, image_freedom))
        error = (variance + of_images) ** 0.5
        return decides(Estimate(on_these_images.value, error, total, count))

    def with_seeds(count: int) -> bool:
        variance = over_seeds * seeds / count
        found = truth(variance, freedom * (count - 1), part.variance, part.degrees_of_freedom, count)
        return found >= power

    def with_images(count: int) -> bool:
        ratio = part.images / count
        residual = min(part.residual, over_seeds)
        variance = over_seeds - residual + residual * ratio
        image_freedom = part.degrees_of_freedom / ratio
        found = truth(variance, freedom * (seeds - 1), part.variance * ratio, image_freedom, seeds)
        return found >= power

    more = _smallest(with_seeds, seeds, seeds + MOST_SEEDS)
    images = _smallest(with_images, part.images, part.images * _MOST_TIMES_THE_IMAGES)
    return Needed(None if more is None else more - seeds, images, limit)


def _smallest(enough: Callable[[int], bool], present: int, most: int) -> int | None:
    """Return the smallest number above the present one that is enough; ``None`` where ``most`` is not."""
    if not enough(most):
        return None
    low, high = present, present + 1
    while not enough(high):
        low, high = high, min(most, present + 2 * (high - present))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
