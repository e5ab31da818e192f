"""Verdicts at any look: outcomes, their agreement with intervals, and how often they are wrong."""

import math

import numpy as np
import pytest
from scipy import stats

from foolscope.core.errors import RecipeError
from foolscope.statistics.any_look import judge_at_any_look
from foolscope.statistics.blocks import BlockDesign
from foolscope.statistics.doubts import Doubt
from foolscope.statistics.estimate import holm
from foolscope.statistics.sequential import running_moments, running_p


def design_of(values, **options):
    cells = tuple(f"c{index}" for index in range(len(values)))
    return BlockDesign(cells, tuple(range(values.shape[1])), values, **options)


def simulated(generator, means, seeds, spreads=1.0):
    noise = generator.normal(size=(len(means), seeds)) * np.reshape(spreads, (-1, 1))
    return np.array(means)[:, None] + 3 * generator.normal(size=seeds) + noise


@pytest.fixture
def unplanned(monkeypatch):
    """Leave planning out, which is slow and without a say in the outcome."""
    monkeypatch.setattr("foolscope.statistics.any_look.further_seeds", lambda *arguments: (None, None))


def outcomes(looks):
    return [look.verdict.outcome for look in looks]


def test_each_outcome():
    values = simulated(np.random.default_rng(0), [0.0, 5.0, -5.0, 0.0, 0.5, 0.0], 12, 0.2)
    values[4] += 3 * np.random.default_rng(1).normal(size=12)
    values[5, [2, 3]] = np.nan
    looks = judge_at_any_look(design_of(values), "c0", practical_difference=0.8)
    assert outcomes(looks) == ["helps", "hurts", "no effect", "undecided", "diverged"]
    assert [look.needs for look in looks] == ["nothing"] * 3 + ["more seeds", "nothing"]
    assert [look.verdict.seeds_needed for look in looks[:3]] == [0, 0, 0]
    assert looks[-1].verdict.diverged == 2
    loss = judge_at_any_look(design_of(values), "c0", practical_difference=0.8, higher_is_better=False)
    assert outcomes(loss) == ["hurts", "helps", "no effect", "undecided", "diverged"]


def test_p_values_are_those_of_paired_differences_adjusted_by_holm():
    values = simulated(np.random.default_rng(2), [0.0, 0.4, 1.0, 2.0], 9)
    looks = judge_at_any_look(design_of(values), "c1", practical_difference=0.5, alpha=0.1)
    moments = [running_moments(values[other] - values[1]) for other in (0, 2, 3)]
    two_sided = [2 * min(running_p(each, 0.0), running_p(each, 0.0, below=True)) for each in moments]
    within = [max(running_p(each, -0.5), running_p(each, 0.5, below=True)) for each in moments]
    assert [look.verdict.p_different for look in looks] == pytest.approx(holm(np.array(two_sided)))
    assert [look.verdict.p_equivalent for look in looks] == pytest.approx(holm(np.array(within)))


def test_cells_may_lack_the_later_seeds():
    values = simulated(np.random.default_rng(3), [0.0, 4.0, 0.3], 15)
    absent = np.zeros(values.shape, dtype=bool)
    absent[1, 8:] = True
    values[absent] = np.nan
    helped, other = judge_at_any_look(design_of(values, absent=absent), "c0", practical_difference=0.5)
    assert (helped.verdict.outcome, helped.verdict.seeds, other.verdict.seeds) == ("helps", 8, 15)
    assert helped.verdict.estimate == pytest.approx((values[1] - values[0])[:8].mean())
    assert helped.verdict.diverged == 0


def test_what_is_decided_stays_decided_while_others_get_more_seeds(unplanned):
    generator = np.random.default_rng(4)
    for _ in range(20):
        values = simulated(generator, [0.0, 1.5, 0.6, 0.0], 30)
        earlier = {}
        for seeds in (6, 10, 15, 30):
            looks = judge_at_any_look(design_of(values[:, :seeds]), "c0", practical_difference=0.7)
            p_values = {
                look.verdict.cell: (look.verdict.p_different, look.verdict.p_equivalent) for look in looks
            }
            for cell, before in earlier.items():
                assert np.less_equal(p_values[cell], before).all()
            earlier = p_values


def test_intervals_agree_with_outcomes(unplanned):
    generator = np.random.default_rng(5)
    seen = set()
    for _ in range(150):
        values = simulated(generator, [0.0, 1.5, 0.4, 0.0, 0.0], int(generator.integers(6, 40)))
        for look in judge_at_any_look(design_of(values), "c0", practical_difference=1.2):
            low, high = look.verdict.interval
            outcome = look.verdict.outcome
            seen.add(outcome)
            if outcome in ("helps", "hurts"):
                assert (low > 0) == (outcome == "helps")
                assert (high < 0) == (outcome == "hurts")
            elif outcome == "no effect":
                assert -1.2 < low < high < 1.2
            elif outcome == "smaller than matters":
                assert -1.2 < low < high < 1.2
                assert low > 0 or high < 0
            else:
                assert low <= 0 <= high
                assert low <= -1.2 or high >= 1.2
    assert {"helps", "smaller than matters", "no effect", "undecided"} <= seen


