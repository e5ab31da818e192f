"""Planning: draws against their closed form, and plans that come true as often as they say."""

import math

import numpy as np
import pytest
from scipy import stats

from foolscope.statistics.planning import further_seeds, plausible_truths
from foolscope.statistics.sequential import running_moments


def test_effects_and_deviations_have_the_posterior_distribution():
    differences = np.random.default_rng(0).normal(0.5, 2.0, 8)
    n, mean, variance, kappa = 8, differences.mean(), differences.var(ddof=1), 0.7
    effects, deviations = plausible_truths(differences, 200_000, np.random.default_rng(1), kappa)
    # Brute force: both likelihoods and the prior on a grid.
    logs = np.linspace(math.log(0.3), math.log(20), 400)
    grid = np.linspace(-4, 5, 801)
    sigma = np.exp(logs)[:, None]
    density = (
        stats.norm.pdf(mean, grid, sigma / math.sqrt(n))
        * stats.norm.pdf(grid, 0, kappa * sigma)
        * stats.chi2.pdf((n - 1) * variance / sigma**2, n - 1)
        / sigma**2
    )  # per d(log σ): 1/σ² times dσ², and the density of s²
    density /= density.sum()
    assert effects.mean() == pytest.approx(float((density * grid).sum()), abs=0.01)
    assert (effects > 0.5).mean() == pytest.approx(float((density * (grid > 0.5)).sum()), abs=0.01)
    expected = float((density * logs[:, None]).sum())
    assert np.log(deviations).mean() == pytest.approx(expected, abs=0.01)


def beyond(differences):
    moments = running_moments(differences)
    return np.abs(moments.means) > stats.t.ppf(0.975, moments.seeds - 1) * moments.errors


def test_four_plans_in_five_come_true():
    generator = np.random.default_rng(2)
    planned, decided = 0, 0
    while planned < 150:
        effect, deviation = generator.normal(), 1.0
        first = generator.normal(effect, deviation, 5)
        if beyond(first)[-1]:
            continue
        more = further_seeds(first, beyond, np.random.default_rng(3))[1]
        if more is None:
            continue
        every = np.concatenate([first, generator.normal(effect, deviation, more)])
        planned += 1
        decided += bool(beyond(every)[-1])
    assert stats.binomtest(decided, planned, 0.8).pvalue > 0.001
    assert decided < 0.9 * planned


def test_what_cannot_be_planned():
    generator = np.random.default_rng(4)
    assert further_seeds(np.array([0.3]), beyond, generator) == (None, None)
    assert further_seeds(np.array([0.3, 0.3]), beyond, generator) == (None, None)

    def never(differences):
        return np.zeros((len(differences), differences.shape[1] - 1), dtype=bool)

    assert further_seeds(np.array([0.3, 0.1]), never, generator) == (None, None)


def test_a_larger_effect_needs_fewer_seeds():
    noise = np.array([-1.0, 1.0, 0.5, -0.5, 0.3])
    needed = [further_seeds(noise + size, beyond, np.random.default_rng(5))[0] for size in (0.3, 0.6, 0.8)]
    assert needed == sorted(needed, reverse=True)
    assert len(set(needed)) == 3
