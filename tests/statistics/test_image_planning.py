import math

import pytest
import scipy

from foolscope.statistics.estimate import Estimate
from foolscope.statistics.image_planning import needed
from foolscope.statistics.images import ImagePart
from foolscope.statistics.power import more_seeds, power_above


def above_zero(truth):
    return power_above(truth, 0.0, 0.025)


def part(error, *, residual=0.0, images=360, freedom=1e6):
    return ImagePart(error**2, freedom, residual**2, images)


def test_without_a_share_of_the_images_it_is_the_plan_over_seeds():
    estimate = Estimate(0.5, 0.3, 4, 5)
    found = needed(estimate, part(0.0), above_zero)
    assert found.more_seeds == more_seeds(estimate, above_zero)
    assert found.images is None
    assert found.limit == "seeds"


def test_where_the_images_limit_no_number_of_seeds_decides():
    estimate = Estimate(1.0, 0.05, 9, 10)
    found = needed(estimate, part(0.6), above_zero)
    assert found.more_seeds is None
    assert found.limit == "images"
    assert above(found.images, 0.6, 0.05) >= 0.8 > above(found.images - 1, 0.6, 0.05)


def above(images, of_images, over_seeds):
    """The power at known variances, the seeds' share being small."""
    shares = of_images**2 * 360 / images, over_seeds**2
    total = sum(shares)
    freedom = int(total**2 / (shares[0] ** 2 / (1e6 * images / 360) + shares[1] ** 2 / 9))
    return float(1 - scipy.stats.nct.cdf(scipy.stats.t.ppf(0.975, freedom), freedom, 1.0 / math.sqrt(total)))


def test_the_residual_shrinks_with_images_and_with_seeds():
    estimate = Estimate(1.0, 0.4, 39, 40)
    without, with_it = (needed(estimate, part(0.2, residual=each), above_zero) for each in (0.0, 0.39))
    assert without.images is None
    assert with_it.images is not None
    assert with_it.more_seeds == without.more_seeds


def test_a_decided_one_needs_one_more_of_either_and_one_seed_plans_nothing():
    found = needed(Estimate(9.0, 0.1, 4, 5), part(0.1), above_zero)
    assert (found.more_seeds, found.images) == (1, 361)
    found = needed(Estimate(9.0, math.nan, 0, 1), part(0.1), above_zero)
    assert (found.more_seeds, found.images) == (None, None)


@pytest.mark.parametrize("value", [0.3, 1.0, 1.4])
def test_the_answer_is_the_smallest_that_is_enough(value):
    asked = []

    def decides(truth):
        asked.append((truth.seeds, truth.standard_error))
        return float(truth.standard_error <= value / 3)

    found = needed(Estimate(value, 0.4, 9, 10), part(0.09), decides)
    over_seeds = (value / 3) ** 2 - 0.09**2
    if over_seeds <= 0:
        assert found.more_seeds is None
    else:
        assert found.more_seeds == max(1, math.ceil(0.4**2 * 10 / over_seeds) - 10)
