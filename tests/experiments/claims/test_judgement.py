"""Claims put to the test: each outcome of each kind, and how often they are wrong."""

from typing import Any

import numpy as np
import pydantic
import pytest
from scipy import stats

from foolscope.core.errors import RecipeError
from foolscope.experiments.claims.claim import Claim
from foolscope.experiments.claims.judgement import (
    ClaimResult,
    adjust_claims,
    judge_claim,
    judge_evidence,
    untestable,
)
from foolscope.experiments.claims.statements import ClaimStatement, Evidence
from foolscope.experiments.wording.quantities import difference_between, mean_of
from foolscope.statistics.blocks import BlockDesign, difference, fit_additive
from foolscope.statistics.estimate import Estimate
from foolscope.statistics.relations import Statement
from foolscope.statistics.spread import robust_contrast

CLAIM = pydantic.TypeAdapter(Claim)


def simulated(
    means: list[float],
    seed: int = 0,
    seeds: int = 5,
    noise: float = 0.002,
    block: float = 0.004,
    exact: bool = True,
) -> BlockDesign:
    """Noise around these means; ``exact`` takes its own mean away, so that the estimates are the truth."""
    generator = np.random.default_rng(seed)
    blocks = block * generator.normal(size=seeds)
    residuals = noise * generator.normal(size=(len(means), seeds))
    if exact:
        blocks -= blocks.mean()
        residuals -= residuals.mean(axis=1, keepdims=True)
    values = np.array(means)[:, None] + blocks + residuals
    return BlockDesign(tuple("abcdef"[: len(means)]), tuple(range(seeds)), values)


def claim(kind: str, relation: str, **fields: Any) -> Any:
    own: dict[str, Any] = {
        "value": {"recipe": "r"},
        "comparison": {"subject": "s", "against": "t"},
        "trend": {"recipe": "r", "factor": "f"},
    }[kind]
    return CLAIM.validate_python({"sentence": "So it is", "kind": kind, "is": relation, **own, **fields})


def judged(given: Any, design: BlockDesign, cells: str, **options: Any) -> ClaimResult:
    return judge_claim(given, design, tuple(cells), **{"practical_difference": 0.005, **options})


@pytest.mark.parametrize(
    ("relation", "value", "noise", "outcome"),
    [
        ("equal", 0.51, 0.002, "upheld"),
        ("equal", 0.55, 0.002, "contradicted"),
        ("equal", 0.51, 0.02, "undecided"),
        ("at least", 0.50, 0.002, "upheld"),
        ("at least", 0.53, 0.002, "contradicted"),
        ("at least", 0.51, 0.02, "undecided"),
        ("at most", 0.53, 0.002, "upheld"),
        ("at most", 0.50, 0.002, "contradicted"),
        ("at most", 0.51, 0.02, "undecided"),
    ],
)
def test_values(relation: str, value: float, noise: float, outcome: str) -> None:
    design = simulated([0.51, 0.3], noise=noise, block=0.001)
    result = judged(claim("value", relation, value=value), design, "a")
    assert result.outcome == outcome
    assert (result.seeds_needed == 0) == (outcome != "undecided")


def test_tolerance_comes_from_the_study_only_for_equal() -> None:
    margins = [
        judged(claim("value", relation, value=0.5, **fields), simulated([0.5, 0.5]), "a").statements[0].margin
        for relation, fields in (("equal", {}), ("equal", {"tolerance": 0.01}), ("at least", {}))
    ]
    assert margins == [0.005, 0.01, 0.0]


