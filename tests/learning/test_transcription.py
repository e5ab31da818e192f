"""Groups, Muon, averages, sharpness and accumulation against a plain loop over one module."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.optim import swa_utils

from foolscope.core.randomness import torch_generator
from foolscope.learning import TrainingSettings, preparation, train_pack
from foolscope.learning.augmenting import Targets
from foolscope.learning.gradients import minibatch_gradients
from foolscope.learning.losses import CrossEntropy
from foolscope.learning.measuring.evaluation import channel_statistics
from foolscope.learning.optimizers import SGD, AdamW, Lion, Muon
from foolscope.learning.packs.packing import Context, solo_program
from foolscope.learning.parameters.averaging import EMA, SWA
from foolscope.learning.parameters.groups import ParameterGroupSettings
from foolscope.learning.parameters.regularizers import RegularizationSettings
from foolscope.learning.preparation import prepare
from foolscope.learning.schedules import Cosine, learning_rates
from foolscope.models import MLP, Dropout, ResNet, Softmax, build_model


def group(names, **values):
    return ParameterGroupSettings(names=names, **values)


def last(**values):
    return TrainingSettings(**{"batch_size": 16, "epochs": 3, "keep": "last", **values})


class Reference:
    """One trial trained as a textbook would: torch's optimizers with parameter groups, and plain steps."""

    def __init__(self, trial, dataset):
        mean, deviation = channel_statistics(dataset.train)
        self.trial, self.dataset = trial, dataset
        self.model = build_model(
            trial.model,
            dataset.image_shape,
            len(dataset.classes),
            seed=trial.seed,
            mean=mean,
            deviation=deviation,
        ).double()
        self.images = dataset.train.images.double() / 255
        self.optimizers = [self._optimizer(name, value) for name, value in self.model.named_parameters()]

    def _optimizer(self, name, value):
        """An optimizer of its own for each parameter, with its factor on the schedule's rate."""
        settings, counts = self.trial.optimizer, value.dim() > 1
        factor, decay, l2 = 1.0, settings.weight_decay * counts, self.trial.regularization.l2 * counts
        own = next((each for each in self.trial.parameter_groups if each.matches(name)), None)
        weights = [key for key, each in self.model.named_parameters() if each.dim() > 1]
        is_companions = isinstance(settings, Muon) and name not in weights[:-1]
        if is_companions:
            factor = settings.companion_learning_rate / settings.learning_rate
        if own is not None:
            if own.learning_rate is not None:
                factor = own.learning_rate / settings.learning_rate
            factor *= own.learning_rate_factor
            decay = decay if own.weight_decay is None else own.weight_decay
            l2 = l2 if own.l2 is None else own.l2
        if isinstance(settings, AdamW) or (is_companions and settings.companion == "adamw"):
            betas = settings.beta1, settings.beta2
            optimizer = torch.optim.AdamW([value], 1.0, betas, settings.stability, weight_decay=decay)
        elif isinstance(settings, Muon) and not is_companions:
            optimizer = torch.optim.Muon(
                [value],
                1.0,
                weight_decay=decay,
                momentum=settings.momentum,
                nesterov=settings.nesterov,
                adjust_lr_fn=settings.scaling.replace("-", "_"),
            )
        else:
            momentum = settings.companion_momentum if is_companions else settings.momentum
            optimizer = torch.optim.SGD([value], 1.0, momentum)
            assert decay == 0
        return factor, l2, value, optimizer

    def gradients(self, batch, epoch_generator):
        """The gradients of the minibatch, in parts."""
        sums = [torch.zeros_like(value) for value in self.model.parameters()]
        for part in batch.tensor_split(self.trial.training.accumulation):
            logits = self.model(self.images[part])
            loss = functional.cross_entropy(
                logits,
                self.dataset.train.labels[part],
                reduction="sum",
                label_smoothing=self.trial.loss.label_smoothing,
            )
            for total, one in zip(sums, torch.autograd.grad(loss, self.model.parameters()), strict=True):
                total += one / len(batch)
        return sums

    def step(self, batch, rate, generator):
        radius, drawn = self.trial.training.sharpness_radius, generator.get_state()
        gradients = self.gradients(batch, generator)
        if radius is not None:
            norm = torch.cat([each.flatten() for each in gradients]).norm()
            before = {name: value.clone() for name, value in self.model.state_dict().items()}
            with torch.no_grad():
                for value, gradient in zip(self.model.parameters(), gradients, strict=True):
                    value += radius * gradient / norm
            generator.set_state(drawn)
            gradients = self.gradients(batch, generator)
            self.model.load_state_dict(before)
        for value, gradient in zip(self.model.parameters(), gradients, strict=True):
            value.grad = gradient
        for _, l2, value, _ in self.optimizers:
            value.grad += l2 * value.detach()
        if self.trial.training.clipping is not None:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.trial.training.clipping)
        for factor, _, _, optimizer in self.optimizers:
            optimizer.param_groups[0]["lr"] = rate * factor
            optimizer.step()

    def train(self, after_step=lambda model: None, after_epoch=lambda epoch, model: None):
        settings, count = self.trial.training, len(self.images)
        per_epoch = math.ceil(count / settings.batch_size)
        rates = learning_rates(
            self.trial.schedule,
            self.trial.optimizer.learning_rate,
            np.arange(per_epoch * settings.epochs),
            steps_per_epoch=per_epoch,
            epochs=settings.epochs,
        ).tolist()
        for epoch in range(settings.epochs):
            self.model.train()
            generator = torch_generator(self.trial.seed, "dropout", epoch)
            for layer in self.model.modules():
                if isinstance(layer, Dropout):
                    layer.generator = generator
            order = torch.randperm(count, generator=torch_generator(self.trial.seed, "batches", epoch))
            for batch in order.split(settings.batch_size):
                self.step(batch, rates.pop(0), generator)
                after_step(self.model)
            after_epoch(epoch, self.model)
        return self.model


