"""A run that is interrupted and started again ends with the same bits."""

import contextlib

import pytest
import torch

from foolscope.augmentation.flips import AlternatingFlip
from foolscope.augmentation.mixing import Mixup
from foolscope.augmentation.noise import Noise
from foolscope.augmentation.policies import RandAugment
from foolscope.core.errors import StoreError
from foolscope.learning import OPTIMIZERS, TrainingSettings, preparation, train_pack, training
from foolscope.learning.adversarial import PGDTraining, TRADESTraining
from foolscope.learning.checkpoints import load_tensors, save_tensors
from foolscope.learning.losses import SquaredError
from foolscope.learning.optimizers import SGD, Adam
from foolscope.learning.packs.packing import solo_program
from foolscope.learning.parameters.averaging import EMA, SWA
from foolscope.learning.schedules import Cosine
from foolscope.models import MLP, FastCNN, LinearRegression, ResNet, SmallCNN


class InterruptionError(Exception):
    pass


@pytest.fixture(autouse=True)
def _checkpoint_every_epoch(monkeypatch):
    monkeypatch.setattr(training, "_CHECKPOINT_SECONDS", 0.0)


def train(trials, dataset, path, *interruptions):
    """Train with an interruption in each of these epochs; return also the epochs of each attempt.

    An epoch's report comes before its checkpoint.
    """
    attempts = []
    for stop in (*interruptions, None):
        epochs = []
        attempts.append(epochs)

        def report(progress, epochs=epochs, stop=stop):
            epochs.append(progress.epoch)
            if progress.epoch == stop:
                raise InterruptionError

        with pytest.raises(InterruptionError) if stop else contextlib.nullcontext():
            outcomes = train_pack(trials, dataset, checkpoint=path, identity="pack", report=report)
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


SETTINGS = TrainingSettings(batch_size=16, epochs=5)

PACKS = {
    **{
        f"optimizer {name}": [
            {"optimizer": entry.settings(name=name, learning_rate=rate, weight_decay=0.01), "seed": seed}
            for seed in (0, 1)
            for rate in (0.01, 0.1)
        ]
        for name, entry in OPTIMIZERS.items()
    },
    "momentum, dropout and a schedule": [
        {
            "optimizer": SGD(momentum=0.9, nesterov=nesterov),
            "model": MLP(hidden=(8,), dropout=0.5),
            "schedule": Cosine(),
        }
        for nesterov in (False, True)
    ],
    "early stopping": [
        {
            "optimizer": SGD(learning_rate=2.0),
            "model": MLP(hidden=(4,)),
            "training": SETTINGS.model_copy(update={"patience": patience}),
        }
        for patience in (1, 2, None)
    ],
    "different epochs": [
        {
            "training": SETTINGS.model_copy(update={"epochs": epochs}),
            "optimizer": SGD(momentum=0.9),
            "model": MLP(hidden=(4 + epochs,)),
            "seed": seed,
        }
        for seed in (0, 1)
        for epochs in (2, 5, 4)
    ],
    "batch normalization": [{"model": ResNet(channels=(2, 3)), "seed": seed} for seed in (0, 1)],
    "a diverging neighbor": [
        {"optimizer": Adam(learning_rate=rate), "model": LinearRegression(), "loss": SquaredError()}
        for rate in (0.01, 1e300, 0.1)
    ],
    "convolutions": [{"model": SmallCNN(units=(9, 8), dropout=0.3), "seed": seed} for seed in (0, 1)],
    "single precision": [
        {"model": MLP(hidden=(8,), dropout=0.3), "precision": "float32", "seed": seed} for seed in (0, 1)
    ],
    "augmentation, frozen layers and averaging": [
        {
            "model": ResNet(channels=(2, 3)),
            "augmentation": (AlternatingFlip(), RandAugment(), Noise(probability=0.5), Mixup()),
            "frozen": ("0.*", "1.*"),
            "averaging": EMA(averaging_decay=0.9),
            "seed": seed,
        }
        for seed in (0, 1)
    ],
    "whitening": [{"model": FastCNN(channels=(4,)), "seed": seed} for seed in (0, 1)],
    "brain floats": [{"model": MLP(hidden=(8,)), "precision": "bfloat16", "optimizer": Adam()}],
    "a defense": [
        {"model": ResNet(channels=(2,)), "defense": PGDTraining(epsilon=epsilon, attack_steps=1)}
        for epsilon in (0.05, 0.1)
    ],
    "trades": [
        {"model": MLP(hidden=(8,), dropout=0.3), "defense": TRADESTraining(epsilon=0.1, attack_steps=2)}
    ],
    "moving averages and early stopping": [
        {
            "averaging": EMA(averaging_decay=decay),
            "optimizer": SGD(learning_rate=2.0),
            "model": MLP(hidden=(4,)),
            "training": SETTINGS.model_copy(update={"patience": patience}),
        }
        for decay, patience in ((0.5, 1), (0.99, 1), (0.9, None))
    ],
    "averages of epochs, in parts, uphill": [
        {
            "averaging": SWA(averaging_start=start),
            "model": ResNet(channels=(2,)),
            "training": SETTINGS.model_copy(update={"sharpness_radius": 0.1, "accumulation": 2}),
        }
        for start in (0.2, 0.6)
    ],
    "no validation": [{"seed": seed} for seed in (0, 1)],
}


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
    for outcome in train_pack(trials, make_dataset(), checkpoint=path, identity="pack"):
        assert 500 < outcome.duration_seconds < 550


def test_the_checkpoint_of_another_pack_is_refused(tmp_path, make_trial, make_dataset):
    dataset, path = make_dataset(), tmp_path / "pack.safetensors"
    train([make_trial()], dataset, path)
    for trials, identity in [
        ([make_trial()], "another"),
        ([make_trial(model=MLP(hidden=(9,)))], "pack"),
        ([make_trial(model=MLP(hidden=(8, 8)))], "pack"),
        ([make_trial(optimizer=Adam())], "pack"),
        ([make_trial(precision="float32")], "pack"),
        ([make_trial()] * 2, "pack"),
    ]:
        with pytest.raises(StoreError, match="is the checkpoint of another pack; delete it") as caught:
            train_pack(trials, dataset, checkpoint=path, identity=identity)
        assert "\n" not in str(caught.value)
    train([make_trial()], dataset, path)


def test_a_truncated_checkpoint_is_one_line(tmp_path, make_trial, make_dataset):
    dataset, path = make_dataset(), tmp_path / "pack.safetensors"
    train([make_trial()], dataset, path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(StoreError, match="delete it and run the same command again") as caught:
        train_pack([make_trial()], dataset, checkpoint=path, identity="pack")
    assert "\n" not in str(caught.value)


def test_a_file_of_weights_is_not_a_checkpoint(tmp_path, make_trial, make_dataset):
    dataset, path = make_dataset(), tmp_path / "pack.safetensors"
    train([make_trial()], dataset, path)
    tensors, _ = load_tensors(path, torch.device("cpu"))
    for document in ({}, [], None, {"identity": "pack"}, {"identity": "pack", "epoch": 3, "step": 9}):
        save_tensors(path, tensors, document)
        with pytest.raises(StoreError, match="delete it"):
            train_pack([make_trial()], dataset, checkpoint=path, identity="pack")


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
