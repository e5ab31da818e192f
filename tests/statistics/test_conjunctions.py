"""Conjunctions: closed forms of their p values, and how often each decision is wrong."""

import numpy as np
import pytest
from scipy import stats

from foolscope.statistics.conjunctions import conjunction_p_values, decide
from foolscope.statistics.estimate import Estimate, holm, mean_estimate
from foolscope.statistics.relations import Statement

RUNS = 500


def statement(value: float, relation: str = "at least", error: float = 0.1, margin: float = 0.0) -> Statement:
    return Statement(relation, Estimate(value, error, 5, 6), margin)  # type: ignore[arg-type]


@pytest.fixture
def _no_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the seeds needed: slow, and without a say in the outcome."""
    monkeypatch.setattr("foolscope.statistics.relations.more_seeds", lambda *arguments: None)


def drawn(generator: np.random.Generator, mean: float, count: int) -> list[Statement]:
    rows = generator.normal(mean, 1.0, (count, 4))
    return [Statement("at least", mean_estimate(row), 0.0) for row in rows]


def test_a_conjunction_is_upheld_by_its_weakest_and_contradicted_by_its_worst_times_their_number() -> None:
    three = [statement(value) for value in (0.3, -0.1, 0.2)]
    below = stats.t.cdf(-0.1 / 0.1, 5)
    assert conjunction_p_values(three) == pytest.approx((1 - below, 3 * below))
    assert conjunction_p_values(three[:1]) == (three[0].p_upheld, three[0].p_contradicted)
    assert conjunction_p_values([statement(0.3)] * 4)[1] == 1.0  # never above 1
    assert conjunction_p_values([]) == (1.0, 1.0)


@pytest.mark.usefixtures("_no_plans")
@pytest.mark.parametrize("count", [1, 3, 10])
def test_a_true_conjunction_is_contradicted_once_in_twenty_however_many_statements_it_makes(
    count: int,
) -> None:
    """All statements are just true and independent, so at least one is contradicted 1 - (1 - α/n)^n times."""
    generator = np.random.default_rng(count)
    outcomes = [decide([drawn(generator, 0.0, count)])[0].outcome for _ in range(RUNS)]
    expected = 1 - (1 - 0.05 / count) ** count
    assert stats.binomtest(outcomes.count("contradicted"), RUNS, expected).pvalue > 1e-3


@pytest.mark.usefixtures("_no_plans")
def test_a_conjunction_with_one_false_statement_is_upheld_once_in_twenty() -> None:
    """The other statements are clearly true, so the false one alone decides: exactly α."""
    generator = np.random.default_rng(5)
    upheld = sum(
        decide([[*drawn(generator, 100.0, 3), *drawn(generator, 0.0, 1)]])[0].outcome == "upheld"
        for _ in range(RUNS)
    )
    assert stats.binomtest(upheld, RUNS, 0.05).pvalue > 1e-3


@pytest.mark.usefixtures("_no_plans")
def test_a_family_of_true_claims_is_contradicted_once_in_twenty() -> None:
    generator = np.random.default_rng(6)
    wrong = sum(
        any(each.outcome == "contradicted" for each in decide([drawn(generator, 0.0, 2) for _ in range(4)]))
        for _ in range(RUNS)
    )
    assert stats.binomtest(wrong, RUNS, 1 - (1 - 0.05 / 8) ** 8).pvalue > 1e-3


def test_each_direction_is_a_family_of_its_own() -> None:
    family = [[statement(value)] for value in (0.5, 0.2, -0.25, 0.01)]
    decisions = decide(family)
    upheld = holm(np.array([each.p_upheld for (each,) in family]))
    contradicted = holm(np.array([each.p_contradicted for (each,) in family]))
    assert [each.p_upheld for each in decisions] == upheld.tolist()
    assert [each.p_contradicted for each in decisions] == contradicted.tolist()
    assert [each.outcome for each in decisions] == ["upheld", "undecided", "undecided", "undecided"]
    assert decide([]) == ()


def test_a_conjunction_without_statements_stays_undecided_and_counts() -> None:
    alone, (first, empty) = decide([[statement(0.3)]])[0], decide([[statement(0.3)], []])
    assert first.p_upheld == 2 * alone.p_upheld
    assert (empty.outcome, empty.p_upheld, empty.p_contradicted) == ("undecided", 1.0, 1.0)
    assert (empty.seeds_needed, empty.decisive) == (None, None)


def test_the_decisive_statement_is_the_one_that_the_outcome_rests_on() -> None:
    assert (
        decide([[statement(0.9), statement(0.4), statement(0.6)]])[0].decisive == 1
    )  # upheld by the weakest
    assert decide([[statement(0.9), statement(-0.5), statement(-0.9)]])[0].decisive == 2  # the most refuted
    assert (
        decide([[statement(0.1), statement(0.05), statement(0.9)]])[0].decisive == 1
    )  # farthest from upheld


def test_real_but_smaller_than_the_margin_is_told() -> None:
    (decision,) = decide([[statement(0.5, "more", margin=2.0)]])
    assert decision.p_upheld < 0.05
    assert decision.outcome == "smaller than matters"


def test_decided_conjunctions_need_no_more_seeds() -> None:
    for value in (0.9, -0.9):
        assert decide([[statement(value)]])[0].seeds_needed == 0


def test_seeds_needed_is_the_quicker_of_upholding_all_and_contradicting_one() -> None:
    slow, quick = statement(0.05), statement(0.15)
    (alone,) = decide([[quick]])
    assert alone.seeds_needed == quick.seeds_to_uphold(0.05)
    (both,) = decide([[slow, quick]])
    assert both.seeds_needed == slow.seeds_to_uphold(0.05)
    false = statement(-0.1)
    (mixed,) = decide([[quick, false]])
    assert mixed.seeds_needed == false.seeds_to_contradict(0.05 / 2) != false.seeds_to_contradict(0.05)
    (never,) = decide([[statement(0.0)]])
    assert never.seeds_needed is None


def test_seeds_needed_are_for_the_level_that_holm_asks_of_each() -> None:
    strong, weak = statement(0.2), statement(0.15)
    needed = [each.seeds_needed for each in decide([[strong], [weak]])]
    assert needed == [strong.seeds_to_uphold(0.025), weak.seeds_to_uphold(0.05)]