def assert_weights(outcome, model, tolerance=1e-6):
    expected = {name: value for name, value in model.state_dict().items() if value.is_floating_point()}
    for name, value in expected.items():
        torch.testing.assert_close(
            outcome.weights[name], value.detach().float(), rtol=tolerance, atol=tolerance, msg=name
        )


@torch.no_grad()
def validation_loss(model, dataset):
    logits = model.eval()(dataset.validation.images.double() / 255)
    return float(functional.cross_entropy(logits, dataset.validation.labels))


NORMALIZED = ResNet(channels=(2, 3))
GROUPS = (
    group(["*.bias"], learning_rate_factor=2.0),
    group("body.1.*", learning_rate=0.02, weight_decay=0.3),
    group("body.4.weight", weight_decay=0.0),
)
PACKS = {
    "groups with AdamW": [
        {"optimizer": AdamW(learning_rate=rate, weight_decay=0.1), "parameter_groups": groups}
        for rate, groups in ((0.01, GROUPS), (0.03, GROUPS[1:]), (0.02, ()))
    ],
    "groups with penalties": [
        {
            "optimizer": SGD(momentum=0.9),
            "regularization": RegularizationSettings(l2=0.01),
            "parameter_groups": (group("*bias", l2=l2), group("body.1.weight", l2=0.0)),
        }
        for l2 in (0.1, 0.0)
    ],
    "a frozen layer": [{"parameter_groups": (group("body.1.*", learning_rate_factor=0.0),)}],
    "Muon": [
        {
            "optimizer": Muon(learning_rate=rate, weight_decay=0.1, scaling=scaling, nesterov=nesterov),
            "model": MLP(hidden=(8, 6)),
            "schedule": Cosine(),
        }
        for rate, scaling, nesterov in (
            (0.02, "original", True),
            (0.05, "match-rms-adamw", False),
            (0.01, "match-rms-adamw", True),
        )
    ],
    "Muon beside SGD": [
        {
            "optimizer": Muon(companion="sgd", companion_learning_rate=0.1, momentum=momentum),
            "model": MLP(hidden=(8, 6)),
            "parameter_groups": groups,
        }
        for momentum, groups in ((0.9, ()), (0.8, (group("*.bias", learning_rate_factor=3.0),)))
    ],
    "sharpness": [
        {
            "training": last(sharpness_radius=radius, clipping=clipping),
            "model": MLP(hidden=(8,), dropout=0.3),
            "loss": CrossEntropy(label_smoothing=0.1),
            "regularization": RegularizationSettings(l2=0.01),
        }
        for radius, clipping in ((0.05, None), (0.5, 0.3), (None, None))
    ],
    "sharpness and normalization": [
        {"training": last(sharpness_radius=0.2), "model": NORMALIZED, "seed": seed} for seed in (0, 1)
    ],
    "parts": [{"training": last(accumulation=3), "optimizer": SGD(momentum=0.9)}],
    "parts and normalization": [
        {"training": last(accumulation=2, sharpness_radius=0.1), "model": NORMALIZED}
    ],
}


