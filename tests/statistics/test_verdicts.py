"""Verdicts: each outcome, and how often they are wrong."""

import math

import numpy as np
import pytest
from scipy import stats

from foolscope.core.errors import RecipeError
from foolscope.statistics.blocks import BlockDesign, difference, fit_additive
from foolscope.statistics.doubts import Doubt
from foolscope.statistics.estimate import holm, interval, p_equivalent
from foolscope.statistics.spread import robust_contrast
from foolscope.statistics.verdicts import judge


def simulated(
    generator: np.random.Generator, means: list[float], seeds: int, noise: float = 1.0
) -> BlockDesign:
    values = np.array(means)[:, None] + 3 * generator.normal(size=seeds)
    values = values + noise * generator.normal(size=values.shape)
    return BlockDesign(tuple(f"c{index}" for index in range(len(means))), tuple(range(seeds)), values)


def test_each_outcome() -> None:
    design = simulated(np.random.default_rng(1), [0.0, 5.0, -5.0, 0.0, 1.5, 0.0], seeds=10, noise=0.2)
    design.values[5, [2, 3]] = np.nan
    verdicts = judge(design, "c0", practical_difference=0.8)
    assert [verdict.outcome for verdict in verdicts] == ["helps", "hurts", "no effect", "helps", "diverged"]
    assert [verdict.cell for verdict in verdicts] == ["c1", "c2", "c3", "c4", "c5"]
    assert [verdict.seeds_needed for verdict in verdicts] == [0, 0, 0, 0, None]
    assert verdicts[-1].diverged == 2
    reversed_verdicts = judge(design, "c0", practical_difference=0.8, higher_is_better=False)
    outcomes = [verdict.outcome for verdict in reversed_verdicts]
    assert outcomes == ["hurts", "helps", "no effect", "hurts", "diverged"]
    noisy = judge(simulated(np.random.default_rng(0), [0.0, 1.0], seeds=3), "c0", practical_difference=0.1)
    assert noisy[0].outcome == "undecided"
    assert noisy[0].seeds_needed
    assert noisy[0].minimum_detectable_effect > 1


def test_a_real_difference_smaller_than_delta_is_smaller_than_matters() -> None:
    design = simulated(np.random.default_rng(1), [0.0, 0.5], seeds=20, noise=0.1)
    (verdict,) = judge(design, "c0", practical_difference=1.0)
    assert verdict.outcome == "smaller than matters"
    assert verdict.p_different < 0.05
    assert 0 < verdict.interval[0] < verdict.interval[1] < 1


def test_numbers_are_those_of_the_statistics_adjusted_over_all_cells() -> None:
    design = simulated(np.random.default_rng(2), [0.0, 0.4, 1.0, 2.0], seeds=5)
    verdicts = judge(design, "c1", practical_difference=0.5, alpha=0.1)
    fit = fit_additive(design)
    estimates = [robust_contrast(fit, difference(cell, "c1")) for cell in ("c0", "c2", "c3")]
    assert [verdict.estimate for verdict in verdicts] == [estimate.value for estimate in estimates]
    for verdict, estimate in zip(verdicts, estimates, strict=True):
        assert verdict.interval == interval(estimate, verdict.confidence)
    adjusted = holm(np.array([p_equivalent(estimate, 0.5) for estimate in estimates]))
    assert [verdict.p_equivalent for verdict in verdicts] == adjusted.tolist()


def test_interval_and_verdict_agree() -> None:
    generator = np.random.default_rng(20)
    seen = set()
    for _ in range(150):
        means = [0.0, *generator.choice([0.0, 0.5, 1.2, -2.0], size=4)]
        for verdict in judge(simulated(generator, means, seeds=8, noise=0.4), "c0", practical_difference=1.0):
            low, high = verdict.interval
            seen.add(verdict.outcome)
            match verdict.outcome:
                case "helps" | "hurts":
                    assert (low > 0) if verdict.outcome == "helps" else (high < 0)
                case "no effect" | "smaller than matters":
                    assert -1 < low < high < 1
                case _:
                    assert low < 0 < high
    assert seen == {"helps", "hurts", "no effect", "smaller than matters", "undecided"}


