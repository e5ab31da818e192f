"""The spread of a contrast: against scipy where only one reading is possible, and by simulation elsewhere."""

import math

import numpy as np
import pytest
from scipy import stats

from foolscope.statistics.blocks import BlockDesign, contrast, difference, fit_additive, trend_weights
from foolscope.statistics.estimate import Estimate, half_width, p_different
from foolscope.statistics.spread import _matched, cell_variances, robust_contrast, robust_contrasts


def design_of(values: np.ndarray, **options: object) -> BlockDesign:
    cells = tuple(f"c{index}" for index in range(len(values)))
    return BlockDesign(cells, tuple(range(values.shape[1])), values, **options)  # type: ignore[arg-type]


def drawn(generator: np.random.Generator, deviations: list[float], seeds: int) -> BlockDesign:
    noise = generator.normal(size=(len(deviations), seeds)) * np.array(deviations)[:, None]
    return design_of(noise + 3 * generator.normal(size=seeds))


def test_two_cells_are_a_paired_t_test() -> None:
    design = drawn(np.random.default_rng(0), [1.0, 2.0], 6)
    expected = stats.ttest_rel(design.row("c1"), design.row("c0"))
    estimate = robust_contrast(fit_additive(design), difference("c1", "c0"))
    assert p_different(estimate) == pytest.approx(expected.pvalue)
    assert estimate.degrees_of_freedom == 5


def test_cells_that_share_nothing_are_compared_by_welch() -> None:
    generator = np.random.default_rng(1)
    values = generator.normal(size=(3, 7)) * np.array([[1.0], [3.0], [1.0]])
    absent = np.zeros((3, 7), dtype=bool)
    absent[1, 4:] = True
    values[absent] = np.nan
    fit = fit_additive(design_of(values, paired=False, absent=absent))
    expected = stats.ttest_ind(values[1, :4], values[0], equal_var=False)
    estimate = robust_contrast(fit, difference("c1", "c0"))
    assert p_different(estimate) == pytest.approx(expected.pvalue)
    assert estimate.degrees_of_freedom == pytest.approx(expected.df)
    assert estimate.seeds == 4


def test_order_and_direction_do_not_matter() -> None:
    design = drawn(np.random.default_rng(2), [1.0, 4.0, 1.0, 1.0], 5)
    turned = design_of(design.values[::-1])
    fit, other = fit_additive(design), fit_additive(turned)
    one = robust_contrast(fit, difference("c1", "c0"))
    back = robust_contrast(other, difference("c3", "c2"))
    assert (one.value, one.standard_error) == pytest.approx((-back.value, back.standard_error))
    scaled = robust_contrast(fit_additive(design_of(100 * design.values + 7)), difference("c1", "c0"))
    assert scaled.standard_error == pytest.approx(100 * one.standard_error)
    several = robust_contrasts(fit, [difference("c1", "c0"), trend_weights(("c0", "c1", "c2", "c3"))])
    assert several[0].standard_error == pytest.approx(one.standard_error)
    assert robust_contrasts(fit, []) == []


@pytest.mark.parametrize(("cell", "grows"), [("c0", True), ("c4", False)])
def test_a_noisy_cell_counts_where_it_takes_part(cell: str, grows: bool) -> None:
    generator = np.random.default_rng(3)
    ratios = []
    for _ in range(50):
        values = generator.normal(size=(6, 8))
        values[int(cell[1])] *= 10
        fit = fit_additive(design_of(values))
        own = robust_contrast(fit, difference("c1", "c0"))
        ratios.append(own.standard_error / contrast(fit, difference("c1", "c0")).standard_error)
    # Pooled over all cells, the standard error is too small by √3 for the noisy one, and far too large else.
    assert np.median(ratios) > 1.4 if grows else np.median(ratios) < 0.5


def test_no_spread_and_one_seed() -> None:
    still = fit_additive(design_of(np.repeat([[0.1], [0.2], [0.7]], 3, axis=1)))
    assert robust_contrast(still, difference("c1", "c0")).standard_error == 0
    step = 1 / 100
    counted = fit_additive(design_of(np.repeat([[0.1], [0.2], [0.7]], 3, axis=1), step=step))
    assert robust_contrast(counted, difference("c1", "c0")).standard_error == pytest.approx(
        step * math.sqrt(2 / 12)
    )
    assert cell_variances(still).tolist() == [0.0, 0.0, 0.0]
    alone = robust_contrast(fit_additive(design_of(np.array([[0.1], [0.4]]))), difference("c1", "c0"))
    assert (alone.degrees_of_freedom, alone.seeds) == (0, 1)
    assert math.isnan(alone.standard_error)


def test_unequal_seeds_use_all_that_the_two_cells_share() -> None:
    generator = np.random.default_rng(4)
    values = generator.normal(size=(4, 12))
    absent = np.zeros((4, 12), dtype=bool)
    absent[2:, 5:] = True
    values[absent] = np.nan
    fit = fit_additive(design_of(values, absent=absent))
    estimate = robust_contrast(fit, difference("c1", "c0"))
    assert estimate.seeds == 12
    assert estimate.value == pytest.approx((values[1] - values[0]).mean())
    assert robust_contrast(fit, difference("c2", "c0")).seeds == 5


def test_a_mixture_is_matched_at_its_quantiles() -> None:
    probability, errors = np.array([[0.7, 0.3]]), np.array([[1.0, 3.0]])
    scale, freedom = _matched(probability, errors, np.array([8.0]))
    estimate = Estimate(0.0, float(scale[0]), float(freedom[0]), 5)
    for tail in (0.05, 0.005):
        size = half_width(estimate, 1 - tail)
        assert probability[0] @ (2 * stats.t.sf(size / errors[0], 8)) == pytest.approx(tail, rel=1e-3)
    between = probability[0] @ (2 * stats.t.sf(half_width(estimate, 0.98) / errors[0], 8))
    assert between == pytest.approx(0.02, rel=0.15)


@pytest.mark.parametrize(
    ("deviations", "seeds", "most"),
    [
        ([1] * 5, 5, 0.05),
        ([3, 1, 1, 1, 1], 5, 0.075),
        ([10, 1, 1, 1, 1], 4, 0.075),
        ([1, 1, 1, 1, 10], 5, 0.05),
    ],
)
def test_error_rate_of_one_comparison(deviations: list[float], seeds: int, most: float) -> None:
    generator = np.random.default_rng(5)
    runs, wrong = 1500, 0
    for _ in range(runs):
        fit = fit_additive(drawn(generator, deviations, seeds))
        wrong += p_different(robust_contrast(fit, difference("c1", "c0"))) < 0.05
    assert stats.binomtest(wrong, runs, most, alternative="greater").pvalue > 0.001
    assert wrong > 0.01 * runs
