"""Tests at any look: the evidence against an integral, bounds against p values, errors against simulation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, optimize, stats

from foolscope.statistics.sequential import (
    IMAGE_SHARE,
    confidence_bounds,
    critical_t,
    log_evidence,
    running_moments,
    running_p,
)


@pytest.mark.parametrize("t", [-3.0, 0.0, 0.7, 2.5, 6.0])
@pytest.mark.parametrize(("seeds", "scale"), [(2, 1.0), (5, 1.0), (12, 0.5), (40, 2.0)])
def test_evidence_is_the_likelihood_ratio_of_t_averaged_over_effects(t, seeds, scale):
    def ratio(effect):
        shifted = stats.nct.pdf(t, seeds - 1, effect * math.sqrt(seeds))
        return 2 * stats.norm.pdf(effect, scale=scale) * shifted / stats.t.pdf(t, seeds - 1)

    # scipy's noncentral t is accurate to about six digits far from its center.
    expected = integrate.quad(ratio, 0, 8 * scale, limit=200)[0]
    assert math.exp(log_evidence(t, seeds, scale)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("seeds", "scale"), [(3, 0.7), (8, 1.0)])
def test_evidence_has_expectation_one_without_an_effect(seeds, scale):
    mean = integrate.quad(
        lambda t: math.exp(log_evidence(t, seeds, scale)) * stats.t.pdf(t, seeds - 1), -300, 300, limit=500
    )[0]
    assert mean == pytest.approx(1, abs=1e-4)


def test_evidence_is_a_martingale_given_the_present():
    # Given t_n, a maximal invariant of the first seeds, the next seed leaves the evidence alone on average.
    generator = np.random.default_rng(0)
    first = np.array([0.4, 1.3, 0.2, 0.9])
    n = len(first)
    # Under no effect the scale is drawn from its right-Haar posterior, the mean is known to be 0.
    deviations = np.sqrt((first**2).sum() / generator.chisquare(n, 400_000))
    following = deviations * generator.standard_normal(len(deviations))
    every = np.concatenate([np.broadcast_to(first, (len(following), n)), following[:, None]], axis=1)
    moments = running_moments(every)
    evidence = np.exp(log_evidence(moments.means / moments.errors, moments.seeds))
    error = evidence[:, -1].std() / math.sqrt(len(evidence))
    assert evidence[:, -1].mean() == pytest.approx(float(evidence[0, -2]), abs=4 * error)
    assert error < 0.01 * float(evidence[0, -2])


@given(st.integers(2, 60), st.floats(1e-6, 0.5))
def test_the_critical_t_has_evidence_one_over_alpha(seeds, alpha):
    critical = float(critical_t(seeds, alpha)[-1])
    if math.isinf(critical):
        assert log_evidence(1e9, seeds) < -math.log(alpha) + 1e-6
    else:
        assert log_evidence(critical, seeds) == pytest.approx(-math.log(alpha), rel=1e-6)


def test_so_few_seeds_can_decide_nothing():
    moments = running_moments(np.full(2, 5.0))  # no scatter at all
    low, high = confidence_bounds(moments, 0.025)
    assert (low, high) == (-math.inf, math.inf)
    assert running_p(moments, 0.0) > 0.025
    assert confidence_bounds(running_moments(np.array([5.0])), 0.025) == (-math.inf, math.inf)
    assert running_p(running_moments(np.array([5.0])), 0.0) == 1


def test_moments_are_those_of_each_prefix_and_missing_seeds_stay_out():
    values = np.random.default_rng(1).normal(size=(2, 7))
    values[1, 4:] = np.nan
    moments = running_moments(values)
    for n in range(2, 8):
        own = values[0, :n]
        assert moments.means[0, n - 2] == pytest.approx(own.mean())
        assert moments.errors[0, n - 2] == pytest.approx(own.std(ddof=1) / math.sqrt(n))
    assert np.isnan(moments.means[1]).tolist() == [False] * 3 + [True] * 3
    short = running_moments(values[1, :4])
    assert running_p(moments, 0.1)[1] == running_p(short, 0.1)


def test_rounding_is_no_scatter():
    values = np.array([0.3 - 0.1, 0.5 - 0.3, 0.9 - 0.7])  # 0.2 but for the last bit
    assert running_moments(values).errors[-1] > 0
    assert running_moments(values, magnitude=0.9).errors.tolist() == [0, 0]


def test_the_step_of_one_image_is_a_floor_that_seeds_do_not_lower():
    step = 1 / 360
    for seeds in (5, 50, 500):
        errors = running_moments(np.full(seeds, 0.01), step=step).errors
        # Two independent rounding errors, each uniform over a step.
        assert errors[-1] == pytest.approx(math.sqrt(2) * stats.uniform(scale=step).std())


@pytest.mark.parametrize("images", [0.0, 0.03])
@given(seed=st.integers(0, 10**6), count=st.integers(6, 25), alpha=st.floats(0.005, 0.05))
def test_bounds_hold_exactly_what_the_tests_do_not_reject(seed, count, alpha, images):
    differences = np.random.default_rng(seed).normal(0.4, 1.0, count)
    moments = running_moments(differences)
    options = {"image_error": images, "image_freedom": 50.0} if images else {}
    low, high = confidence_bounds(moments, alpha, **options)
    middle = (low + high) / 2
    is_empty = running_p(moments, middle) < alpha / 2 or running_p(moments, middle, below=True) < alpha / 2
    if not math.isfinite(low) or is_empty:
        return  # too few seeds; or an empty intersection, of which the last interval is shown
    for below, bound, inside in ((False, low, 1e-6), (True, high, -1e-6)):
        assert running_p(moments, bound + inside, below=below, **options) > alpha * (1 - 1e-4)
        assert running_p(moments, bound - inside, below=below, **options) < alpha * (1 + 1e-4)


def test_seeds_and_images_add_their_half_widths():
    differences = np.random.default_rng(2).normal(1.0, 1.0, 12)
    moments = running_moments(differences)
    alpha, error, freedom = 0.05, 0.2, 30.0
    low, high = confidence_bounds(moments, alpha, image_error=error, image_freedom=freedom)
    own_low, own_high = confidence_bounds(moments, (1 - IMAGE_SHARE) * alpha)
    half = error * stats.t.ppf(1 - IMAGE_SHARE * alpha, freedom)
    assert (low, high) == pytest.approx((own_low - half, own_high + half))
    # The p value is the level at which the bound is 0.
    p = float(running_p(moments, 0.0, image_error=error, image_freedom=freedom))
    root = optimize.brentq(
        lambda level: confidence_bounds(moments, level, image_error=error, image_freedom=freedom)[0],
        1e-6,
        0.9,
    )
    assert p == pytest.approx(root, rel=1e-4)
    # Without images, with any number of degrees of freedom, nothing is split.
    assert running_p(moments, 0.0, image_error=0.0, image_freedom=3.0) == running_p(moments, 0.0)


@pytest.mark.parametrize("mean", [0.0, -0.05])
def test_the_level_holds_at_sixty_looks(mean):
    generator = np.random.default_rng(3)
    runs = 4000
    p_values = running_p(running_moments(generator.normal(mean, 1.0, (runs, 60))), 0.0)
    wrong = int((p_values < 0.05).sum())
    assert stats.binomtest(wrong, runs, 0.05, alternative="greater").pvalue > 0.001
    assert wrong > 0
    # Peeking with the ordinary t test goes wrong far more often, so the simulation can fail.
    moments = running_moments(generator.normal(mean, 1.0, (runs, 60)))
    peeked = (moments.means / moments.errors > stats.t.ppf(0.95, moments.seeds - 1)).any(axis=-1)
    assert stats.binomtest(int(peeked.sum()), runs, 0.05, alternative="greater").pvalue < 0.001


def test_one_deviation_is_found_in_about_twenty_seeds():
    # One residual deviation is 1/√2 standard deviations of a paired difference.
    differences = np.random.default_rng(4).normal(math.sqrt(0.5), 1.0, (2000, 60))
    moments = running_moments(differences)
    evidence = log_evidence(moments.means / moments.errors, moments.seeds)
    found = evidence >= math.log(40)
    first = np.where(found.any(axis=1), moments.seeds[found.argmax(axis=1)], 60)
    assert found.any(axis=1).mean() > 0.97
    assert 20 < first.mean() < 25
