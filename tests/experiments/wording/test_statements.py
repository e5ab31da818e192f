"""What is said of a statement: the estimate, its interval, the test and its p value."""

import math

import pytest

from foolscope.experiments.wording.quantities import Quantity, change_of, difference_between, mean_of
from foolscope.experiments.wording.sentences import PLAIN, POINTS, Scale, p_text
from foolscope.experiments.wording.statements import describe_steps, statement_sentence
from foolscope.statistics.estimate import Estimate
from foolscope.statistics.relations import RELATIONS, RelationName, Statement

GAP = difference_between("a", "b")
TREND = change_of("the fitted trend", "from 1 to 9", noun="trend")
MEAN = mean_of("a averages")


def said(
    relation: RelationName,
    quantity: Quantity,
    contradicting: bool,
    *,
    value: float = 0.03,
    error: float = 0.00468,
    margin: float = 0.01,
    scale: Scale = POINTS,
) -> str:
    reference = 0.0 if quantity.noun else 0.5
    statement = Statement(relation, Estimate(value, error, 4, 5), margin, reference)
    return statement_sentence(statement, quantity, scale, 0.05, contradicting=contradicting)


@pytest.mark.parametrize(
    ("relation", "quantity", "contradicting", "parts"),
    [
        ("more", GAP, False, ["a is 3.0 points above b", "interval 1.7 to 4.3", "for higher: p = 0.003"]),
        ("more", GAP, True, ["3.0 points above", "for less than 1 point higher: p = 0.99"]),
        ("less", GAP, False, ["3.0 points above", "for lower: p = 1"]),
        ("less", GAP, True, ["for less than 1 point lower: p < 0.001"]),
        ("same", GAP, False, ["for a difference below 1 point: p = 0.99"]),
        ("same", GAP, True, ["for a difference above 1 point: p = 0.013"]),
        ("more", TREND, False, ["From 1 to 9 the fitted trend rises by 3.0 points", "a rise: p = 0.003"]),
        ("less", TREND, True, ["for a fall below 1 point: p < 0.001"]),
        ("near", MEAN, False, ["a averages 53.0 %", "51.7 to 54.3", "within 1 point of 50 %: p = 0.99"]),
        ("near", MEAN, True, ["more than 1 point from 50 %: p = 0.013"]),
        ("at least", MEAN, False, ["at least 49 %: p < 0.001"]),
        ("at least", MEAN, True, ["below 49 %: p = 1"]),
        ("at most", MEAN, False, ["at most 51 %: p = 0.99"]),
        ("at most", MEAN, True, ["above 51 %: p = 0.0065"]),
    ],
)
def test_a_statement_says_the_estimate_the_interval_and_the_test(
    relation: RelationName, quantity: Quantity, contradicting: bool, parts: list[str]
) -> None:
    sentence = said(relation, quantity, contradicting)
    assert not [part for part in parts if part not in sentence], sentence


@pytest.mark.parametrize("relation", RELATIONS)
@pytest.mark.parametrize("contradicting", [False, True])
def test_the_p_value_is_the_one_of_the_test_that_is_named(
    relation: RelationName, contradicting: bool
) -> None:
    statement = Statement(relation, Estimate(0.03, 0.02, 4, 5), 0.01, 0.5)
    p = statement.p_contradicted if contradicting else statement.p_upheld
    sentence = statement_sentence(statement, MEAN, POINTS, 0.05, contradicting=contradicting)
    assert sentence.endswith(f": {p_text(p)})")


def test_a_step_of_any_size_is_contradicted_by_one_the_other_way() -> None:
    assert "for lower: p" in said("more", GAP, True, margin=0.0)
    assert "for a rise: p" in said("less", TREND, True, margin=0.0)
    assert "for higher: p" in said("more", GAP, False, margin=0.0)


def test_negative_estimates_are_below_and_fall_and_intervals_keep_signs_only_where_they_hold_both() -> None:
    assert "a is 3.0 points below b (95 % interval 1.7 to 4.3;" in said("less", GAP, False, value=-0.03)
    assert "falls by 3.0 points (95 % interval 1.7 to 4.3;" in said("less", TREND, False, value=-0.03)
    wide = said("less", GAP, False, value=-0.01)
    assert "a is 1.0 points below b (95 % interval of the difference −2.3 to 0.3;" in wide
    assert "interval of the trend −2.3 to 0.3" in said("less", TREND, False, value=-0.01)
    assert "a is level with b" in said("same", GAP, False, value=0.0001)
    assert "stays level" in said("more", TREND, False, value=0.0)
    assert "a averages 49.0 % (95 % interval 47.7 to 50.3" in said("near", MEAN, False, value=-0.01)


def test_one_seed_has_no_interval() -> None:
    statement = Statement("more", Estimate(0.03, math.nan, 0, 1), 0.01)
    sentence = statement_sentence(statement, GAP, POINTS, 0.05, contradicting=False)
    assert "a is 3.0 points above b" in sentence
    assert "one seed" in sentence
    assert "p =" not in sentence


def test_a_number_that_every_seed_gives_is_written_in_full() -> None:
    exact = mean_of("rank:", exact=True)
    sentence = said("at least", exact, False, value=2.25, error=0.0, margin=0.0, scale=PLAIN)
    assert "rank: 2.75 in every seed" in sentence
    assert "at least 0.5" in sentence
    assert "interval" not in sentence


def test_a_quantity_can_have_a_scale_of_its_own() -> None:
    accuracy = change_of("the accuracy", "from 1 to 9", scale=POINTS)
    assert "3.0 points" in said("more", accuracy, False, scale=PLAIN)


def test_steps() -> None:
    assert describe_steps(("a", "b", "c"), (1.0, 2.0, 3.0)) == "the means rise at every step"
    assert (
        describe_steps(("a", "b", "c", "d"), (1.0, 3.0, 3.0, 2.0))
        == "the means rise except from b to c, from c to d"
    )
