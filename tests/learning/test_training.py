"""The training loop against a plain loop over one torch module with torch's own optimizer."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from foolscope.core.randomness import torch_generator
from foolscope.learning import SCHEDULES, TrainingSettings, train_pack, training
from foolscope.learning.losses import CrossEntropy, SquaredError
from foolscope.learning.measuring.evaluation import channel_statistics
from foolscope.learning.optimizers import SGD, Adam, AdamW
from foolscope.learning.parameters.regularizers import RegularizationSettings
from foolscope.learning.schedules import Cosine, Exponential, OneCycle, Step, Triangular, learning_rates
from foolscope.models import MLP, Dropout, LinearRegression, ResNet, SmallCNN, Softmax, build_model


def build(trial, dataset):
    mean, deviation = channel_statistics(dataset.train)
    model = build_model(
        trial.model,
        dataset.image_shape,
        len(dataset.classes),
        seed=trial.seed,
        mean=mean,
        deviation=deviation,
    )
    return model.double()


def loss_of(trial, logits, labels):
    if isinstance(trial.loss, CrossEntropy):
        return functional.cross_entropy(logits, labels, label_smoothing=trial.loss.label_smoothing)
    return 0.5 * (logits - functional.one_hot(labels, logits.shape[1])).square().sum(1).mean()


def plain_loop(trial, dataset):
    """Train one trial as a textbook would; return the model after the last epoch."""
    model, optimizer_settings, penalties = build(trial, dataset), trial.optimizer, trial.regularization
    weights = [value for value in model.parameters() if penalties.penalize == "all" or value.dim() > 1]
    if isinstance(optimizer_settings, Adam):
        betas = (optimizer_settings.beta1, optimizer_settings.beta2)
        optimizer = torch.optim.Adam(model.parameters(), 1.0, betas, optimizer_settings.stability)
    else:
        optimizer = torch.optim.SGD(
            model.parameters(), 1.0, optimizer_settings.momentum, nesterov=optimizer_settings.nesterov
        )
    batch_size, epochs = trial.training.batch_size, trial.training.epochs
    per_epoch = math.ceil(len(dataset.train) / batch_size)
    rates = learning_rates(
        trial.schedule,
        optimizer_settings.learning_rate,
        np.arange(per_epoch * epochs),
        steps_per_epoch=per_epoch,
        epochs=epochs,
    ).tolist()
    for epoch in range(epochs):
        model.train()
        generator = torch_generator(trial.seed, "dropout", epoch)
        for layer in model.modules():
            if isinstance(layer, Dropout):
                layer.generator = generator
        order = torch.randperm(len(dataset.train), generator=torch_generator(trial.seed, "batches", epoch))
        for batch in order.split(batch_size):
            rate = rates.pop(0)
            loss = loss_of(
                trial, model(dataset.train.images[batch].double() / 255), dataset.train.labels[batch]
            )
            for weight in weights:
                loss = loss + penalties.l1 * weight.abs().sum() + penalties.l2 / 2 * weight.square().sum()
            optimizer.zero_grad()
            loss.backward()
            if trial.training.clipping is not None:
                norm = torch.cat([value.grad.flatten() for value in model.parameters()]).norm()
                for value in model.parameters():
                    value.grad *= min(1.0, trial.training.clipping / float(norm))
            with torch.no_grad():
                for weight in weights:
                    weight *= 1.0 - rate * optimizer_settings.weight_decay
            optimizer.param_groups[0]["lr"] = rate
            optimizer.step()
    return model.eval()


def assert_like_the_plain_loop(trials, dataset, tolerance=1e-6):
    for trial, outcome in zip(trials, train_pack(trials, dataset), strict=True):
        model = plain_loop(trial, dataset)
        expected = dict(model.named_parameters())
        for name, value in expected.items():
            torch.testing.assert_close(
                outcome.weights[name], value.detach().float(), rtol=tolerance, atol=tolerance
            )
        logits = model(dataset.test.images.double() / 255).detach()
        losses = functional.cross_entropy(logits, dataset.test.labels)
        if isinstance(trial.loss, SquaredError):
            losses = loss_of(trial, logits, dataset.test.labels)
        assert outcome.metrics["test_loss"] == pytest.approx(float(losses), rel=1e-5)
        accuracy = (logits.argmax(1) == dataset.test.labels).double().mean()
        assert outcome.metrics["test_accuracy"] == float(accuracy)


def last(**values):
    return TrainingSettings(**{"batch_size": 16, "epochs": 3, "keep": "last", **values})


PACKS = {
    "one plain trial": [{}],
    "learning rates": [{"optimizer": SGD(learning_rate=rate)} for rate in (0.01, 0.1, 0.5)],
    "momentum": [
        {"optimizer": SGD(momentum=0.9)},
        {"optimizer": SGD(momentum=0.9, nesterov=True, weight_decay=0.1)},
        {"optimizer": SGD()},
    ],
    "Adam": [{"optimizer": Adam(learning_rate=0.01, beta1=0.8)}, {"optimizer": Adam(weight_decay=0.1)}],
    "AdamW": [
        {"optimizer": AdamW(learning_rate=0.01)},
        {"optimizer": AdamW(weight_decay=0.5, stability=0.1)},
    ],
    "schedules": [
        {"schedule": schedule}
        for schedule in (
            Exponential(decay=0.5),
            Step(step_epochs=1),
            Triangular(step_size=3),
            Cosine(),
            OneCycle(),
            Cosine(warmup_epochs=1.5),
        )
    ],
    "penalties": [
        {"regularization": RegularizationSettings(l1=0.01)},
        {"regularization": RegularizationSettings(l2=0.1)},
        {"regularization": RegularizationSettings()},
    ],
    "penalties on everything": [
        {
            "regularization": RegularizationSettings(l1=l1, l2=0.1, penalize="all"),
            "optimizer": SGD(weight_decay=0.2),
        }
        for l1 in (0.0, 0.02)
    ],
    "label smoothing": [{"loss": CrossEntropy(label_smoothing=rate)} for rate in (0.0, 0.1, 0.3)],
    "clipping": [{"training": last(clipping=value)} for value in (0.3, None, 5.0)],
    "dropout": [{"model": MLP(hidden=(8, 6), dropout=rate)} for rate in (0.5, 0.0, 0.2)],
    "squared error": [
        {"model": LinearRegression(), "loss": SquaredError(), "optimizer": SGD(learning_rate=0.02)}
    ]
    * 2,
    "seeds": [
        {"seed": seed, "optimizer": SGD(learning_rate=rate)} for seed in (0, 1) for rate in (0.1, 0.2, 0.3)
    ],
    "uneven seeds": [{"seed": seed} for seed in (0, 0, 1)],
    "scattered seeds": [{"seed": seed, "model": MLP(hidden=(8,), dropout=0.3)} for seed in (0, 1, 0, 1)],
    "convolutions": [
        {"model": SmallCNN(units=(9, 8), dropout=rate), "seed": seed}
        for seed in (0, 1)
        for rate in (0.0, 0.4)
    ],
    "widths": [
        {"model": MLP(hidden=hidden), "regularization": RegularizationSettings(l1=0.01, l2=0.1), "seed": seed}
        for seed in (0, 1)
        for hidden in ((3, 7), (8, 2), (5, 5))
    ],
    "widths with Adam": [
        {"model": MLP(hidden=(hidden,), activation="tanh"), "optimizer": Adam(learning_rate=0.01)}
        for hidden in (2, 9)
    ],
    "widths of convolutions": [
        {
            "model": SmallCNN(channels=channels, units=(9, 8)),
            "optimizer": SGD(momentum=0.9, weight_decay=0.01),
            "training": last(clipping=0.5),
        }
        for channels in ((2, 5), (3, 4))
    ],
    "epochs": [
        {"training": last(epochs=epochs), "schedule": Cosine(), "seed": seed}
        for seed in (0, 1)
        for epochs in (1, 3, 2)
    ],
    "batch normalization": [
        {
            "model": ResNet(channels=(3, 4)),
            "optimizer": SGD(learning_rate=rate, momentum=0.9, weight_decay=0.01),
            "seed": seed,
        }
        for seed in (0, 1)
        for rate in (0.05, 0.1)
    ],
    "batch normalization of different widths": [{"model": ResNet(channels=(width, 4))} for width in (2, 3)],
    "one batch an epoch": [
        {"training": last(batch_size=1000)},
        {"training": last(batch_size=1000), "seed": 1},
    ],
    "one image a batch": [{"training": last(batch_size=1, epochs=1)}],
}


@pytest.mark.parametrize("pack", PACKS.values(), ids=PACKS)
def test_every_trial_is_trained_as_by_a_plain_loop(pack, make_trial, make_dataset):
    """70 images in batches of 16: the last batch has 6."""
    trials = [make_trial(**{"training": last(), **values}) for values in pack]
    assert_like_the_plain_loop(trials, make_dataset())


@pytest.mark.parametrize(
    "options", [{"classes": 2}, {"shape": (3, 5, 7)}, {"validation": None}, {"train": 16}]
)
def test_also_on_other_data(options, make_trial, make_dataset):
    trials = [make_trial(training=last(), seed=seed) for seed in range(2)]
    assert_like_the_plain_loop(trials, make_dataset(**options))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_lower_precision_comes_to_about_the_same(precision, make_trial, make_dataset):
    dataset, model = make_dataset(train=200), MLP(hidden=(16,), dropout=0.2)
    exact, ours = (
        train_pack([make_trial(model=model, precision=kind, training=last())], dataset)[0]
        for kind in ("float64", precision)
    )
    tolerance = {"float32": 1e-4, "bfloat16": 0.03}[precision]
    for name, value in exact.weights.items():
        torch.testing.assert_close(ours.weights[name], value, rtol=0, atol=tolerance)
    assert all(value.dtype == torch.float32 for value in ours.weights.values())


def test_a_trial_alone_is_the_trial_in_the_pack(make_trial, make_dataset):
    trials = [
        make_trial(
            model=MLP(hidden=(8,), dropout=rate), optimizer=SGD(learning_rate=step, momentum=0.9), seed=seed
        )
        for seed, rate, step in [(0, 0.0, 0.1), (0, 0.3, 0.2), (1, 0.2, 0.1), (1, 0.0, 0.05)]
    ]
    dataset = make_dataset()
    for trial, together in zip(trials, train_pack(trials, dataset), strict=True):
        (alone,) = train_pack([trial], dataset)
        assert alone.best_epoch == together.best_epoch
        assert alone.metrics == pytest.approx(together.metrics)
        for name, value in alone.weights.items():
            torch.testing.assert_close(together.weights[name], value)


@pytest.mark.parametrize("optimizer", [SGD, Adam, AdamW])
@pytest.mark.parametrize("validation", [40, None])
def test_a_trial_that_diverges_leaves_its_neighbors_the_same_bits(
    optimizer, validation, make_trial, make_dataset
):
    dataset = make_dataset(validation=validation)
    options = {"model": LinearRegression(), "loss": SquaredError(), "training": last(epochs=6)}

    def run(rate):
        rates = (0.01, rate, 0.02)
        return train_pack(
            [make_trial(optimizer=optimizer(learning_rate=each), **options) for each in rates], dataset
        )

    with_it, without = run(1e30 if optimizer is SGD else 1e300), run(0.03)
    assert [outcome.status for outcome in with_it] == ["finished", "diverged", "finished"]
    for trial in (0, 2):
        assert with_it[trial].history == without[trial].history
        assert with_it[trial].metrics == without[trial].metrics
        for name, value in with_it[trial].weights.items():
            assert torch.equal(value, without[trial].weights[name])
    diverged = with_it[1]
    assert diverged.metrics == {}
    assert diverged.correct == {}
    assert diverged.best_epoch is None
    assert 1 <= len(diverged.history) < 6
    assert diverged.history[-1].running_loss is None or diverged.history[-1].validation_loss is None
    assert all(math.isfinite(record.running_loss) for record in diverged.history[:-1])
    assert all(value.isfinite().all() for value in diverged.weights.values())


def test_divergence_in_the_very_last_step_is_seen_on_the_test_set(make_trial, make_dataset):
    """Without a validation set the last step's weights are first used on the test set."""
    trial = make_trial(
        model=LinearRegression(),
        loss=SquaredError(),
        optimizer=SGD(learning_rate=1e300),
        training=last(batch_size=1000, epochs=1),
    )
    (outcome,) = train_pack([trial], make_dataset(validation=None))
    assert outcome.status == "diverged"
    assert outcome.metrics == {}
    assert outcome.best_epoch is None


