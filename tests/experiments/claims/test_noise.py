"""What single runs could have shown: closed forms, and how often it is said wrongly."""

from typing import Any

import numpy as np
import pydantic
import pytest
from scipy import stats

from foolscope.experiments.claims.claim import Claim
from foolscope.experiments.claims.noise import (
    comparison_noise,
    one_more_run,
    single_run_difference,
    single_runs,
    value_noise,
)
from foolscope.experiments.claims.records import NoiseRecord
from foolscope.experiments.wording.sentences import PLAIN, POINTS
from foolscope.statistics.blocks import BlockDesign, contrast, difference, fit_additive, trend_weights

CLAIM = pydantic.TypeAdapter(Claim)
LEVELS = ("a", "b", "c", "d")


def design_of(deviation: float, seed: int = 0, seeds: int = 5, cells: int = 13) -> BlockDesign:
    """Cells that scatter like this around 0.5, with seeds that are good or bad for all of them."""
    generator = np.random.default_rng(seed)
    values = 0.5 + generator.normal(0, deviation, (cells, seeds)) + generator.normal(0, 0.01, seeds)
    labels = (*LEVELS, *(f"({other})" for other in range(cells - 4)))
    return BlockDesign(labels, tuple(range(seeds)), values)


DESIGN = design_of(0.003)
FIT = fit_additive(DESIGN)
CHANCE = stats.t.ppf(0.975, 48) * np.sqrt(2) * FIT.residual_deviation


def noise(
    kind: str, relation: str, *published: float, at: str | None = None, **options: Any
) -> NoiseRecord | None:
    own: dict[str, Any] = {
        "comparison": {"subject": "s", "against": "t"},
        "trend": {"recipe": "r", "factor": "f"},
    }
    place = {"at": 1} if at else {}
    claim = CLAIM.validate_python(
        {"sentence": "So it is", "kind": kind, "is": relation, **own[kind], **place}
    )
    figures = dict(zip(LEVELS, published, strict=False))
    settings = {
        "practical_difference": 0.005,
        "alpha": 0.05,
        "higher_is_better": True,
        "scale": POINTS,
        "at": at,
    }
    return comparison_noise(claim, options.pop("fit", FIT), figures, **{**settings, **options})


def found(record: NoiseRecord | None) -> NoiseRecord:
    assert record is not None
    return record


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
    runs = single_runs(FIT, {"b": 0.4, "a": 0.5})
    estimate = contrast(runs, difference("a", "b"))
    assert estimate.value == pytest.approx(0.1)
    assert estimate.standard_error == pytest.approx(np.sqrt(2) * FIT.residual_deviation)
    assert estimate.degrees_of_freedom == 48


@pytest.mark.parametrize(
    ("factor", "rests"), [(0.99, True), (1.01, False), (0.0, True), (-0.99, True), (-1.01, False)]
)
def test_a_difference_rests_on_noise_up_to_the_closed_form(factor: float, rests: bool) -> None:
    record = found(noise("comparison", "better", 0.5 + factor * CHANCE, 0.5))
    assert record.rests_on_noise is rests
    assert record.published_difference == pytest.approx(factor * CHANCE)
    assert record.chance == pytest.approx(CHANCE)
    assert ("the other way" in record.sentence) == (factor < -1)
    assert ("one run each could not have shown this" in record.sentence) == rests


def test_the_smallest_of_several_differences_counts() -> None:
    record = found(noise("comparison", "best", 0.56, 0.5, 0.5596, 0.46))
    assert record.rests_on_noise
    assert record.published_difference == pytest.approx(0.0004)
    assert record.sentence.startswith(
        "The smallest published difference of 0.04 points (a against c) is within"
    )
    clear = found(noise("comparison", "best", 0.56, 0.5, 0.53, 0.46))
    assert clear.rests_on_noise is False
    assert clear.published_difference == pytest.approx(0.03)
    worse = found(noise("comparison", "worse", 0.4, 0.5))
    assert (worse.rests_on_noise, worse.published_difference) == (False, pytest.approx(-0.1))


def test_a_trend_is_held_against_the_error_of_its_slope() -> None:
    weights = np.array(list(trend_weights(LEVELS).values()))
    chance = stats.t.ppf(0.975, 48) * FIT.residual_deviation * np.sqrt(np.sum(weights**2))
    for factor, rests in ((0.98, True), (1.02, False)):
        slope = factor * chance
        figures = 0.5 - slope * np.array([0, 1, 2, 3]) / 3
        record = found(noise("trend", "falls", *figures.tolist()))
        assert record.rests_on_noise is rests
        assert record.published_difference == pytest.approx(-slope)
        assert record.chance == pytest.approx(chance)
        assert "The published trend of" in record.sentence
        assert "(from a to d)" in record.sentence
    rising = found(noise("trend", "rises", 0.5, 0.4, 0.3, 0.2))
    assert rising.rests_on_noise is False
    assert "goes the other way" in rising.sentence