def test_the_step_of_one_image_forbids_what_whole_images_cannot_tell():
    step = 1.0
    latent = np.array([[0.49], [0.51]]) + np.zeros((2, 40))  # 0.02 apart, rounded to 0 and 1
    design = design_of(np.round(latent / step) * step, step=step)
    (look,) = judge_at_any_look(design, "c0", practical_difference=0.1)
    assert look.verdict.outcome == "undecided"
    (naive,) = judge_at_any_look(design_of(np.round(latent)), "c0", practical_difference=0.1)
    assert naive.verdict.outcome == "helps"


def test_images_limit_what_seeds_can_decide():
    values = simulated(np.random.default_rng(6), [0.0, 0.05], 60, 0.02)
    here = judge_at_any_look(design_of(values), "c0", practical_difference=0.02)
    assert outcomes(here) == ["helps"]
    (new,) = judge_at_any_look(
        design_of(values), "c0", practical_difference=0.02, image_parts={"c1": (0.05**2, 300.0)}
    )
    assert (new.verdict.outcome, new.needs) == ("undecided", "more images")
    assert new.verdict.seeds_needed is None
    (few,) = judge_at_any_look(
        design_of(values[:, :3]), "c0", practical_difference=0.02, image_parts={"c1": (0.001**2, 300.0)}
    )
    assert (few.verdict.outcome, few.needs) == ("undecided", "more seeds")


def test_a_plan_is_a_range():
    values = simulated(np.random.default_rng(1), [0.0, 0.8], 6)
    (look,) = judge_at_any_look(design_of(values), "c0", practical_difference=0.2)
    assert look.verdict.outcome == "undecided"
    assert 0 < look.seeds_for_even_chance < look.verdict.seeds_needed
    # The same numbers, the same plan.
    assert look == judge_at_any_look(design_of(values), "c0", practical_difference=0.2)[0]


def test_diverged_baselines_single_seeds_and_identical_trials():
    values = simulated(np.random.default_rng(8), [0.0, 5.0], 8)
    values[0, 0] = np.nan
    (look,) = judge_at_any_look(design_of(values), "c0", practical_difference=0.5)
    assert (look.verdict.outcome, look.needs) == ("undecided", "nothing")
    assert look.verdict.doubts == (Doubt("baseline diverged"),)
    (look,) = judge_at_any_look(design_of(np.array([[0.1], [9.0]])), "c0", practical_difference=0.5)
    assert (look.verdict.outcome, look.verdict.doubts) == ("undecided", (Doubt("one seed"),))
    assert look.verdict.minimum_detectable_effect == math.inf
    same = np.tile([0.3, 0.4, 0.7, 0.2, 0.9, 0.1], (2, 1))
    (look,) = judge_at_any_look(design_of(same), "c0", practical_difference=0.5)
    assert (look.verdict.outcome, look.verdict.doubts) == ("no effect", (Doubt("no spread"),))


def test_mistakes_are_refused():
    design = design_of(np.zeros((2, 3)))
    with pytest.raises(RecipeError, match="practical_difference must be positive"):
        judge_at_any_look(design, "c0", practical_difference=0.0)
    with pytest.raises(ValueError, match="unknown cell 'base'"):
        judge_at_any_look(design, "base", practical_difference=0.5)


@pytest.mark.parametrize("spreads", [(1.0, 1.0, 1.0, 1.0), (3.0, 1.0, 1.0, 1.0)])
def test_families_go_wrong_once_in_twenty_at_most_over_all_looks(spreads, unplanned):
    generator = np.random.default_rng(9)
    runs, false_effects, false_equivalences = 400, 0, 0
    for _ in range(runs):
        null = simulated(generator, [0.0] * 4, 30, spreads)
        looks = judge_at_any_look(design_of(null), "c0", practical_difference=0.01)
        false_effects += any(outcome in ("helps", "hurts") for outcome in outcomes(looks))
        apart = simulated(generator, [0.0, 3.0, -3.0, 3.0], 30, spreads)
        looks = judge_at_any_look(design_of(apart), "c0", practical_difference=3.0)
        false_equivalences += bool({"no effect", "smaller than matters"} & set(outcomes(looks)))
    for wrong in (false_effects, false_equivalences):
        assert stats.binomtest(wrong, runs, 0.05, alternative="greater").pvalue > 0.001
        assert wrong > 0
