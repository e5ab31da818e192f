"""What single runs give: closed forms, and coverage by simulation."""

import numpy as np
import pytest
from scipy import stats

from foolscope.statistics.blocks import BlockDesign, cell_mean, contrast, difference, fit_additive
from foolscope.statistics.estimate import mean_estimate
from foolscope.statistics.single_runs import as_single_runs, prediction_interval, single_run_difference


def design_of(deviation: float, seed: int = 0, seeds: int = 5, cells: int = 13) -> BlockDesign:
    """Cells that scatter like this around 0.5, with seeds that are good or bad for all of them."""
    generator = np.random.default_rng(seed)
    values = 0.5 + generator.normal(0, deviation, (cells, seeds)) + generator.normal(0, 0.01, seeds)
    return BlockDesign(tuple("abcdefghijklm"[:cells]), tuple(range(seeds)), values)


DESIGN = design_of(0.003)
FIT = fit_additive(DESIGN)


def test_two_single_runs_differ_by_t_root_two_s() -> None:
    assert single_run_difference(0.003, 48) == pytest.approx(stats.t.ppf(0.975, 48) * np.sqrt(2) * 0.003)
    assert single_run_difference(0.003, 10**6) == pytest.approx(1.96 * np.sqrt(2) * 0.003, rel=1e-4)
    assert single_run_difference(0.003, 0) == np.inf


def test_two_single_runs_lie_within_it_nineteen_times_in_twenty() -> None:
    generator = np.random.default_rng(5)
    outside = 0
    for seed in range(1000):
        fit = fit_additive(design_of(0.003, seed, seeds=3, cells=4))
        pair = generator.normal(0, 0.003, 2)
        outside += abs(pair[1] - pair[0]) > single_run_difference(
            fit.residual_deviation, fit.degrees_of_freedom
        )
    assert stats.binomtest(outside, 1000, 0.05).pvalue > 1e-3


def test_figures_taken_for_single_runs_have_the_error_of_one_run_each() -> None:
    runs = as_single_runs(FIT, {"b": 0.4, "a": 0.5})
    estimate = contrast(runs, difference("a", "b"))
    assert estimate.value == pytest.approx(0.1)
    assert estimate.standard_error == pytest.approx(np.sqrt(2) * FIT.residual_deviation)
    assert estimate.degrees_of_freedom == 48


def test_one_more_run_lands_in_the_prediction_interval() -> None:
    row = DESIGN.row("a")
    reach = stats.t.ppf(0.975, 4) * row.std(ddof=1) * np.sqrt(1 + 1 / 5)
    assert prediction_interval(cell_mean(DESIGN, "a")) == pytest.approx(
        (row.mean() - reach, row.mean() + reach)
    )


def test_one_more_run_lands_there_nineteen_times_in_twenty() -> None:
    generator = np.random.default_rng(7)
    inside = 0
    for _ in range(1000):
        runs = generator.normal(0.5, 0.01, 4)
        ends = prediction_interval(mean_estimate(runs[:3]))
        assert ends is not None
        inside += ends[0] <= runs[3] <= ends[1]
    assert stats.binomtest(inside, 1000, 0.95).pvalue > 1e-3


def test_without_a_spread_there_is_no_prediction() -> None:
    for values in ([0.5, np.nan], [0.5], [0.5, 0.5]):
        assert prediction_interval(mean_estimate(np.array(values))) is None
