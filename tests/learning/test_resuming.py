"""A run that is interrupted and started again ends with the same bits."""

import contextlib

import pytest
import torch
from resumable_packs import PACKS, SETTINGS

from foolscope.learning import preparation, train_pack, training
from foolscope.learning.checkpoints import load_tensors, save_tensors
from foolscope.learning.optimizers import SGD, Adam
from foolscope.learning.pack_checkpoints import Checkpoint, stored_packs
from foolscope.learning.packs.packing import solo_program
from foolscope.learning.parameters.averaging import EMA
from foolscope.models import MLP


class InterruptionError(Exception):
    pass


@pytest.fixture(autouse=True)
def _checkpoint_every_epoch(monkeypatch):
    monkeypatch.setattr(training, "_CHECKPOINT_SECONDS", 0.0)


def named(path, trials):
    return Checkpoint(path, tuple(f"trial {position}" for position in range(trials)))


def epochs_trained(trials, dataset, checkpoint, stop=None):
    """Train, with an interruption in an epoch if asked for; return the outcomes and the epochs trained.

    An epoch's report comes before its checkpoint.
    """
    outcomes, epochs = None, []

    def report(progress):
        epochs.append(progress.epoch)
        if progress.epoch == stop:
            raise InterruptionError

    with pytest.raises(InterruptionError) if stop else contextlib.nullcontext():
        outcomes = train_pack(trials, dataset, checkpoint=checkpoint, report=report)
    return outcomes, epochs


def train(trials, dataset, path, *interruptions):
    """Train with an interruption in each of these epochs; return also the epochs of each attempt."""
    attempts = []
    for stop in (*interruptions, None):
        outcomes, epochs = epochs_trained(trials, dataset, named(path, len(trials)), stop)
        attempts.append(epochs)
    return outcomes, attempts


def assert_same_bits(one, other):
    for first, second in zip(one, other, strict=True):
        assert first.status == second.status
        assert first.history == second.history
        assert first.best_epoch == second.best_epoch
        assert first.metrics == second.metrics
        assert first.confusion == second.confusion
        assert first.weights.keys() == second.weights.keys()
        for name, value in first.weights.items():
            assert torch.equal(value, second.weights[name])


def test_the_same_bits_also_one_after_another(tmp_path, make_trial, make_dataset, monkeypatch):
    monkeypatch.setattr(preparation, "pack_program", solo_program)
    trials = [make_trial(training=SETTINGS, **values) for values in PACKS["batch normalization"]]
    undisturbed = train_pack(trials, make_dataset())
    resumed, _ = train(trials, make_dataset(), tmp_path / "pack.safetensors", 3)
    assert_same_bits(resumed, undisturbed)


@pytest.mark.parametrize("name", list(PACKS))
def test_the_same_bits(name, tmp_path, make_trial, make_dataset):
    """Interrupted before there is a checkpoint, in the middle, twice in one epoch, and in the last one."""
    dataset = make_dataset(validation=None if name == "no validation" else 40)
    trials = [make_trial(**{"training": SETTINGS, **values}) for values in PACKS[name]]
    undisturbed = train_pack(trials, dataset)
    resumed, attempts = train(trials, dataset, tmp_path / "pack.safetensors", 1, 3, 3, 5)
    assert attempts == [[1], [1, 2, 3], [3], [3, 4, 5], [5]], "each went on from the last checkpoint"
    assert_same_bits(resumed, undisturbed)


def test_the_examples_hold_what_they_are_for(make_trial, make_dataset):
    def statuses(name):
        trials = [make_trial(**{"training": SETTINGS, **values}) for values in PACKS[name]]
        return [outcome.status for outcome in train_pack(trials, make_dataset())]

    assert statuses("a diverging neighbor") == ["finished", "diverged", "finished"]
    assert "stopped early" in statuses("early stopping")


def test_a_finished_pack_found_again_trains_nothing(tmp_path, make_trial, make_dataset):
    dataset, path, trials = make_dataset(), tmp_path / "pack.safetensors", [make_trial()]
    first, _ = train(trials, dataset, path)
    second, attempts = train(trials, dataset, path)
    assert attempts == [[]]
    assert_same_bits(first, second)