@pytest.mark.parametrize(
    ("relation", "means", "outcome"),
    [
        ("better", [0.55, 0.5], "upheld"),
        ("better", [0.5, 0.55], "contradicted"),
        ("better", [0.5, 0.5], "contradicted"),  # shown equivalent
        ("better", [0.504, 0.5], "undecided"),
        ("worse", [0.5, 0.55], "upheld"),
        ("worse", [0.55, 0.5], "contradicted"),
        ("higher", [0.55, 0.5], "upheld"),
        ("lower", [0.55, 0.5], "contradicted"),
        ("equal", [0.5, 0.5], "upheld"),
        ("equal", [0.55, 0.5], "contradicted"),
        ("equal", [0.506, 0.5], "undecided"),
        ("best", [0.55, 0.5, 0.45, 0.52], "upheld"),
        ("best", [0.55, 0.5, 0.57, 0.52], "contradicted"),
        ("best", [0.55, 0.5, 0.546, 0.52], "undecided"),
    ],
)
def test_comparisons(relation: str, means: list[float], outcome: str) -> None:
    design = simulated(means, noise=0.006 if outcome == "undecided" else 0.001)
    result = judged(claim("comparison", relation), design, "abcdef"[: len(means)])
    assert result.outcome == outcome
    assert len(result.statements) == len(means) - 1


def test_a_claim_of_several_statements_is_contradicted_at_a_share_of_the_level() -> None:
    result = judged(claim("comparison", "best"), simulated([0.5, 0.49, 0.503, 0.49]), "abcd")
    worst = min(statement.p_contradicted for statement in result.statements)
    assert result.p_contradicted == pytest.approx(3 * worst)
    assert result.p_upheld == max(statement.p_upheld for statement in result.statements)


def test_better_reads_the_metric_but_lower_does_not() -> None:
    design = simulated([0.5, 0.55])
    assert judged(claim("comparison", "better"), design, "ab", higher_is_better=False).outcome == "upheld"
    assert judged(claim("comparison", "worse"), design, "ba", higher_is_better=False).outcome == "upheld"
    assert judged(claim("comparison", "lower"), design, "ab", higher_is_better=False).outcome == "upheld"


@pytest.mark.parametrize(
    ("relation", "means", "outcome"),
    [
        ("falls", [0.514, 0.505, 0.495, 0.470], "upheld"),
        ("rises", [0.514, 0.505, 0.495, 0.470], "contradicted"),
        ("rises", [0.50, 0.50, 0.50, 0.50], "contradicted"),  # shown to be smaller than δ
        ("falls steadily", [0.514, 0.505, 0.495, 0.470], "upheld"),
        ("falls steadily", [0.514, 0.495, 0.505, 0.470], "contradicted"),
        ("falls steadily", [0.514, 0.505, 0.505, 0.470], "undecided"),
        ("flat", [0.5, 0.5, 0.5, 0.5], "upheld"),
        ("flat", [0.5, 0.55, 0.55, 0.5], "contradicted"),  # no trend, but not flat
        ("peaks", [0.48, 0.51, 0.52, 0.50], "upheld"),
        ("peaks", [0.53, 0.51, 0.52, 0.50], "upheld"),  # above its neighbours, which is what a peak is
        ("peaks", [0.48, 0.51, 0.52, 0.53], "contradicted"),  # the last level is higher
        ("peaks", [0.48, 0.54, 0.52, 0.50], "contradicted"),  # above both ends, but on a slope
    ],
)
def test_trends(relation: str, means: list[float], outcome: str) -> None:
    fields = {"at": 3} if relation == "peaks" else {}
    at = "c" if relation == "peaks" else None
    result = judged(claim("trend", relation, **fields), simulated(means, noise=0.001), "abcd", at=at)
    assert result.outcome == outcome


def test_a_trend_is_told_from_its_first_level_to_its_last() -> None:
    reason = judged(claim("trend", "rises"), simulated([0.5, 0.6, 0.7, 0.8]), "abcd").reason
    assert "From a to d the fitted trend rises by 30.0 points" in reason


@pytest.mark.parametrize(
    ("relation", "means", "outcome", "phrase"),
    [
        ("no better", [0.5, 0.52], "upheld", "test for less than 0.5 points higher"),
        ("no better", [0.5, 0.5], "upheld", "test for less than 0.5 points higher"),
        ("no better", [0.52, 0.5], "contradicted", "test for more than 0.5 points higher"),
        ("no worse", [0.5, 0.52], "contradicted", "test for more than 0.5 points lower"),
        ("no worse", [0.52, 0.5], "upheld", "test for less than 0.5 points lower"),
    ],
)
def test_no_better_and_no_worse_are_one_sided(
    relation: str, means: list[float], outcome: str, phrase: str
) -> None:
    result = judged(claim("comparison", relation), simulated(means, noise=0.001), "ab")
    assert result.outcome == outcome
    assert phrase in result.reason


