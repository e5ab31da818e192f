from pathlib import Path

import pytest

from foolscope.experiments.recipe import recipe_from
from foolscope.experiments.running.store import Store, StoredTrial


def trial(seed, status="finished"):
    return StoredTrial(f"trial-{seed}", recipe_from({"seed": seed}), {"status": status}, {}, Path())


@pytest.fixture
def measuring(tmp_path):
    """A function that measures trials and returns (results, whom it measured, what it told)."""

    def measure(trials, **determinants):
        measured, told = [], []

        def one(trial):
            measured.append(trial.recipe.seed)
            return {"square": trial.recipe.seed**2}

        results = Store(tmp_path).remembered_by_seed(
            "squares", determinants, one, trials, lambda *event: told.append(event)
        )
        return results, measured, told

    return measure


def test_every_seed_but_the_diverged_in_the_order_of_the_trials(measuring):
    trials = [trial(5), trial(1, "diverged"), trial(3, "stopped early"), trial(0, "diverged"), trial(2)]
    results, measured, told = measuring(trials)
    assert list(results.items()) == [(5, {"square": 25}), (3, {"square": 9}), (2, {"square": 4})]
    assert measured == [5, 3, 2]
    assert told == [(0.0, "seed 5"), (1 / 3, "seed 3"), (2 / 3, "seed 2")]


def test_nothing_is_measured_twice(measuring):
    first = measuring([trial(1), trial(2)], epsilon=0.1)
    again = measuring([trial(1), trial(2), trial(3)], epsilon=0.1)
    assert again[0] == {**first[0], 3: {"square": 9}}
    assert again[1] == [3]
    assert measuring([trial(1)], epsilon=0.2)[1] == [1]


def test_without_a_model_there_is_no_result(measuring):
    assert measuring([trial(1, "diverged")]) == ({}, [], [])


def test_a_result_has_the_place_in_the_store_that_its_determinants_give_it(measuring, tmp_path):
    results, _, _ = measuring([trial(1)], epsilon=0.1)
    remembered = Store(tmp_path).remembered("squares", {"trial": "trial-1", "epsilon": 0.1}, dict)
    assert remembered == results[1]
