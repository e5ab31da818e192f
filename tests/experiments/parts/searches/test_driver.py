import json
import sys

import numpy as np
import pytest
from scipy import stats

from foolscope.core.errors import RecipeError
from foolscope.experiments.parts.searches import SAMPLERS, SearchSettings, check_search, search
from foolscope.experiments.parts.searches.records import SearchRecord
from foolscope.experiments.recipe import recipe_from, with_values
from foolscope.experiments.running.run import Session, StageEvent
from foolscope.experiments.running.store import Store

BASE = recipe_from(
    {
        "dataset": {"name": "digits", "limit": 150},
        "model": {"name": "mlp", "hidden": [8]},
        "optimizer": {"name": "sgd", "learning_rate": 0.02},
        "training": {"epochs": 2, "batch_size": 32},
        "precision": "float32",
        "seed": 3,
    }
)
OVER = {"learning_rate": "1e-3:10:log", "batch_size": [16, 32]}
SMALL = SearchSettings(rounds=2, trials=4, seeds=2, fresh_seeds=3)


@pytest.fixture
def session(tmp_path):
    return Session(Store(tmp_path / "store"), device="cpu")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A search, and the session where it ran."""
    place = Session(Store(tmp_path_factory.mktemp("store")), device="cpu")
    return search(BASE, OVER, session=place, settings=SMALL), place


def finished(session):
    """Every trial in the store: identity to when it was written."""
    return {
        path.parent.name: path.stat().st_mtime_ns for path in session.store.root.glob("trials/*/trial.json")
    }


class KilledError(Exception):
    """What a search that is stopped raises."""


# ------------------------------------------------------------------ what is tried, and what wins


def test_every_number_is_that_of_a_stored_trial(undisturbed):
    record, session = undisturbed
    assert record.seeds == [3, 4]
    assert [len(each.trials) for each in record.rounds] == [4, 4]
    for each in record.rounds:
        for trial in each.trials:
            stored = [session.store.load(identity) for identity in trial.identities]
            expected = [with_values(BASE, {**trial.values, "seed": seed}) for seed in record.seeds]
            assert [own.recipe for own in stored] == expected
            measured = [own.metric("validation_accuracy") for own in stored]
            if any(np.isnan(measured)):
                assert trial.score is None
            else:
                assert trial.scores == measured
                assert trial.score == pytest.approx(np.mean(measured))
                assert trial.loss == pytest.approx(np.mean([own.metric("validation_loss") for own in stored]))


def test_the_winner_has_the_best_validation_accuracy_whatever_the_test_says(session):
    """Searches until the test set would have chosen otherwise; the validation set chooses each time."""
    for sampler_seed in range(10):
        settings = SearchSettings(
            sampler="random", rounds=1, trials=8, fresh_seeds=3, sampler_seed=sampler_seed
        )
        record = search(BASE, {"learning_rate": "0.1:2:log"}, session=session, settings=settings)
        trials = [session.store.load(trial.identities[0]) for trial in record.rounds[0].trials]
        validation = [trial.metric("validation_accuracy") for trial in trials]
        test = [trial.metric("test_accuracy") for trial in trials]
        (chosen,) = record.best.identities
        place = [trial.identity for trial in trials].index(chosen)
        assert validation[place] == max(validation)
        assert record.winner.values["learning_rate"] == trials[place].recipe.optimizer.learning_rate
        if test[place] < max(test):
            return
    pytest.fail("in no search did the test set prefer another setting")


def test_fresh_seeds_are_fresh_and_shared(undisturbed):
    record, session = undisturbed
    assert record.fresh_seeds == [5, 6, 7]
    assert not set(record.fresh_seeds) & set(record.seeds)
    for own in (record.baseline, record.winner):
        stored = [session.store.load(identity) for identity in own.identities]
        assert [trial.recipe.seed for trial in stored] == record.fresh_seeds
        assert [trial.recipe for trial in stored] == [
            with_values(BASE, {**own.values, "seed": seed}) for seed in record.fresh_seeds
        ]
        assert own.metrics["test_accuracy"] == [trial.metric("test_accuracy") for trial in stored]
    assert record.winner.values == record.best.values
    assert record.baseline.values == {"learning_rate": 0.02, "batch_size": 32}


def test_the_verdict_is_the_paired_t_test(undisturbed):
    record, _ = undisturbed
    winner, baseline = (own.metrics["test_accuracy"] for own in (record.winner, record.baseline))
    paired = stats.ttest_rel(winner, baseline)
    low, high = paired.confidence_interval(0.95)
    assert record.p_different == pytest.approx(paired.pvalue)
    assert record.difference == pytest.approx(np.mean(winner) - np.mean(baseline))
    assert (record.difference_low, record.difference_high) == pytest.approx((low, high))
    margin = record.practical_difference
    equivalent = max(
        stats.ttest_1samp(np.subtract(winner, baseline), -margin, alternative="greater").pvalue,
        stats.ttest_1samp(np.subtract(winner, baseline), margin, alternative="less").pvalue,
    )
    assert record.p_equivalent == pytest.approx(equivalent)
    assert f"{100 * record.winner.means['test_accuracy'][0]:.1f}" in record.summary


def test_the_record_survives_json(undisturbed):
    record, _ = undisturbed
    again = SearchRecord.model_validate(json.loads(json.dumps(record.model_dump(mode="json"))))
    assert again == record


def test_ranges_narrow_around_the_best_of_the_round_before(undisturbed):
    record, _ = undisturbed
    first, second = record.rounds
    assert first.ranges == [(1e-3, 10.0), None]
    best = max(
        (trial for trial in first.trials if trial.score is not None),
        key=lambda trial: (trial.score, -trial.loss),
    ).values["learning_rate"]
    low, high = second.ranges[0]
    assert low == pytest.approx(max(1e-3, best / 10**0.5))  # four decades become one
    assert high == pytest.approx(min(10, best * 10**0.5))
    assert all(low <= trial.values["learning_rate"] <= high for trial in second.trials)


# ------------------------------------------------------------------ going on where it was


@pytest.mark.parametrize(
    ("sampler", "where", "epoch"),
    [
        ("coarse-to-fine", "round 1", 3),
        ("coarse-to-fine", "round 2", 3),
        ("coarse-to-fine", "fresh seeds", 2),
        ("random", "round 1", 3),
        ("tpe", "round 2", 2),
    ],
)
def test_a_killed_search_goes_on_where_it_was(tmp_path, sampler, where, epoch):
    """Killed while a round is being trained, after so many epochs of its packs, each of which has two."""
    settings = SMALL.model_copy(update={"sampler": sampler, "seeds": 1})
    whole = Session(Store(tmp_path / "whole"), device="cpu")
    expected = search(BASE, OVER, session=whole, settings=settings)
    place = Session(Store(tmp_path / "killed"), device="cpu")
    epochs = []

    def kill(event):
        if isinstance(event, StageEvent) and where in event.detail and "epoch" in event.detail:
            epochs.append(event.detail)
            if len(epochs) == epoch:
                raise KilledError

    with pytest.raises(KilledError):
        search(BASE, OVER, session=place, settings=settings, observe=kill)
    before = finished(place)
    assert len(before) < len(finished(whole))
    assert search(BASE, OVER, session=place, settings=settings) == expected
    after = finished(place)
    assert after.keys() == finished(whole).keys()
    assert before.items() <= after.items()


def test_a_finished_search_trains_nothing(undisturbed):
    record, session = undisturbed
    before, events = finished(session), []
    assert search(BASE, OVER, session=session, settings=SMALL, observe=events.append) == record
    assert finished(session) == before
    assert not any("epoch" in event.detail for event in events)


def test_another_round_reuses_the_first_ones(undisturbed):
    record, session = undisturbed
    more = search(
        BASE, OVER, session=session, settings=SMALL.model_copy(update={"rounds": 3, "fresh_seeds": 3})
    )
    assert more.rounds[:2] == record.rounds
    assert len(more.rounds) == 3


def test_progress_rises_to_the_end(session):
    events = []
    search(
        BASE,
        {"learning_rate": "0.01:1:log"},
        session=session,
        settings=SearchSettings(rounds=2, trials=2, fresh_seeds=3),
        observe=events.append,
    )
    fractions = [event.done_fraction for event in events]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
    assert {event.name for event in events} == {"searching"}
    details = " ".join(event.detail for event in events)
    for words in (
        "round 1, 2 settings, epoch 1/2",
        "round 2, 2 settings, best so far",
        "fresh seeds",
    ):
        assert words in details


# ------------------------------------------------------------------ odd ends


def test_a_diverged_setting_is_the_worst(session):
    settings = SearchSettings(sampler="random", rounds=1, trials=4, fresh_seeds=3)
    over = {"learning_rate": [0.1, 1e30]}
    record = search(BASE, over, session=session, settings=settings)
    accuracies = {
        trial.values["learning_rate"]: trial.score for each in record.rounds for trial in each.trials
    }
    assert accuracies[1e30] is None
    assert record.winner.values == {"learning_rate": 0.1}


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_where_everything_diverges_there_is_no_winner(session, sampler):
    settings = SearchSettings(sampler=sampler, rounds=2, trials=2, fresh_seeds=3)
    record = search(BASE, {"learning_rate": "1e30:1e35:log"}, session=session, settings=settings)
    assert (record.best, record.winner, record.outcome) == (None, None, "diverged")
    assert record.summary == "All 4 settings tried for mlp diverged, so there is no winner."
    assert record.baseline.diverged == 0


def test_a_baseline_that_diverges_leaves_the_comparison_open(session):
    settings = SearchSettings(rounds=1, trials=2, fresh_seeds=3)
    record = search(
        with_values(BASE, {"learning_rate": 1e30}),
        {"learning_rate": "0.01:1:log"},
        session=session,
        settings=settings,
    )
    assert record.outcome == "undecided"
    assert "diverged in 3 of 3" in record.summary
    assert record.difference is None


def test_the_baseline_may_win(session):
    record = search(
        with_values(BASE, {"learning_rate": 0.5}),
        {"learning_rate": [0.5, 1e-6]},
        session=session,
        settings=SearchSettings(rounds=1, fresh_seeds=3),
    )
    assert record.outcome == "baseline"
    assert record.winner == record.baseline
    assert "The baseline has the same value" in record.summary


# ------------------------------------------------------------------ refused before anything is trained


@pytest.mark.parametrize(
    ("base", "over", "parts"),
    [
        (
            with_values(BASE, {"validation": "none"}),
            OVER,
            ["chooses by validation accuracy", "digits", "validation = 'stratified'"],
        ),
        (BASE, {"learning_rat": "1:2:log"}, ["Did you mean 'learning_rate'?"]),
    ],
)
def test_a_search_that_cannot_be_run_is_refused(session, base, over, parts):
    with pytest.raises(RecipeError) as caught:
        search(base, over, session=session)
    assert not [part for part in parts if part not in str(caught.value)], caught.value
    assert not finished(session)


def test_optuna_may_be_missing(session, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    check_search(BASE, OVER, SMALL, session)
    with pytest.raises(RecipeError, match=r"pip install 'foolscope\[optuna\]'"):
        search(BASE, OVER, session=session, settings=SMALL.model_copy(update={"sampler": "tpe"}))
    assert not finished(session)
