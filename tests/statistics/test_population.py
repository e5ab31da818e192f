import math

import numpy as np
import pytest
import scipy
from statsmodels.stats.proportion import proportion_confint

from foolscope.statistics.population import population_interval


def drawn(accuracy, seeds, images, generator, *, images_differ, seeds_differ=0.1):
    """Results whose log-odds depend on image and seed, by a probit so that the population is known."""
    spread = math.hypot(1.0, images_differ, seeds_differ)
    level = spread * scipy.special.ndtri(accuracy)
    ability = seeds_differ * generator.normal(size=(seeds, 1))
    return generator.normal(size=(seeds, images)) + ability + images_differ * generator.normal(
        size=images
    ) > (-level)


@pytest.mark.parametrize("seeds", [5, 20])
@pytest.mark.parametrize("accuracy", [0.8, 0.97, 0.995])
@pytest.mark.parametrize("images_differ", [1.0, 4.0])
def test_the_interval_covers_the_population(accuracy, seeds, images_differ):
    generator = np.random.default_rng(0)
    covered, over_seeds = 0, 0
    for _ in range(800):
        correct = drawn(accuracy, seeds, 360, generator, images_differ=images_differ)
        low, high = population_interval(correct)
        covered += low <= accuracy <= high
        by_seed = correct.mean(axis=1)
        half = scipy.stats.t.ppf(0.975, seeds - 1) * by_seed.std(ddof=1) / math.sqrt(seeds)
        over_seeds += abs(by_seed.mean() - accuracy) <= half
    assert covered / 800 > 0.935, "0.95 or more, but for chance"
    if images_differ > 1:
        assert over_seeds / 800 < 0.8, "seeds alone do not"


def test_where_all_seeds_agree_it_is_wilsons_interval():
    one = np.arange(400) < 380
    low, high = population_interval(np.tile(one, (4, 1)))
    wilson = proportion_confint(380, 400, method="wilson")
    assert (low, high) == pytest.approx(wilson, abs=0.001)
    assert low < wilson[0], "the images' spread is estimated"


def test_nothing_missed_is_not_perfection():
    low, high = population_interval(np.ones((20, 100), dtype=bool))
    quantile = scipy.stats.t.ppf(0.975, 99)
    assert (low, high) == pytest.approx((100 / (100 + quantile**2), 1.0))
    low, high = population_interval(np.zeros((20, 100), dtype=bool))
    assert (low, high) == pytest.approx((0.0, quantile**2 / (100 + quantile**2)))


def test_errors_mirror_successes_and_confidence_widens():
    correct = drawn(0.9, 5, 200, np.random.default_rng(1), images_differ=2.0)
    low, high = population_interval(correct)
    assert population_interval(~correct) == pytest.approx((1 - high, 1 - low))
    lower, higher = population_interval(correct, 0.99)
    assert lower < low < high < higher


def test_a_single_seed_says_nothing_about_others():
    assert population_interval(np.arange(50)[None] < 40) == (0.0, 1.0)
