import numpy as np
import pytest

from benchmarks.verdict_rows.images import difference_row, population_row


def population(level, generator, seeds=30, images=4000):
    """Results that seeds share by image, of two settings that disagree on some images."""
    common = 2.0 * generator.normal(size=images)
    own = generator.normal(size=(2, 1, images)) + generator.normal(size=(2, seeds, images))
    return common + own + np.array([level, level + 0.15])[:, None, None] > 0


def test_the_rows_tell_intervals_that_hold_from_those_that_do_not():
    generator = np.random.default_rng(0)
    first, second = population(1.5, generator)
    of_one = population_row("a", first, 300, 10, 400, generator)
    assert of_one.truth == pytest.approx(first.mean())
    assert of_one.covered > 0.92 > 0.8 > of_one.over_seeds
    assert of_one.error == pytest.approx((of_one.covered * (1 - of_one.covered) / 400) ** 0.5)
    of_two = difference_row("a - b", first, second, 300, 10, 400, generator)
    assert of_two.truth == pytest.approx(first.mean() - second.mean())
    assert of_two.covered > 0.92 > of_two.over_seeds
    assert of_two.no_effect < 0.06
    assert 0 < of_two.width < 0.2