def test_checkpoints_come_after_some_seconds_only(tmp_path, monkeypatch, make_trial, make_dataset):
    monkeypatch.setattr(training, "_CHECKPOINT_SECONDS", 1000.0)
    train([make_trial()], make_dataset(), tmp_path / "pack.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_the_time_before_an_interruption_counts(tmp_path, make_trial, make_dataset):
    path = tmp_path / "pack.safetensors"
    trials = [make_trial(training=SETTINGS, seed=seed) for seed in (0, 1)]
    train(trials, make_dataset(), path, 2)
    tensors, document = load_tensors(path, torch.device("cpu"))
    assert 0 < document["seconds"] < 100
    save_tensors(path, tensors, {**document, "seconds": 1000.0})
    for outcome in train_pack(trials, make_dataset(), checkpoint=named(path, 2)):
        assert 500 < outcome.duration_seconds < 550


@pytest.mark.parametrize(
    "other",
    [
        {"model": MLP(hidden=(9,))},
        {"model": MLP(hidden=(8, 8))},
        {"optimizer": Adam()},
        {"optimizer": SGD(momentum=0.5)},
        {"averaging": EMA()},
        {"precision": "float32"},
    ],
    ids=str,
)
def test_a_checkpoint_that_does_not_fit_is_passed_over(other, tmp_path, make_trial, make_dataset):
    """Its name is that of the trial, but the trial is not: never so, unless the file is not what it says."""
    dataset, path = make_dataset(), tmp_path / "pack.safetensors"
    epochs_trained([make_trial()], dataset, named(path, 1), stop=3)
    outcomes, epochs = epochs_trained([make_trial(**other)], dataset, named(path, 1))
    assert epochs == [1, 2, 3]
    assert_same_bits(outcomes, train_pack([make_trial(**other)], dataset))


@pytest.mark.parametrize(
    "change", ["identity", "version", "damage", "text", "folder", "older layout", "weights"]
)
def test_what_is_not_a_checkpoint_of_its_trials_is_passed_over(change, tmp_path, make_trial, make_dataset):
    dataset, path = make_dataset(), tmp_path / "pack.safetensors"
    epochs_trained([make_trial()], dataset, named(path, 1), stop=3)
    tensors, document = load_tensors(path, torch.device("cpu"))
    tensors = {name: value.clone() for name, value in tensors.items()}
    if change == "identity":
        save_tensors(path, tensors, {**document, "identities": ["another"]})
    elif change == "version":
        save_tensors(path, tensors, {**document, "version": 1})
    elif change == "damage":
        path.write_bytes(path.read_bytes()[:-100])
    elif change == "text":
        path.write_text("{", encoding="utf-8")
    elif change == "folder":
        path.unlink()
        path.mkdir()
    elif change == "older layout":
        del document["identities"], document["version"]
        save_tensors(path, tensors, {**document, "identity": "pack"})
    else:
        save_tensors(path, tensors, {"identity": "trial 0"})
    outcomes, epochs = epochs_trained([make_trial()], dataset, named(path.with_name("own.safetensors"), 1))
    assert epochs == [1, 2, 3]
    assert_same_bits(outcomes, train_pack([make_trial()], dataset))


@pytest.mark.parametrize(
    "change",
    [
        {"identities": ["trial 0", "trial 0"]},
        {"statuses": ["running"]},
        {"trained": [0]},
        {"trained": [0, 2]},
        {"epoch": 1},
        {"histories": [[], []]},
        {"histories": [[{"epoch": 1}], [{"epoch": 1}]]},
        {"best_epochs": None},
        {"seconds": "long"},
    ],
    ids=str,
)
def test_a_document_that_contradicts_itself_is_passed_over(change, tmp_path, make_trial, make_dataset):
    dataset, path = make_dataset(), tmp_path / "pack.safetensors"
    trials = [make_trial(seed=seed) for seed in (0, 1)]
    epochs_trained(trials, dataset, named(path, 2), stop=3)
    tensors, document = load_tensors(path, torch.device("cpu"))
    save_tensors(path, {name: value.clone() for name, value in tensors.items()}, {**document, **change})
    assert stored_packs(tmp_path) == []
    assert train(trials, dataset, path)[1] == [[1, 2, 3]]


def test_a_diverged_trial_is_zero_from_then_on(tmp_path, make_trial, make_dataset):
    """NaN and infinity would compute more slowly on some machines; its neighbors go on."""
    path = tmp_path / "pack.safetensors"
    trials = [make_trial(**{"training": SETTINGS, **values}) for values in PACKS["a diverging neighbor"]]
    train(trials, make_dataset(), path)
    tensors, _ = load_tensors(path, torch.device("cpu"))
    for name, value in tensors.items():
        assert value.isfinite().all()
        assert value[0].abs().max() > 0
        if not name.startswith("mean"):  # moments follow the gradient at zero, which moves nothing
            assert value[1].abs().max() == 0