@pytest.mark.parametrize("name", PACKS)
def test_every_trial_of_a_pack_is_trained_as_alone_by_a_textbook(name, make_trial, make_dataset, monkeypatch):
    # PyTorch's Muon iterates in bfloat16; here it is to keep the data type
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda tensor: tensor.clone())
    dataset = make_dataset(validation=None, train=68 if "normalization" in name else 70)
    trials = [make_trial(**{"training": last(), "model": MLP(hidden=(8, 6)), **own}) for own in PACKS[name]]
    for trial, outcome in zip(trials, train_pack(trials, dataset), strict=True):
        assert_weights(outcome, Reference(trial, dataset).train())


def test_parts_give_the_gradients_of_the_whole(make_trial, make_dataset):
    dataset = make_dataset()
    whole, *others = (
        train_pack([make_trial(training=last(accumulation=parts))], dataset)[0] for parts in (1, 4, 16, 99)
    )
    for outcome in others:
        assert outcome.history[-1].running_accuracy == whole.history[-1].running_accuracy
        for name, value in outcome.weights.items():
            torch.testing.assert_close(value, whole.weights[name], rtol=1e-6, atol=1e-7)


def test_the_sharp_gradient_of_a_bowl(make_trial, make_dataset):
    """Of L(w) = |w|²/2 it is w (1 + ρ/|w|), and at the minimum zero."""
    trials = [make_trial(training=last(sharpness_radius=radius)) for radius in (0.3, 2.0, 0.3)]
    setup, state = prepare(trials, make_dataset())
    weights = torch.tensor([[3.0, 4.0], [-6.0, 8.0], [0.0, 0.0]], dtype=torch.float64)
    state.parameters, state.statistics = {"w": weights}, {}
    bowl = replace(
        setup,
        program=lambda tensors, images, context: tensors["w"][:, None, :].expand(-1, images.shape[1], -1),
        loss=lambda logits, labels, smoothing: 0.5 * logits.square().sum(dim=2),
    )
    found = minibatch_gradients(
        bowl,
        state,
        torch.zeros(1, 5, 1, 1, 1, dtype=torch.float64),
        Targets(torch.zeros(3, 5, dtype=torch.long)),
        Context(training=True, dtype=torch.float64),
    )
    expected = weights * torch.tensor([1 + 0.3 / 5, 1 + 2.0 / 10, 1.0], dtype=torch.float64)[:, None]
    torch.testing.assert_close(found.gradients["w"], expected)
    torch.testing.assert_close(found.loss, 5 * torch.tensor([12.5, 50.0, 0.0], dtype=torch.float64))


@pytest.mark.parametrize("model", [MLP(hidden=(8,)), NORMALIZED], ids=["plain", "normalized"])
def test_the_moving_average_is_pytorchs(model, make_trial, make_dataset):
    dataset = make_dataset(train=68)
    trials = [
        make_trial(
            model=model, averaging=EMA(averaging_decay=decay, averaging_warmup=warmup), training=last()
        )
        for decay, warmup in ((0.8, False), (0.5, True), (0.99, True))
    ]
    for trial, outcome in zip(trials, train_pack(trials, dataset), strict=True):
        reference = Reference(trial, dataset)

        def decayed(average, value, count, trial=trial):
            decay = trial.averaging.averaging_decay
            if trial.averaging.averaging_warmup:
                decay = min(decay, (1 + int(count)) / (10 + int(count)))
            return decay * average + (1 - decay) * value

        average = swa_utils.AveragedModel(reference.model, avg_fn=decayed, use_buffers=True)
        reference.train(after_step=average.update_parameters)
        assert_weights(outcome, average.module)
        assert outcome.history[-1].validation_loss == pytest.approx(
            validation_loss(average.module, dataset), rel=1e-9
        )
        predicted = average.module(dataset.test.images.double() / 255).argmax(1)
        right = (predicted == dataset.test.labels).double().mean()
        assert outcome.metrics["test_accuracy"] == float(right)