def test_steps_and_peaks_are_differences() -> None:
    assert found(noise("trend", "falls steadily", 0.6, 0.55, 0.5, 0.499)).rests_on_noise
    assert found(noise("trend", "falls steadily", 0.6, 0.55, 0.5, 0.45)).rests_on_noise is False
    peak = found(noise("trend", "peaks", 0.5, 0.6, 0.5, 0.599, at="b"))
    assert peak.rests_on_noise
    assert "(b against d)" in peak.sentence


def test_no_difference_is_shown_only_where_single_runs_rule_one_out() -> None:
    flat = found(noise("trend", "flat", 0.5, 0.501, 0.5, 0.5))
    assert flat.rests_on_noise
    assert "could not rule out 0.5 points" in flat.sentence
    assert "The largest published difference of 0.1 points (b against a)" in flat.sentence
    # two one-sided tests: |d| + t(0.95) √2 s < δ
    reach = stats.t.ppf(0.95, 48) * np.sqrt(2) * FIT.residual_deviation
    for margin, rests in ((0.001 + 1.01 * reach, False), (0.001 + 0.99 * reach, True)):
        record = found(noise("comparison", "equal", 0.501, 0.5, practical_difference=margin))
        assert record.rests_on_noise is rests


def test_losses_are_better_lower_and_written_plainly() -> None:
    record = found(noise("comparison", "better", 0.4, 0.5, higher_is_better=False, scale=PLAIN))
    assert record.rests_on_noise is False
    assert "of 0.1 (a against b)" in record.sentence


def test_where_seeds_do_not_differ_nothing_is_said() -> None:
    same = BlockDesign(LEVELS, (0, 1), np.tile([[0.5], [0.6], [0.5], [0.4]], 2))
    assert noise("comparison", "better", 0.5, 0.4, fit=fit_additive(same)) is None
    assert value_noise(same, "a", 0.5, POINTS) is None


def test_single_runs_that_do_not_differ_are_rarely_said_to_show_it() -> None:
    generator = np.random.default_rng(6)
    shown = 0
    for seed in range(600):
        fit = fit_additive(design_of(0.003, seed, seeds=3, cells=5))
        figures = generator.normal(0.5, 0.003, 4)
        record = found(noise("trend", "falls", *figures.tolist(), fit=fit))
        shown += record.rests_on_noise is False
    assert stats.binomtest(shown, 600, 0.05).pvalue > 1e-3  # either way


# ------------------------------------------------------------------ one value


def test_one_more_run_lands_in_the_prediction_interval() -> None:
    row = DESIGN.row("a")
    reach = stats.t.ppf(0.975, 4) * row.std(ddof=1) * np.sqrt(1 + 1 / 5)
    assert one_more_run(DESIGN, "a") == pytest.approx((row.mean() - reach, row.mean() + reach))


def test_one_more_run_lands_there_nineteen_times_in_twenty() -> None:
    generator = np.random.default_rng(7)
    inside = 0
    for _ in range(1000):
        runs = generator.normal(0.5, 0.01, 4)
        ends = one_more_run(BlockDesign(("a",), (0, 1, 2), runs[None, :3]), "a")
        assert ends is not None
        inside += ends[0] <= runs[3] <= ends[1]
    assert stats.binomtest(inside, 1000, 0.95).pvalue > 1e-3


def test_a_published_value_lies_there_or_does_not() -> None:
    low, high = one_more_run(DESIGN, "a") or (0, 0)
    for figure, words in (
        ((low + high) / 2, "% does."),
        (high + 0.01, "% does not."),
        (low - 0.01, "% does not."),
    ):
        record = found(value_noise(DESIGN, "a", float(figure), POINTS))
        assert record.sentence.endswith(words)
        assert record.rests_on_noise is None
        assert (record.low, record.high) == pytest.approx((low, high))


def test_accuracies_end_at_one_hundred_per_cent() -> None:
    near = BlockDesign(("a",), (0, 1, 2), np.array([[0.99, 1.0, 0.98]]))
    assert found(value_noise(near, "a", 1.0, POINTS)).high == 1.0
    assert (found(value_noise(near, "a", 1.0, PLAIN)).high or 0) > 1.0


def test_diverged_or_single_trials_say_nothing() -> None:
    assert one_more_run(BlockDesign(("a",), (0, 1), np.array([[0.5, np.nan]])), "a") is None
    assert one_more_run(BlockDesign(("a",), (0,), np.array([[0.5]])), "a") is None
