"""What single runs could have shown: closed forms, and how often it is said wrongly."""

from typing import Any

import numpy as np
import pydantic
import pytest
from scipy import stats

from foolscope.experiments.claims.claim import Claim
from foolscope.experiments.claims.noise import comparison_noise, value_noise
from foolscope.experiments.claims.records import NoiseRecord
from foolscope.experiments.wording.sentences import PLAIN, POINTS
from foolscope.statistics.blocks import BlockDesign, cell_mean, fit_additive, trend_weights
from foolscope.statistics.single_runs import prediction_interval

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
    assert "est published difference" not in record.sentence  # neither the smallest nor the largest of one


def test_the_smallest_of_several_differences_counts() -> None:
    record = found(noise("comparison", "best", 0.56, 0.5, 0.5596, 0.46))
    assert record.rests_on_noise
    assert record.published_difference == pytest.approx(0.0004)
    assert "smallest" in record.sentence
    assert "0.04 points between a and c" in record.sentence
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
        assert "published trend" in record.sentence
        assert "from a to d" in record.sentence
    rising = found(noise("trend", "rises", 0.5, 0.4, 0.3, 0.2))
    assert rising.rests_on_noise is False
    assert "goes the other way" in rising.sentence


def test_steps_and_peaks_are_differences() -> None:
    assert found(noise("trend", "falls steadily", 0.6, 0.55, 0.5, 0.499)).rests_on_noise
    assert found(noise("trend", "falls steadily", 0.6, 0.55, 0.5, 0.45)).rests_on_noise is False
    peak = found(noise("trend", "peaks", 0.5, 0.6, 0.599, 0.5, at="b"))
    assert peak.rests_on_noise
    assert "between b and c" in peak.sentence


def test_no_difference_is_shown_only_where_single_runs_rule_one_out() -> None:
    flat = found(noise("trend", "flat", 0.5, 0.501, 0.5, 0.5))
    assert flat.rests_on_noise
    assert "could not rule out a difference of 0.5 points" in flat.sentence
    assert "largest" in flat.sentence
    assert "0.1 points between b and a" in flat.sentence
    # two one-sided tests: |d| + t(0.95) √2 s < δ
    reach = stats.t.ppf(0.95, 48) * np.sqrt(2) * FIT.residual_deviation
    for margin, rests in ((0.001 + 1.01 * reach, False), (0.001 + 0.99 * reach, True)):
        record = found(noise("comparison", "equal", 0.501, 0.5, practical_difference=margin))
        assert record.rests_on_noise is rests


def test_losses_are_better_lower_and_written_plainly() -> None:
    record = found(noise("comparison", "better", 0.4, 0.5, higher_is_better=False, scale=PLAIN))
    assert record.rests_on_noise is False
    assert "0.1 between a and b" in record.sentence


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


def test_a_published_value_lies_there_or_does_not() -> None:
    low, high = prediction_interval(cell_mean(DESIGN, "a")) or (0, 0)
    for figure, words in (
        ((low + high) / 2, "% does."),
        (high + 0.01, "% does not."),
        (low - 0.01, "% does not."),
    ):
        record = found(value_noise(DESIGN, "a", float(figure), POINTS))
        assert record.sentence.endswith(words)
        assert "with 95 % probability" in record.sentence
        assert record.rests_on_noise is None
        assert (record.low, record.high) == pytest.approx((low, high))


def test_accuracies_end_at_one_hundred_per_cent() -> None:
    near = BlockDesign(("a",), (0, 1, 2), np.array([[0.99, 1.0, 0.98]]))
    assert found(value_noise(near, "a", 1.0, POINTS)).high == 1.0
    assert (found(value_noise(near, "a", 1.0, PLAIN)).high or 0) > 1.0


def test_one_more_run_is_tested_on_the_same_images():
    values = np.array([[0.90, 0.92, 0.91]])
    correct = np.random.default_rng(0).random((1, 3, 50)) < 0.9
    known = BlockDesign(("a",), (0, 1, 2), values, correct=correct)
    alone = BlockDesign(("a",), (0, 1, 2), values)
    assert value_noise(known, "a", 0.5, POINTS) == value_noise(alone, "a", 0.5, POINTS)