def test_divergence_is_seen_on_the_validation_set_before_the_next_epoch(make_trial, make_dataset):
    trial = make_trial(
        model=LinearRegression(),
        loss=SquaredError(),
        optimizer=SGD(learning_rate=1e300),
        training=last(batch_size=1000),
    )
    (outcome,) = train_pack([trial], make_dataset())
    assert outcome.status == "diverged"
    (record,) = outcome.history
    assert record.running_loss is not None
    assert record.validation_loss is None


def test_reports(make_trial, make_dataset):
    reports, dataset = [], make_dataset()
    trials = [
        make_trial(model=LinearRegression(), loss=SquaredError(), optimizer=SGD(learning_rate=rate))
        for rate in (0.01, 1e300)
    ]
    outcomes = train_pack(trials, dataset, report=reports.append)
    assert [(report.epoch, report.epochs) for report in reports] == [(1, 3), (2, 3), (3, 3)]
    for report, record in zip(reports, outcomes[0].history, strict=True):
        assert report.running_losses == (record.running_loss, None)
        assert report.validation_accuracies == (record.validation_accuracy, None)


def test_history_is_what_the_weights_of_each_epoch_give(make_trial, make_dataset):
    """Train for 1, 2 and 3 epochs: the last record of each must match a fresh evaluation of its weights."""
    dataset = make_dataset()
    penalties = RegularizationSettings(l1=0.01, l2=0.1)
    for epochs in (1, 2, 3):
        trial = make_trial(
            training=last(epochs=epochs), schedule=Exponential(decay=0.5), regularization=penalties
        )
        (outcome,) = train_pack([trial], dataset)
        model = build(trial, dataset)
        model.load_state_dict(outcome.weights)
        record = outcome.history[-1]
        assert [each.epoch for each in outcome.history] == list(range(1, epochs + 1))
        assert record.learning_rate == pytest.approx(0.1 * 0.5 ** (epochs - 1))
        logits = model(dataset.validation.images.double() / 255).detach()
        labels = dataset.validation.labels
        assert record.validation_accuracy == float((logits.argmax(1) == labels).double().mean())
        assert record.validation_loss == pytest.approx(
            float(functional.cross_entropy(logits, labels)), rel=1e-5
        )
        weights = [value.detach() for value in model.parameters() if value.dim() > 1]
        expected = sum(0.01 * value.abs().sum() + 0.05 * value.square().sum() for value in weights)
        assert record.penalty == pytest.approx(float(expected), rel=1e-5)