@pytest.mark.parametrize(("p", "is_doubted"), [(0.049, True), (0.051, False)])
def test_each_of_three_steps_the_other_way_is_doubted_at_a_third_of_the_level(
    p: float, is_doubted: bool
) -> None:
    design = simulated([0.5, 0.6, 0.6, 0.7])
    estimate = robust_contrast(fit_additive(design), difference("c", "b"))
    reach = stats.t.ppf(1 - p / 3, estimate.degrees_of_freedom) * estimate.standard_error
    design.values[2] -= reach + estimate.value
    assert bool(judged(claim("trend", "rises"), design, "abcd").doubts) == is_doubted


def test_a_trend_with_a_step_the_other_way_is_doubted() -> None:
    result = judged(claim("trend", "rises"), simulated([0.5, 0.6, 0.55, 0.7]), "abcd")
    assert result.outcome == "upheld"
    assert result.doubts == ("from b to c the mean goes significantly the other way",)
    assert "the means rise except from b to c" in result.reason


def test_reasons_say_what_was_measured_tested_and_adjusted() -> None:
    values = np.array([[0.684, 0.689, 0.680], [0.651, 0.648, 0.650]])
    design = BlockDesign(("l1", "none"), (0, 1, 2), values)
    better = judge_claim(claim("comparison", "better"), design, ("l1", "none"), practical_difference=0.005)
    for part in ("l1 is 3.5 points above none", "95 % interval 2.1 to 4.9", "higher: p = 0.0088"):
        assert part in better.reason
    alone, doubled = adjust_claims([better]), adjust_claims([better, better])
    assert alone[0].reason == better.reason
    assert doubled[0].reason == better.reason[:-1] + "; adjusted for 2 claims p = 0.018."
    value = judge_claim(claim("value", "equal", value=0.68), design, ("l1",), practical_difference=0.005)
    for part in ("l1 averages 68.4 %", "67.3 to 69.6", "within 0.5 points of 68 %: p = 0.41"):
        assert part in value.reason
    assert f"about {value.seeds_needed} more seeds would decide" in value.reason


def test_diverged_trials_and_single_seeds_leave_a_claim_undecided() -> None:
    design = simulated([0.5, 0.6, 0.7])
    design.values[1, 2] = np.nan
    result = judged(claim("comparison", "worse"), design, "ab")
    assert (result.outcome, result.seeds_needed, result.statements) == ("undecided", None, ())
    assert result.reason == "b diverged in 1 of 5 seeds, so the claim cannot be tested."
    assert judged(claim("comparison", "worse"), design, "ac").outcome == "upheld"
    for given, cells in (
        (claim("comparison", "worse"), "ab"),
        (claim("value", "at least", value=0.1), "a"),
        (claim("trend", "rises"), "abc"),
    ):
        single = judged(given, simulated([0.5, 0.6, 0.7], seeds=1), cells)
        assert (single.outcome, single.seeds_needed) == ("undecided", None)
        assert single.reason.endswith("one seed has no error bar: run at least three.")
        assert single.doubts == ("one seed says nothing about the spread between seeds",)


def test_what_cannot_be_tested_counts_and_is_neither_shown_nor_refuted() -> None:
    untested = untestable("So it is", "No image was left.")
    assert (untested.outcome, untested.p_upheld, untested.p_contradicted) == ("undecided", 1.0, 1.0)
    sure = judged(claim("comparison", "worse"), simulated([0.5, 0.6]), "ab")
    adjusted, still = adjust_claims([sure, untested])
    assert adjusted.p_upheld == pytest.approx(2 * sure.p_upheld)
    assert still == untested


@pytest.mark.parametrize(("p", "outcome"), [(0.049, "upheld"), (0.051, "undecided")])
def test_claims_are_tested_at_five_per_cent(p: float, outcome: str) -> None:
    estimate = Estimate(float(stats.t.ppf(1 - p / 2, 4)), 1.0, 4, 5)
    evidence = Evidence((ClaimStatement(Statement("more", estimate, 0.01), difference_between("a", "b")),))
    assert judge_evidence("So it is", evidence).outcome == outcome
    assert judge_evidence("So it is", evidence, alpha=0.1).outcome == "upheld"