def test_a_diverged_cell_changes_nothing_for_the_others() -> None:
    design = simulated(np.random.default_rng(3), [0.0, 0.4, 1.0], seeds=5)
    values = np.vstack([design.values, np.full(5, np.inf)])
    wider = BlockDesign((*design.cells, "broken"), design.blocks, values)
    *others, broken = judge(wider, "c0", practical_difference=0.5)
    assert tuple(others) == judge(design, "c0", practical_difference=0.5)
    assert broken.outcome == "diverged"
    assert math.isnan(broken.estimate)


def test_a_diverged_baseline_decides_nothing() -> None:
    design = simulated(np.random.default_rng(4), [0.0, 5.0, 9.0], seeds=5)
    design.values[0, 0] = design.values[1, 1] = np.nan
    verdicts = judge(design, "c0", practical_difference=0.5)
    assert [verdict.outcome for verdict in verdicts] == ["diverged", "undecided"]
    assert verdicts[1].doubts == (Doubt("baseline diverged"),)


def test_one_seed_decides_nothing_and_says_so() -> None:
    design = simulated(np.random.default_rng(5), [0.0, 500.0], seeds=1)
    (verdict,) = judge(design, "c0", practical_difference=0.5)
    assert verdict.outcome == "undecided"
    assert verdict.estimate == pytest.approx(500, abs=10)
    assert verdict.interval == (-math.inf, math.inf)
    assert verdict.minimum_detectable_effect == math.inf
    assert verdict.seeds_needed is None
    assert verdict.doubts == (Doubt("one seed"),)


def test_identical_trials_have_no_effect_and_raise_a_doubt() -> None:
    values = np.repeat([[0.3, 0.4, 0.7]], 2, axis=0)
    (verdict,) = judge(BlockDesign(("a", "b"), (0, 1, 2), values), "a", practical_difference=0.005)
    assert verdict.outcome == "no effect"
    assert verdict.doubts == (Doubt("no spread"),)


def test_two_seeds_that_agree_to_the_image_do_not_decide() -> None:
    step = 1 / 360
    values = 0.9 + step * np.array([[0.0, 0.0], [5.0, 5.0]])
    (verdict,) = judge(BlockDesign(("a", "b"), (0, 1), values, step=step), "a", practical_difference=0.005)
    assert verdict.outcome == "undecided"
    assert verdict.interval[1] - verdict.interval[0] > 2 * step


def test_no_baseline_of_that_name_and_no_practical_difference() -> None:
    design = simulated(np.random.default_rng(7), [0.0, 1.0], seeds=3)
    with pytest.raises(ValueError, match="unknown cell 'base'"):
        judge(design, "base", practical_difference=0.5)
    with pytest.raises(RecipeError, match="practical_difference must be positive"):
        judge(design, "c0", practical_difference=0.0)
    assert judge(BlockDesign(("only",), (0, 1), np.zeros((1, 2))), "only", practical_difference=1.0) == ()


def test_families_go_wrong_once_in_twenty_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    # Slow, and without a say in the outcome.
    monkeypatch.setattr("foolscope.statistics.verdicts.more_seeds", lambda *arguments: None)
    generator = np.random.default_rng(8)
    runs = 500
    false_effects, false_equivalences = 0, 0
    for _ in range(runs):
        null = judge(simulated(generator, [0.0] * 5, seeds=4), "c0", practical_difference=0.01)
        false_effects += any(verdict.outcome in ("helps", "hurts") for verdict in null)
        apart = simulated(generator, [0.0, 4.0, -4.0, 4.0, -4.0], seeds=4)
        verdicts = judge(apart, "c0", practical_difference=4.0)
        false_equivalences += any(
            verdict.outcome in ("no effect", "smaller than matters") for verdict in verdicts
        )
    for wrong in (false_effects, false_equivalences):
        assert stats.binomtest(wrong, runs, 0.05, alternative="greater").pvalue > 0.001
        assert wrong > 0  # a procedure that never errs never decides