def test_running_loss_and_accuracy_are_over_the_batches_as_trained_on(make_trial, make_dataset):
    """At a learning rate near zero they are those of the initial model on the whole training set."""
    dataset = make_dataset()
    trial = make_trial(optimizer=SGD(learning_rate=1e-300), loss=CrossEntropy(label_smoothing=0.2))
    (outcome,) = train_pack([trial], dataset)
    logits = build(trial, dataset)(dataset.train.images.double() / 255)
    for record in outcome.history:
        assert record.running_loss == pytest.approx(
            float(loss_of(trial, logits, dataset.train.labels).detach())
        )
        assert record.running_accuracy == float((logits.argmax(1) == dataset.train.labels).double().mean())


def test_the_best_checkpoint_is_kept(make_trial, make_dataset):
    dataset = make_dataset()
    options = {"optimizer": SGD(learning_rate=2.0), "model": MLP(hidden=(4,))}
    (best,) = train_pack([make_trial(training=last(keep="best", epochs=12), **options)], dataset)
    accuracies = [record.validation_accuracy for record in best.history]
    top = 1 + int(np.argmax(accuracies))
    assert top < 12, "this test needs a run whose best epoch is not its last"
    assert best.best_epoch == top
    assert best.metrics["validation_accuracy"] == max(accuracies)
    assert best.metrics["validation_loss"] == best.history[top - 1].validation_loss
    (until_then,) = train_pack([make_trial(training=last(epochs=top), **options)], dataset)
    for name, value in best.weights.items():
        assert torch.equal(value, until_then.weights[name])
    (final,) = train_pack([make_trial(training=last(epochs=12), **options)], dataset)
    assert final.best_epoch == 12
    assert final.history == best.history
    assert final.metrics["validation_accuracy"] == accuracies[-1]
    assert any(not torch.equal(value, final.weights[name]) for name, value in best.weights.items())


