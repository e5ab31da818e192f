"""The two ways that benchmarks/reference.py times train the same network."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import reference

SMALL = reference.Shape(image=(3, 4, 4), hidden=6, classes=3, batch=8)


def test_both_ways_take_the_same_steps_and_go_on_where_they_stand():
    batches = SMALL.batches(6)
    ours, theirs = (start(SMALL) for start in reference.WAYS.values())
    first = ours(batches)
    assert first == pytest.approx(theirs(batches), rel=1e-5)
    second = ours(batches)
    assert second == pytest.approx(theirs(batches), rel=1e-5)
    assert sum(second) < sum(first)


def test_every_round_but_the_first_is_told_and_the_ratio_is_that_of_the_medians():
    found = reference.measure(SMALL, rounds=3, steps=2)
    assert [len(values) for values in found.values()] == [3, 3]
    assert min(min(values) for values in found.values()) > 0
    document = reference.as_json(SMALL, {"ours": [1.0, 9.0, 3.0], "theirs": [2.0, 1.0, 8.0]})
    assert document["ratio"] == {"reached": 1.5, "goal": 2.0}
    assert "MLP 48-6-3, batch 8" in document["title"]


def test_the_default_is_a3():
    shapes = {tuple(each.shape) for each in reference.Shape().model().parameters()}
    assert shapes == {(100, 3072), (100,), (10, 100), (10,)}
    assert reference.Shape().batch == 128