def test_what_every_seed_gives_has_no_p_value_that_could_be_adjusted() -> None:
    statement = Statement("at least", Estimate(0.0, 0.0, 4, 5), 0.0, reference=3.0)
    evidence = Evidence((ClaimStatement(statement, mean_of("the rank:", exact=True)),))
    exact = judge_evidence("So it is", evidence)
    assert "adjusted" not in adjust_claims([exact, exact])[0].reason
    inexact = judge_evidence("So it is", Evidence((ClaimStatement(statement, mean_of("the rank:")),)))
    assert "adjusted for 2 claims" in adjust_claims([inexact, exact])[0].reason


def test_mistakes_are_said() -> None:
    with pytest.raises(RecipeError, match="practical_difference must be positive"):
        judged(claim("comparison", "better"), simulated([0.5, 0.6]), "ab", practical_difference=0.0)
    with pytest.raises(RecipeError, match=r"inner levels \['b'\]; got 'a'"):
        judged(claim("trend", "peaks", at=1), simulated([0.5, 0.6, 0.7]), "abc", at="a")


def test_adjustment_takes_back_what_one_claim_alone_would_uphold() -> None:
    design = simulated([0.5, 0.507, 0.5, 0.5, 0.5, 0.5], noise=0.004)
    weak = judged(claim("comparison", "worse"), design, "ab")
    assert weak.outcome == "upheld"
    sure = judged(claim("value", "at least", value=0.1), design, "a")
    hopeless = judged(claim("comparison", "equal"), simulated([0.5, 0.506]), "ab")
    results = adjust_claims([sure, weak, *[hopeless] * 30])
    assert [results[0].outcome, results[1].outcome] == ["upheld", "undecided"]
    assert results[1].seeds_needed
    assert results[1].p_upheld == pytest.approx(31 * weak.p_upheld)
    assert adjust_claims([sure])[0] == sure


def test_seeds_needed_decide_four_times_in_five() -> None:
    """If the estimate is the truth, so many more seeds bring a decision."""
    present = simulated([0.5, 0.508], noise=0.01, seeds=4, seed=4)
    result = judged(claim("comparison", "worse"), present, "ab")
    assert result.outcome == "undecided"
    needed = result.seeds_needed
    assert needed is not None
    estimate = result.statements[0].estimate
    noise = estimate.standard_error * np.sqrt(
        4 / 2
    )  # residual deviation: the difference has twice its variance
    decided = 0
    for seed in range(300):
        later = simulated(
            [0.5, 0.5 - estimate.value], seed=seed, seeds=4 + needed, noise=float(noise), exact=False
        )
        outcome = judged(claim("comparison", "worse"), later, "ab").outcome
        decided += outcome != "undecided"
    assert stats.binomtest(decided, 300, 0.8, alternative="less").pvalue > 0.001


def test_conjunctions_go_wrong_once_in_twenty_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foolscope.statistics.relations.more_seeds", lambda *arguments: None)
    runs = 200
    upheld, contradicted, flat = 0, 0, 0
    for seed in range(runs):
        tied = simulated([0.55, 0.5, 0.55, 0.4], seed=seed, noise=0.005, exact=False)
        upheld += judged(claim("comparison", "best"), tied, "abcd").outcome == "upheld"
        best = simulated([0.505, 0.5, 0.5, 0.5], seed=seed, noise=0.005, exact=False)
        contradicted += judged(claim("comparison", "best"), best, "abcd").outcome == "contradicted"
        uneven = simulated([0.5, 0.5, 0.505, 0.5], seed=seed, noise=0.001, exact=False)
        flat += judged(claim("trend", "flat"), uneven, "abcd").outcome == "upheld"
    for wrong in (upheld, contradicted, flat):
        assert stats.binomtest(wrong, runs, 0.05, alternative="greater").pvalue > 0.001
    assert upheld + contradicted > 0