@pytest.mark.parametrize("keep", ["best", "last"])
@pytest.mark.parametrize("patience", [1, 3])
def test_early_stopping(keep, patience, make_trial, make_dataset):
    """A trial ends after ``patience`` epochs without a better accuracy; its neighbor trains on."""
    dataset = make_dataset()
    options = {"optimizer": SGD(learning_rate=2.0), "model": MLP(hidden=(4,))}
    trials = [
        make_trial(training=last(keep=keep, epochs=20, patience=patience), **options),
        make_trial(training=last(keep=keep, epochs=20), **options),
    ]
    stopped, through = train_pack(trials, dataset)
    accuracies = [record.validation_accuracy for record in through.history]
    expected = next(end for end in range(1, 21) if end - (1 + int(np.argmax(accuracies[:end]))) >= patience)
    assert expected < 20
    assert (stopped.status, through.status) == ("stopped early", "finished")
    assert stopped.history == through.history[:expected]
    assert stopped.steps == expected * 5
    assert through.steps == 20 * 5
    assert stopped.best_epoch == (expected if keep == "last" else expected - patience)
    (short,) = train_pack([make_trial(training=last(epochs=stopped.best_epoch), **options)], dataset)
    for name, value in short.weights.items():
        torch.testing.assert_close(stopped.weights[name], value)


