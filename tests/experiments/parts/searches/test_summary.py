import pytest

from foolscope.experiments.parts.searches.records import ContenderRecord
from foolscope.experiments.parts.searches.sampling import Round, ScoredPoint
from foolscope.experiments.parts.searches.space import Choices, Range
from foolscope.experiments.parts.searches.strategies import SearchSettings
from foolscope.experiments.parts.searches.summary import search_record
from foolscope.experiments.recipe import recipe_from

RATE = Range("learning_rate", 0.01, 1.0, "log")
BASE = recipe_from({"model": "mlp"})
BEFORE = [0.90, 0.91, 0.89, 0.90, 0.92]
SCATTER = [0.001, -0.001, 0.002, -0.002, 0.0]


def contender(rate, accuracies):
    mean = sum(accuracies) / len(accuracies)
    return ContenderRecord(
        words=f"learning rate {rate:g}",
        values={"learning_rate": rate},
        identities=["a"] * len(accuracies),
        diverged=0,
        metrics={"test_accuracy": accuracies, "validation_accuracy": accuracies},
        means={"test_accuracy": (mean, mean - 0.01, mean + 0.01)},
    )


def judged(after, space=(RATE,), point=(0.3,)):
    trial = ScoredPoint(point, (0.95,), (0.2,), ("z",))
    return search_record(
        "small",
        BASE,
        space,
        SearchSettings(),
        [Round(space, (trial,))],
        range(1, 6),
        [contender(0.1, BEFORE), contender(0.3, after)],
        practical_difference=0.005,
    )


def moved(by, scatter=1.0):
    return [value + by + scatter * noise for value, noise in zip(BEFORE, SCATTER, strict=True)]


@pytest.mark.parametrize(
    ("after", "outcome", "sentence"),
    [
        (
            moved(0.02),
            "helps",
            "On 5 fresh seeds it gains 2.0 points of test accuracy compared with the baseline (learning rate "
            "0.1): 92.4 % instead of 90.4 % (95 % interval 1.8 to 2.2, p < 0.001).",
        ),
        (
            moved(-0.02),
            "hurts",
            "On 5 fresh seeds it costs 2.0 points of test accuracy compared with the baseline (learning rate "
            "0.1): 88.4 % instead of 90.4 % (95 % interval 1.8 to 2.2, p < 0.001).",
        ),
        (
            moved(-0.001),
            "no effect",
            "On 5 fresh seeds it differs from the baseline (learning rate 0.1) by no more than 0.5 points: "
            "test accuracy 90.3 % and 90.4 % (difference −0.1 points, 90 % interval −0.3 to 0.1, equiv",
        ),
        (
            moved(-0.01, scatter=10.0),
            "undecided",
            "On 5 fresh seeds it is undecided: test accuracy is 89.4 %, that of the baseline "
            "(learning rate 0.1) 90.4 % (difference −1.0 points, 95 % interval −3.0 to 1.0, p = ",
        ),
    ],
)
def test_every_outcome_is_a_sentence(after, outcome, sentence):
    record = judged(after)
    assert record.outcome == outcome
    assert record.summary.startswith(
        "The best of 1 setting tried for small has learning rate 0.3: a validation accuracy of 95.0 %. "
    )
    assert sentence in record.summary
    assert ("more seeds would decide" in record.summary) == (outcome == "undecided")


@pytest.mark.parametrize(
    ("dimension", "value", "end"),
    [
        (RATE, 0.01, "lower end of the range searched, 0.01 to 1"),
        (RATE, 0.95, "upper end of the range searched, 0.01 to 1"),
        (RATE, 0.8, None),  # 5 % of the two decades below the end
        (Range("learning_rate", 0.01, 1.0, "linear"), 0.95, None),
        (Range("momentum", 0.0, 0.5, "linear"), 0.5, "upper end"),
        (Range("momentum", 0.0, 0.5, "linear"), 0.0, None),  # there is no lower momentum
        (Range("batch_size", 1, 8, "log", integer=True), 1, None),
        (Range("batch_size", 2, 8, "log", integer=True), 2, "lower end"),
        (Choices("batch_size", (8, 16)), 16, None),
    ],
)
def test_a_best_value_at_an_end_is_doubted_unless_the_field_ends_there(dimension, value, end):
    doubts = [doubt for doubt in judged(moved(0.02), (dimension,), (value,)).doubts if "range" in doubt]
    assert len(doubts) == (end is not None)
    assert not doubts or end in doubts[0]
