"""Doubts: the F test of uneven spread keeps its level, and each reason is found where it holds."""

import math

import numpy as np
from scipy import stats

from foolscope.statistics.blocks import BlockDesign, contrast, difference, fit_additive, paired
from foolscope.statistics.doubts import Doubt, contrast_doubts, estimate_doubts, spread_ratio, uneven_cell
from foolscope.statistics.estimate import Estimate, p_different


def design_of(values: np.ndarray) -> BlockDesign:
    cells = tuple(f"c{index}" for index in range(values.shape[0]))
    return BlockDesign(cells, tuple(range(values.shape[1])), values)


def simulated(generator: np.random.Generator, means: list[float], seeds: int) -> BlockDesign:
    values = np.array(means)[:, None] + 3 * generator.normal(size=seeds)
    return design_of(values + generator.normal(size=(len(means), seeds)))


def test_spread_test_keeps_its_level_and_finds_an_uneven_cell() -> None:
    generator = np.random.default_rng(6)
    runs = 2000
    fits = [fit_additive(simulated(generator, [0.0, 1.0, 2.0, 5.0], seeds=4)) for _ in range(runs)]
    p_values = [spread_ratio(fit, {"c0": 1.0, "c2": -0.5, "c3": -0.5})[1] for fit in fits]
    assert stats.kstest(p_values, "uniform").pvalue > 0.001
    alarms = sum(uneven_cell(fit)[2] < 0.05 for fit in fits)
    assert stats.binomtest(alarms, runs, 0.05, alternative="greater").pvalue > 0.001

    design = simulated(generator, [0.0] * 6, seeds=5)
    design.values[4] += 10 * generator.normal(size=5)
    cell, ratio, p = uneven_cell(fit_additive(design))
    assert cell == "c4"
    assert ratio > 3
    assert p < 0.01


def test_spread_has_nothing_to_say_about_two_cells_or_identical_seeds() -> None:
    fit = fit_additive(simulated(np.random.default_rng(7), [0.0, 1.0], seeds=5))
    assert spread_ratio(fit, difference("c0", "c1")) == (1.0, 1.0)
    still = fit_additive(design_of(np.repeat([[0.1], [0.2], [0.7]], 3, axis=1)))
    assert spread_ratio(still, difference("c0", "c1")) == (1.0, 1.0)
    lonely = fit_additive(design_of(np.array([[0.1, 0.2, 0.1], [0.3, 0.4, 0.3], [0.7, 0.8, 0.9]])))
    assert uneven_cell(lonely) == ("c2", math.inf, 0.0)
    assert spread_ratio(fit_additive(design_of(np.array([[0.1], [0.4]]))), difference("c0", "c1")) == (
        1.0,
        1.0,
    )


def test_estimates_without_a_spread_are_doubted() -> None:
    assert estimate_doubts(Estimate(0.1, math.nan, 0, 1)) == (Doubt("one seed"),)
    assert estimate_doubts(Estimate(0.1, 0.0, 2, 3)) == (Doubt("no spread"),)
    assert estimate_doubts(Estimate(0.1, 0.1, 2, 3)) == ()


def test_an_uneven_cell_is_named_and_the_paired_test_where_it_disagrees() -> None:
    generator = np.random.default_rng(6)
    design = simulated(generator, [0.0, 5.0, 0.0, 0.0, 0.0], seeds=6)
    design.values[4] += 20 * generator.normal(size=6)
    fit, near = fit_additive(design), difference("c1", "c0")
    uneven, disagrees = contrast_doubts(fit, near)
    assert (uneven.kind, uneven.cell, uneven.ratio) == ("uneven spread", *uneven_cell(fit)[:2])
    assert disagrees.p_pooled == p_different(contrast(fit, near)) > 0.05
    assert disagrees.p_paired == p_different(paired(fit, near)) < 0.05
    assert contrast_doubts(fit, near, alpha=0.9) == (uneven,)
    even = fit_additive(simulated(np.random.default_rng(1), [0.0] * 4, seeds=5))
    assert contrast_doubts(even, near) == ()