def test_a_pack_ends_when_its_last_trial_has_ended(make_trial, make_dataset):
    reports = []
    trial = make_trial(
        optimizer=SGD(learning_rate=2.0), model=MLP(hidden=(4,)), training=last(epochs=50, patience=1)
    )
    outcomes = train_pack([trial, trial], make_dataset(), report=reports.append)
    assert len(reports) == len(outcomes[0].history) < 50


@pytest.mark.parametrize("keep", ["best", "last"])
def test_without_validation_the_last_checkpoint_is_kept_and_patience_is_endless(
    keep, make_trial, make_dataset
):
    trial = make_trial(training=last(keep=keep, patience=1, epochs=4))
    (outcome,) = train_pack([trial], make_dataset(validation=None))
    assert outcome.status == "finished"
    assert outcome.best_epoch == 4
    assert not any(name.startswith("validation") for name in outcome.metrics)
    assert {record.validation_accuracy for record in outcome.history} == {None}


def test_the_outcome(make_trial, make_dataset):
    dataset = make_dataset()
    (outcome,) = train_pack([make_trial()], dataset)
    confusion = np.array(outcome.confusion)
    assert confusion.sum(axis=1).tolist() == dataset.test.labels.bincount(minlength=3).tolist()
    assert np.trace(confusion) / 50 == outcome.metrics["test_accuracy"]
    assert outcome.parameter_count == (30 + 1) * 8 + (8 + 1) * 3
    assert outcome.steps == 3 * 5
    assert outcome.duration_seconds > 0
    mean, deviation = channel_statistics(dataset.train)
    assert torch.equal(outcome.weights["normalization.mean"], mean)
    assert torch.equal(outcome.weights["normalization.deviation"], deviation)
    document = outcome.as_document()
    assert "weights" not in document
    assert document["history"][0]["epoch"] == 1


