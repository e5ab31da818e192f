"""Against scipy and statsmodels, and error rates by simulation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

from foolscope.statistics.estimate import (
    Estimate,
    holm,
    holm_levels,
    interval,
    mean_estimate,
    negated,
    p_above,
    p_below,
    p_different,
    p_equivalent,
    p_outside,
    shifted,
)

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12).map(np.array)
ESTIMATES = st.builds(
    lambda value, error, freedom: Estimate(value, error, freedom, freedom + 1),
    st.floats(-5, 5),
    st.floats(0.01, 5),
    st.integers(1, 50),
)


def _sample() -> tuple[np.ndarray, Estimate]:
    row = np.random.default_rng(1).normal(0.4, 1.0, 7)
    return row, Estimate(float(row.mean()), float(row.std(ddof=1) / math.sqrt(7)), 6, 7)


@pytest.mark.parametrize("null", [-0.3, 0.0, 0.4, 2.0])
def test_t_tests_and_interval_are_scipys(null: float) -> None:
    row, estimate = _sample()
    there = p_different(shifted(estimate, -null))
    assert there == pytest.approx(stats.ttest_1samp(row, null).pvalue, rel=1e-10)
    assert p_below(estimate, null) == pytest.approx(stats.ttest_1samp(row, null, alternative="less").pvalue)
    assert p_above(estimate, null) == pytest.approx(
        stats.ttest_1samp(row, null, alternative="greater").pvalue
    )
    assert interval(estimate, 0.9) == pytest.approx(
        tuple(stats.ttest_1samp(row, null).confidence_interval(0.9))
    )


@pytest.mark.parametrize("margin", [0.1, 0.8, 3.0])
def test_equivalence_is_statsmodels(margin: float) -> None:
    row, estimate = _sample()
    expected = ttost_paired(row, np.zeros(7), -margin, margin)[0]
    assert p_equivalent(estimate, margin) == pytest.approx(expected, rel=1e-10)


@given(ESTIMATES, st.floats(0.01, 5), st.sampled_from([0.01, 0.05, 0.2]))
def test_p_values_and_intervals_say_the_same(estimate: Estimate, margin: float, alpha: float) -> None:
    low, high = interval(estimate, 1 - 2 * alpha)
    assert (p_equivalent(estimate, margin) < alpha) == (-margin < low and high < margin)
    low, high = interval(estimate, 1 - alpha)
    assert (p_outside(estimate, margin) < alpha) == (low > margin or high < -margin)
    assert (p_different(estimate) < alpha) == (low > 0 or high < 0)
    assert not (p_equivalent(estimate, margin) < alpha and p_outside(estimate, margin) < alpha)


@pytest.mark.parametrize("tests", range(1, 13))
def test_holm_is_statsmodels(tests: int) -> None:
    p_values = np.random.default_rng(tests).beta(0.3, 1.0, tests)
    np.testing.assert_allclose(holm(p_values), multipletests(p_values, method="holm")[1], atol=1e-12)


@given(P_VALUES, st.randoms())
def test_holm_only_raises_keeps_order_and_ignores_the_arrangement(p_values: np.ndarray, random) -> None:
    adjusted = holm(p_values)
    assert np.all(adjusted >= p_values)
    assert np.all(adjusted <= np.minimum(1, p_values * len(p_values)))
    assert np.all(np.diff(adjusted[np.argsort(p_values)]) >= 0)
    order = list(range(len(p_values)))
    random.shuffle(order)
    np.testing.assert_array_equal(holm(p_values[order]), adjusted[order])


@given(P_VALUES)
def test_holm_levels_are_those_of_the_step_down_procedure(p_values: np.ndarray) -> None:
    # The smallest p value is rejected exactly if it reaches its level.
    first = int(np.argmin(p_values))
    levels = holm_levels(p_values, 0.05)
    assert levels[first] == pytest.approx(0.05 / len(p_values))
    assert sorted(levels) == pytest.approx([0.05 / k for k in range(len(p_values), 0, -1)])


def test_one_seed_says_nothing() -> None:
    estimate = Estimate(3.0, math.nan, 0, 1)
    assert interval(estimate) == (-math.inf, math.inf)
    p_values = (
        p_different(estimate),
        p_equivalent(estimate, 9.0),
        p_below(estimate, 9.0),
        p_outside(estimate, 1.0),
    )
    assert p_values == (1.0, 1.0, 1.0, 1.0)


def test_no_spread_decides_but_a_tie_is_no_difference() -> None:
    assert p_different(Estimate(0.0, 0.0, 4, 5)) == 1.0
    assert p_equivalent(Estimate(0.0, 0.0, 4, 5), 0.1) == 0.0
    assert p_different(Estimate(0.2, 0.0, 4, 5)) == 0.0
    assert p_below(Estimate(0.1 + 0.2, 0.0, 4, 5), 0.3) == 1.0  # 0.30000000000000004 is 0.3
    assert p_above(Estimate(0.1 + 0.2, 0.0, 4, 5), 0.3) == 1.0


def test_shifting_and_negating() -> None:
    estimate = Estimate(0.3, 0.1, 4, 5)
    assert shifted(estimate, -0.1 - 0.2).value == 0.0
    assert negated(estimate) == Estimate(-0.3, 0.1, 4, 5)


def test_a_mean_is_estimated_as_by_scipy() -> None:
    row = np.array([1.0, 2.0, 4.0])
    estimate = mean_estimate(row)
    assert estimate.standard_error == pytest.approx(stats.sem(row))
    assert (estimate.value, estimate.degrees_of_freedom, estimate.seeds) == (row.mean(), 2, 3)
    assert mean_estimate(row, variance_factor=4.0).standard_error == pytest.approx(2 * stats.sem(row))


@pytest.mark.parametrize("values", [[0.5], [0.5, math.nan], [0.5, 0.6, math.inf]])
def test_one_value_or_one_that_is_not_finite_gives_no_standard_error(values: list[float]) -> None:
    estimate = mean_estimate(np.array(values))
    assert math.isnan(estimate.standard_error)
    assert (estimate.degrees_of_freedom, estimate.seeds) == (0, len(values))


def test_equal_values_have_no_spread_whatever_their_rounding() -> None:
    assert mean_estimate(np.array([0.1 + 0.2, 0.3, 0.3])).standard_error == 0.0
    assert mean_estimate(np.array([0.3, 0.3, 0.3 + 1e-9])).standard_error > 0.0
