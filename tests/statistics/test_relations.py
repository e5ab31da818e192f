"""The elementary statements: their p values by other means, and their power."""

import numpy as np
import pytest
from scipy import stats

from foolscope.statistics.estimate import Estimate, negated
from foolscope.statistics.relations import RELATIONS, RelationName, Statement

ROW = np.random.default_rng(0).normal(0.8, 1.0, 6)
ESTIMATE = Estimate(float(ROW.mean()), float(ROW.std(ddof=1) / np.sqrt(6)), 5, 6)
MARGIN = 0.25


def one_sided(bound: float, alternative: str) -> float:
    return float(stats.ttest_1samp(ROW, bound, alternative=alternative).pvalue)


@pytest.mark.parametrize(
    ("relation", "upheld", "contradicted"),
    [
        ("more", stats.ttest_1samp(ROW, 0).pvalue, one_sided(MARGIN, "less")),
        ("less", 1.0, one_sided(-MARGIN, "greater")),
        ("same", one_sided(MARGIN, "less"), 2 * one_sided(MARGIN, "greater")),
        ("near", one_sided(MARGIN, "less"), 2 * one_sided(MARGIN, "greater")),
        ("at least", one_sided(-MARGIN, "greater"), one_sided(-MARGIN, "less")),
        ("at most", one_sided(MARGIN, "less"), one_sided(MARGIN, "greater")),
    ],
)
def test_p_values_are_those_of_t_tests(relation: RelationName, upheld: float, contradicted: float) -> None:
    statement = Statement(relation, ESTIMATE, MARGIN)
    assert statement.p_upheld == pytest.approx(upheld)
    assert statement.p_contradicted == pytest.approx(contradicted)


@pytest.mark.parametrize("relation", RELATIONS)
@pytest.mark.parametrize("value", [-1.0, -0.1, 0.3, 1.2])
def test_power_is_how_often_the_p_value_is_small(relation: RelationName, value: float) -> None:
    generator = np.random.default_rng(1)
    truth = Estimate(value, 0.3, 6, 4)
    values = generator.normal(value, 0.3, 2000).tolist()
    errors = (0.3 * np.sqrt(generator.chisquare(6, 2000) / 6)).tolist()
    drawn = [Estimate(middle, error, 6, 4) for middle, error in zip(values, errors, strict=True)]
    tests = RELATIONS[relation]
    for p_value, power in (
        (tests.upheld, tests.power_upheld),
        (tests.contradicted, tests.power_contradicted),
    ):
        decided = sum(p_value(estimate, 0.8) < 0.05 for estimate in drawn)
        assert stats.binomtest(decided, 2000, power(truth, 0.8, 0.05)).pvalue > 1e-4


@pytest.mark.parametrize(
    ("relation", "boundary"),
    [("more", 0.0), ("same", 0.8), ("near", -0.8), ("at least", -0.8), ("at most", 0.8)],
)
def test_a_false_statement_is_upheld_once_in_twenty_at_most(relation: RelationName, boundary: float) -> None:
    assert RELATIONS[relation].power_upheld(Estimate(boundary, 0.1, 6, 4), 0.8, 0.05) <= 0.05 + 1e-9


@pytest.mark.parametrize(
    ("relation", "boundary"),
    [("more", 0.8), ("less", -0.8), ("same", 0.8), ("at least", -0.8), ("at most", 0.8)],
)
def test_a_true_statement_is_contradicted_once_in_twenty_at_most(
    relation: RelationName, boundary: float
) -> None:
    assert RELATIONS[relation].power_contradicted(Estimate(boundary, 0.1, 6, 4), 0.8, 0.05) <= 0.05 + 1e-9


@pytest.mark.parametrize(
    ("relation", "value", "upholds"), [("at least", 0.05, True), ("at least", -0.8, False)]
)
def test_seeds_are_counted_until_four_experiments_in_five_decide(
    relation: RelationName, value: float, upholds: bool
) -> None:
    """Against the noncentral t: the error goes with 1/√S, and each seed adds a degree of freedom."""
    statement = Statement(relation, Estimate(value, 0.3, 5, 6), MARGIN)
    needed = (statement.seeds_to_uphold if upholds else statement.seeds_to_contradict)(0.01)

    def power(more: int) -> float:
        effect = abs(value + MARGIN) / (0.3 * np.sqrt(6 / (6 + more)))
        return float(stats.nct.sf(stats.t.ppf(0.99, 5 + more), 5 + more, effect))

    assert needed == next(more for more in range(1, 1000) if power(more) >= 0.8)
    assert (statement.seeds_to_contradict if upholds else statement.seeds_to_uphold)(0.01) is None


def test_less_is_more_of_the_opposite() -> None:
    for less, more in (("less", "more"), ("at most", "at least")):
        assert RELATIONS[less].upheld(ESTIMATE, MARGIN) == RELATIONS[more].upheld(negated(ESTIMATE), MARGIN)


def test_at_least_holds_for_seeds_that_are_all_exactly_there() -> None:
    exact = Estimate(0.0, 0.0, 2, 3)
    assert Statement("at least", exact, 0.0, 1.0).p_upheld == 0.0
    assert Statement("at most", exact, 0.0, 1.0).p_upheld == 0.0
    assert Statement("more", exact, 0.0).p_upheld == 1.0
    below = Estimate(-0.5, 0.0, 2, 3)
    assert [Statement("at least", below, margin, 1.0).p_upheld for margin in (0.4, 0.5, 0.6)] == [
        1.0,
        0.0,
        0.0,
    ]
    assert [Statement("at most", negated(below), margin).p_upheld for margin in (0.4, 0.5)] == [1.0, 0.0]
    assert Statement("at least", Estimate(0.0, float("nan"), 0, 1), 0.0, 1.0).p_upheld == 1.0