def test_confusion_has_true_classes_in_rows(make_trial, make_dataset):
    dataset = make_dataset(classes=2)
    trial = make_trial(model=Softmax(), training=last(epochs=1))
    (outcome,) = train_pack([trial], dataset)
    model = build(trial, dataset)
    model.load_state_dict(outcome.weights)
    predictions = model(dataset.test.images.double() / 255).argmax(1)
    for truth in range(2):
        for predicted in range(2):
            count = ((dataset.test.labels == truth) & (predictions == predicted)).sum()
            assert outcome.confusion[truth][predicted] == int(count)


def test_training_neither_reads_nor_writes_the_global_generators(make_trial, make_dataset):
    dataset = make_dataset()
    trials = [make_trial(model=MLP(hidden=(8,), dropout=0.3), seed=seed) for seed in (0, 1)]
    results = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
        results.append(train_pack(trials, dataset))
        assert torch.equal(torch.get_rng_state(), before[0])
        assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    for one, other in zip(*results, strict=True):
        assert one.history == other.history
        assert all(torch.equal(value, other.weights[name]) for name, value in one.weights.items())


def test_the_data_set_is_left_alone(make_trial, make_dataset):
    dataset, fresh = make_dataset(), make_dataset()
    train_pack([make_trial()], dataset)
    for split in ("train", "validation", "test"):
        assert torch.equal(dataset.split(split).images, fresh.split(split).images)
        assert torch.equal(dataset.split(split).labels, fresh.split(split).labels)


@pytest.mark.parametrize("seeds", [(0, 0), (0, 0, 1, 1), (0, 1, 0), (0, 1)])
def test_trials_of_one_seed_see_the_same_batches(seeds, make_trial, make_dataset, monkeypatch):
    """Whatever pack they are in, and every image once an epoch."""
    dataset = make_dataset(validation=None)

    def batches(seeds):
        seen = []
        monkeypatch.setattr(
            training, "to_pixels", lambda images, dtype: seen.append(images) or images.to(dtype) / 255
        )
        train_pack([make_trial(seed=seed, training=last(epochs=2)) for seed in seeds], dataset)
        return [images.repeat_interleave(len(seeds) // len(images), dim=0) for images in seen]

    alone = {seed: batches([seed]) for seed in (0, 1)}
    for step, images in enumerate(batches(seeds)):
        for trial, seed in enumerate(seeds):
            assert torch.equal(images[trial], alone[seed][step][0])
    assert not torch.equal(alone[0][0], alone[1][0])
    assert not torch.equal(alone[0][0], alone[0][5]), "the second epoch has an order of its own"
    for epoch in (0, 1):
        pixels = torch.cat([images[0] for images in alone[0][5 * epoch : 5 * epoch + 5]]).flatten(1)
        assert sorted(pixels.tolist()) == sorted(dataset.train.images.flatten(1).tolist())


def test_trials_of_one_seed_share_their_dropout_masks(make_trial, make_dataset):
    """Two trials that differ in nothing end alike, also when their seed group is not the first."""
    dataset = make_dataset()
    trials = [make_trial(model=MLP(hidden=(8,), dropout=0.5), seed=seed) for seed in (0, 0, 1, 1)]
    first, second, third, fourth = train_pack(trials, dataset)
    for one, other in ((first, second), (third, fourth)):
        for name, value in one.weights.items():
            torch.testing.assert_close(value, other.weights[name])
    assert not torch.allclose(first.weights["body.1.weight"], third.weights["body.1.weight"])


def test_it_learns(make_trial, make_dataset):
    dataset = make_dataset(train=300)
    (outcome,) = train_pack([make_trial(training=last(epochs=10), optimizer=SGD(momentum=0.9))], dataset)
    assert outcome.metrics["test_accuracy"] > 0.9


@pytest.mark.parametrize("name", list(SCHEDULES))
def test_the_recorded_rate_is_the_schedules_at_the_last_step_of_the_epoch(name, make_trial, make_dataset):
    schedule = SCHEDULES[name][0](name=name, warmup_epochs=1.0)
    (outcome,) = train_pack([make_trial(schedule=schedule)], make_dataset())
    expected = learning_rates(schedule, 0.1, np.arange(15), steps_per_epoch=5, epochs=3)[4::5]
    assert [record.learning_rate for record in outcome.history] == pytest.approx(expected.tolist())
