"""What holds for every executor in the table."""

import pytest
import torch

from foolscope.core.errors import StoreError
from foolscope.experiments.running.executors import EXECUTORS, Executor
from foolscope.experiments.running.run import run_trials
from foolscope.learning import training


@pytest.fixture(params=EXECUTORS)
def place(request, session):
    if request.param == "ray":
        request.getfixturevalue("cluster")
    return session(request.param, workers=1 if request.param == "in-process" else 2)


def test_the_table_holds_executors():
    assert all(isinstance(executor, Executor) for executor in EXECUTORS.values())


def test_results_have_the_same_bits_and_progress_is_told(place, recipes, expected, contents):
    before, events = torch.get_rng_state(), []
    trials = run_trials(recipes, place, events.append)
    assert [trial.recipe for trial in trials] == recipes
    assert contents(place.store.root) == expected
    assert [path for path in (place.store.root / "packs").rglob("*") if path.is_file()] == []
    assert torch.equal(torch.get_rng_state(), before)
    fractions = [event.done_fraction for event in events]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert 0 < fractions[0] < 0.1
    for own in (recipes[:2], recipes[2:]):
        epochs = [event.report.epoch for event in events if set(event.trials) == set(own)]
        assert epochs == list(range(1, 17))
    diverged = [event for event in events if None in event.report.running_losses]
    assert diverged
    assert all(set(event.trials) == set(recipes[:2]) for event in diverged)


class KilledError(BaseException):
    pass


def test_a_pack_in_progress_is_gone_on_with(place, recipes, expected, contents, session, monkeypatch):
    def stop(event):
        if event.report.epoch == 12:
            raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(training, "_CHECKPOINT_SECONDS", 0.0)
        interrupted = session("in-process", 1)
        interrupted.store.root = place.store.root
        with pytest.raises(KilledError):
            run_trials(recipes, interrupted, stop)
    assert len(list(place.store.root.glob("packs/*.safetensors"))) == 1
    epochs: dict[int, list[int]] = {16: [], 32: []}
    run_trials(
        recipes,
        place,
        lambda event: epochs[event.trials[0].training.batch_size].append(event.report.epoch),
    )
    assert sorted(own[0] for own in epochs.values()) == [1, 12]
    assert contents(place.store.root) == expected


def test_an_error_in_a_worker_is_the_same_error_here(place, recipes):
    place.store.root.mkdir()
    (place.store.root / "trials").write_text("", encoding="utf-8")
    with pytest.raises(StoreError, match=r"cannot write .*weights\.safetensors") as raised:
        run_trials(recipes, place)
    assert type(raised.value) is StoreError
    assert "\n" not in str(raised.value)
