"""Dunnett's test against scipy's, and against simulation where the baseline is noisier than the rest."""

import numpy as np
import pytest
from scipy import stats

from foolscope.statistics.dunnett import smallest_p, step_down


@pytest.mark.parametrize(("comparisons", "seeds"), [(1, 4), (2, 3), (4, 5), (9, 20)])
def test_the_smallest_p_value_is_that_of_scipy(comparisons: int, seeds: int) -> None:
    generator = np.random.default_rng(0)
    control = generator.normal(size=seeds)
    samples = [generator.normal(size=seeds) + (index == 0) for index in range(comparisons)]
    expected = stats.dunnett(*samples, control=control, random_state=np.random.default_rng(1))
    freedom = (comparisons + 1) * (seeds - 1)
    p_values = 2 * stats.t.sf(np.abs(expected.statistic), freedom)
    for p, adjusted in zip(p_values, expected.pvalue, strict=True):
        assert smallest_p(float(p), np.full(comparisons, 0.5), freedom) == pytest.approx(adjusted, abs=2e-3)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("freedom", [3, 16])
def test_the_smallest_p_value_by_simulation(share: float, freedom: int) -> None:
    generator = np.random.default_rng(2)
    draws = 200_000
    common = generator.normal(size=(draws, 1)) * np.sqrt(share)
    t = (common + generator.normal(size=(draws, 5)) * np.sqrt(1 - share)) / np.sqrt(
        generator.chisquare(freedom, size=(draws, 1)) / freedom
    )
    smallest = 2 * stats.t.sf(np.abs(t).max(axis=1), freedom)
    for p in (0.05, 0.01, 0.001):
        share_below = (smallest < p).mean()
        error = np.sqrt(share_below / draws)
        assert smallest_p(p, np.full(5, share), freedom) == pytest.approx(share_below, abs=4 * error + 1e-4)


def test_stepping_down_is_between_holm_and_none() -> None:
    p_values = np.array([0.03, 0.001, 0.2, 0.012])
    adjusted = step_down(p_values, np.full(4, 0.5), 20, 0.05)
    assert adjusted.p_values[1] == pytest.approx(smallest_p(0.001, np.full(4, 0.5), 20))
    assert adjusted.p_values[3] == pytest.approx(smallest_p(0.012, np.full(3, 0.5), 20))
    assert (adjusted.p_values >= p_values).all()
    # A level is reached exactly where the adjusted p value is below α.
    assert ((p_values < adjusted.levels) == (adjusted.p_values < 0.05)).all()
    assert step_down(np.array([0.04]), np.array([0.5]), 9, 0.05).p_values.tolist() == [0.04]


def test_many_comparisons_are_adjusted_quickly_and_safely() -> None:
    generator = np.random.default_rng(3)
    p_values = np.concatenate([generator.uniform(size=60), generator.uniform(size=60) * 1e-7])
    adjusted = step_down(p_values, np.full(120, 0.5), 30, 0.05)
    order = np.argsort(p_values)
    assert (np.diff(adjusted.p_values[order]) >= 0).all()
    assert ((p_values < adjusted.levels) == (adjusted.p_values < 0.05)).all()
    for place, step in ((order[0], 0), (order[59], 59)):
        exact = smallest_p(float(p_values[place]), np.full(120 - step, 0.5), 30)
        assert exact <= adjusted.p_values[place] <= 1.1 * exact