@pytest.mark.parametrize("packed", [True, False])
def test_stochastic_weight_averaging_is_pytorchs(packed, make_trial, make_dataset, monkeypatch):
    if not packed:
        monkeypatch.setattr(preparation, "pack_program", solo_program)
    dataset = make_dataset(train=68)
    trials = [
        make_trial(model=NORMALIZED, averaging=SWA(averaging_start=start), training=last(epochs=4), seed=seed)
        for start in (0.0, 0.5, 0.9)
        for seed in (0, 1)
    ]
    trials.sort(key=lambda trial: trial.seed)
    for trial, outcome in zip(trials, train_pack(trials, dataset), strict=True):
        reference = Reference(trial, dataset)
        average = swa_utils.AveragedModel(reference.model)
        first = int(4 * trial.averaging.averaging_start)

        def at_end(epoch, model, average=average, first=first):
            if epoch >= first:
                average.update_parameters(model)

        reference.train(after_epoch=at_end)
        order = torch.randperm(68, generator=torch_generator(trial.seed, "averaging", 3))
        if first < 3:
            swa_utils.update_bn([reference.images[batch] for batch in order.split(16)], average)
        assert_weights(outcome, average.module)
        assert outcome.history[-1].validation_loss == pytest.approx(
            validation_loss(average.module, dataset), rel=1e-9
        )


@pytest.mark.parametrize("averaging", [SWA(averaging_start=0.3), EMA()], ids=["swa", "ema"])
def test_averages_leave_frozen_layers_with_their_statistics_alone(averaging, make_trial, make_dataset):
    dataset = make_dataset(train=68)
    trials = [
        make_trial(model=NORMALIZED, averaging=averaging, frozen=("0.*", "1.*"), training=last(), seed=seed)
        for seed in (0, 1)
    ]
    initial = prepare(trials, dataset)[1].tensors
    for trial, outcome in enumerate(train_pack(trials, dataset)):
        for name, value in outcome.weights.items():
            if name in initial:
                is_frozen = name.startswith(("body.0.", "body.1."))
                assert torch.equal(value, initial[name][trial].float()) == is_frozen, name


@pytest.mark.parametrize(
    "values",
    [
        {"averaging": SWA(averaging_start=0.3), "model": NORMALIZED},
        {"averaging": EMA(), "optimizer": Lion(learning_rate=0.01)},
        {"optimizer": Muon(), "model": MLP(hidden=(8, 6))},
    ],
    ids=["swa", "ema", "muon"],
)
def test_a_pack_that_loses_trials_trains_the_others_as_alone(values, make_trial, make_dataset):
    """Different ends, early stopping and a divergence; what is kept is what was best on validation."""
    settings = [
        {"training": TrainingSettings(batch_size=16, epochs=2)},
        {"training": TrainingSettings(batch_size=16, epochs=6, patience=1)},
        {"training": TrainingSettings(batch_size=16, epochs=6)},
    ]
    dataset = make_dataset(train=68)
    trials = [make_trial(**{**values, **own}) for own in settings]
    broken = values.get("optimizer", SGD()).model_copy(update={"learning_rate": 1e300})
    trials.append(make_trial(**{**values, **settings[2], "optimizer": broken}))
    *outcomes, lost = train_pack(trials, dataset)
    assert lost.status == "diverged"
    for trial, outcome in zip(trials, outcomes, strict=False):
        (alone,) = train_pack([trial], dataset)
        assert (alone.status, alone.best_epoch) == (outcome.status, outcome.best_epoch)
        for name, value in alone.weights.items():
            torch.testing.assert_close(outcome.weights[name], value, rtol=1e-5, atol=1e-6)


def test_averaged_softmax_is_kept_where_it_is_best(make_trial, make_dataset):
    """The tested checkpoint gives the validation loss of its epoch."""
    dataset = make_dataset()
    trial = make_trial(
        model=Softmax(), averaging=EMA(averaging_decay=0.9), training=TrainingSettings(epochs=5)
    )
    (outcome,) = train_pack([trial], dataset)
    model = Reference(trial, dataset).model
    model.load_state_dict(outcome.weights)
    kept = outcome.history[outcome.best_epoch - 1]
    assert kept.validation_loss == pytest.approx(validation_loss(model, dataset), rel=1e-5)
