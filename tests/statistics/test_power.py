"""Power against scipy and statsmodels, and by simulation: what is planned comes true."""

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from foolscope.statistics.estimate import Estimate
from foolscope.statistics.power import (
    minimum_detectable_effect,
    more_seeds,
    power_above,
    power_decided,
    power_equivalent,
    power_outside,
)


def drawn(truth: Estimate, runs: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Estimates and their standard errors, as experiments with this truth would find them."""
    generator = np.random.default_rng(seed)
    values = generator.normal(truth.value, truth.standard_error, runs)
    freedom = truth.degrees_of_freedom
    return values, truth.standard_error * np.sqrt(generator.chisquare(freedom, runs) / freedom)


@pytest.mark.parametrize("freedom", [1, 2, 4, 30, 4000])
@pytest.mark.parametrize("alpha", [0.05, 0.05 / 12])
@pytest.mark.parametrize("effect", [0.0, 1.0, -3.0, 10.0])
def test_power_is_that_of_the_noncentral_t(freedom: int, alpha: float, effect: float) -> None:
    truth = Estimate(2.0 + 0.3 * effect, 0.3, freedom, freedom + 1)
    expected = stats.nct.sf(stats.t.ppf(1 - alpha, freedom), freedom, effect)
    assert power_above(truth, 2.0, alpha) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("seeds", [2, 3, 5, 20])
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_minimum_detectable_effect_is_statsmodels(seeds: int, alpha: float) -> None:
    deviation = 0.7
    estimate = Estimate(99.0, deviation / math.sqrt(seeds), seeds - 1, seeds)
    effect = minimum_detectable_effect(estimate, alpha) / deviation
    # Not solve_power, which stops far from the solution for two or three seeds, nor the lower tail, which is
    # next to nothing here but sometimes NaN.
    power = TTestPower().power(effect, nobs=seeds, alpha=alpha / 2, alternative="larger")
    assert power == pytest.approx(0.8, abs=1e-4)


def test_effects_of_that_size_are_found_four_times_in_five() -> None:
    estimate = Estimate(0.0, 0.2, 6, 3)
    effect = minimum_detectable_effect(estimate, 0.05)
    values, errors = drawn(Estimate(effect, 0.2, 6, 3), 20000, seed=1)
    found = np.abs(values / errors) > stats.t.ppf(0.975, 6)
    assert stats.binomtest(int(found.sum()), found.size, 0.8).pvalue > 0.001


@pytest.mark.parametrize(("value", "error", "margin"), [(0.0, 0.15, 0.5), (0.3, 0.15, 0.5), (-0.1, 0.4, 0.5)])
def test_power_of_equivalence_by_simulation(value: float, error: float, margin: float) -> None:
    truth = Estimate(value, error, 8, 5)
    values, errors = drawn(truth, 20000, seed=2)
    decided = np.abs(values) + stats.t.ppf(0.95, 8) * errors < margin
    assert (
        stats.binomtest(int(decided.sum()), decided.size, power_equivalent(truth, margin, 0.05)).pvalue
        > 0.001
    )


@pytest.mark.parametrize(("value", "error"), [(0.0, 0.3), (0.25, 0.2), (-0.4, 0.3), (0.5, 0.1), (0.2, 1.0)])
def test_power_of_deciding_either_way_by_simulation(value: float, error: float) -> None:
    truth = Estimate(value, error, 4, 5)
    values, errors = drawn(truth, 20000, seed=5)
    different = np.abs(values / errors) > stats.t.ppf(1 - 0.01, 4)
    equivalent = np.abs(values) + stats.t.ppf(0.95, 4) * errors < 0.5
    decided = int((different | equivalent).sum())
    assert stats.binomtest(decided, 20000, power_decided(truth, 0.5, 0.02, 0.05)).pvalue > 0.001


def test_power_of_lying_outside_by_simulation() -> None:
    truth = Estimate(-1.0, 0.2, 8, 5)
    values, errors = drawn(truth, 20000, seed=3)
    decided = np.abs(values) - stats.t.ppf(0.975, 8) * errors > 0.5
    assert stats.binomtest(int(decided.sum()), decided.size, power_outside(truth, 0.5, 0.05)).pvalue > 0.001


def test_false_equivalence_stays_below_its_level() -> None:
    for error in (0.01, 0.1, 0.3):
        assert power_equivalent(Estimate(0.5, error, 8, 5), 0.5, 0.05) <= 0.05 + 1e-9
    assert power_equivalent(Estimate(0.5, 0.01, 8, 5), 0.5, 0.05) == pytest.approx(0.05, abs=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.2, 0.9])
def test_more_seeds_is_the_smallest_number_that_decides(value: float) -> None:
    # Four cells, four seeds: 9 degrees of freedom, 3 more with each seed; residual deviation 1.
    present = Estimate(value, math.sqrt(2 / 4), 9, 4)

    def decides(truth: Estimate) -> float:
        return power_decided(truth, 0.6, 0.05, 0.05)

    more = more_seeds(present, decides)
    assert more is not None

    def planned(seeds: int) -> Estimate:
        return Estimate(value, math.sqrt(2 / seeds), 3 * (seeds - 1), seeds)

    assert decides(planned(4 + more)) >= 0.8
    assert all(decides(planned(seeds)) < 0.8 for seeds in range(5, 4 + more))
    values, errors = drawn(planned(4 + more), 20000, seed=4)
    freedom = 3 * (3 + more)
    different = np.abs(values / errors) > stats.t.ppf(0.975, freedom)
    equivalent = np.abs(values) + stats.t.ppf(0.95, freedom) * errors < 0.6
    decided = int((different | equivalent).sum())
    assert stats.binomtest(decided, 20000, decides(planned(4 + more))).pvalue > 0.001


def test_more_seeds_knows_when_not_to_answer() -> None:
    assert more_seeds(Estimate(0.1, math.nan, 0, 1), lambda truth: 1.0) is None
    assert more_seeds(Estimate(0.1, 0.0, 3, 4), lambda truth: 1.0) is None
    assert more_seeds(Estimate(1e-4, 1.0, 3, 4), lambda truth: power_above(truth, 0.0, 0.025)) is None
    assert more_seeds(Estimate(0.1, 0.1, 3, 4), lambda truth: 1.0) == 1
    assert more_seeds(Estimate(0.1, 0.1, 3, 4), lambda truth: float(truth.seeds >= 1004)) == 1000
    assert more_seeds(Estimate(0.1, 0.1, 3, 4), lambda truth: float(truth.seeds >= 1005)) is None
    assert minimum_detectable_effect(Estimate(0.1, math.nan, 0, 1), 0.05) == math.inf
