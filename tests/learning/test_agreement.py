"""A trial in a pack against the same trial by itself: step by step to rounding, and at the end on average."""

import itertools

import numpy as np
import pytest
import torch
from packable import CLASSES, PACKED, SHAPE
from scipy import stats

from foolscope.core.randomness import torch_generator
from foolscope.learning import OPTIMIZERS, TrainingSettings, train_pack
from foolscope.learning.optimizers import SGD
from foolscope.learning.packs.packing import Context
from foolscope.learning.packs.stacking import stacked_parameters, stacked_statistics
from foolscope.learning.parameters.regularizers import RegularizationSettings
from foolscope.learning.preparation import Setup
from foolscope.learning.state import PackState
from foolscope.learning.training import train_step
from foolscope.models import MLP, ResNet, SmallCNN, Softmax

TRIALS, STEPS, BATCH = 4, 3, 16


def settings_of(name):
    """What the trials of a pack differ in: everything that the optimizer and its neighbours may."""
    fields = OPTIMIZERS[name].settings.model_fields
    for trial in range(TRIALS):
        own = {"name": name, "learning_rate": 0.01 * (trial + 1), "weight_decay": 0.1 * trial}
        if "momentum" in fields:
            own |= {"momentum": 0.3 * trial, "nesterov": trial == 2}
        yield {
            "optimizer": OPTIMIZERS[name].settings(**own),
            "regularization": RegularizationSettings(l1=0.001 * trial, l2=0.01),
            "training": TrainingSettings(batch_size=BATCH, clipping=0.5 if trial else None),
            "seed": trial // 2,
        }


def steps(trials, models, dataset):
    """Train these models for some steps by the loop's own step; return all that it changes."""
    setup = Setup.gather(trials, dataset, models)
    parameters = {name: value.clone() for name, value in stacked_parameters(models).items()}
    optimizer = OPTIMIZERS[trials[0].optimizer.name].init(parameters, setup.optimizer_hyperparameters)
    state = PackState.start(parameters, stacked_statistics(models), optimizer, len(trials))
    generators = tuple(torch_generator(trial.seed, "dropout", 0) for trial in trials)
    context = Context(training=True, dtype=setup.dtype, generators=generators)
    rates = torch.tensor([trial.optimizer.learning_rate for trial in trials], dtype=setup.master)
    seeds = [trial.seed for trial in trials[:: len(trials) // setup.groups]]
    order = torch.stack(
        [torch.randperm(len(dataset.train), generator=torch_generator(seed, "batches", 0)) for seed in seeds]
    )
    for batch in itertools.islice(order.split(BATCH, dim=1), STEPS):
        train_step(setup, state, batch, rates, context)
        state.step += 1
    return state.tensors


TOLERANCES = {"float64": 1e-9, "float32": 2e-5}  # Adam makes 1e-17 in a gradient near zero 1e-10
_AMPLIFYING = ("lion", "muon")  # a sign, and small singular values made large, turn rounding into steps
_SMOOTH = tuple(name for name in OPTIMIZERS if name not in _AMPLIFYING)
_STEPPED = [
    *((layer, optimizer, "float64") for layer in PACKED for optimizer in _SMOOTH),
    *zip(PACKED, itertools.cycle(_AMPLIFYING), itertools.repeat("float64")),
    *zip(PACKED, itertools.cycle(_SMOOTH), itertools.repeat("float32")),
]


@pytest.mark.parametrize(("layer", "optimizer", "precision"), _STEPPED)
def test_the_first_steps_agree_to_rounding(layer, optimizer, precision, make_trial, make_dataset):
    """Every layer type and option under every optimizer, with everything in which trials may differ.

    Under those that amplify rounding, and in single precision, under one optimizer each, in turn.
    """
    make, tolerance = PACKED[layer], TOLERANCES[precision]
    dataset = make_dataset(classes=CLASSES, shape=SHAPE)
    trials = [make_trial(precision=precision, **settings) for settings in settings_of(optimizer)]
    models = []
    for trial in range(TRIALS):
        model = make(0.4)
        generator = torch.Generator().manual_seed(trial)
        with torch.no_grad():
            for value in model.parameters():
                value.copy_(torch.randn(value.shape, generator=generator) / value[0].numel() ** 0.5)
        models.append(model.to(getattr(torch, precision)))
    together = steps(trials, models, dataset)
    for position in range(TRIALS):
        alone = steps(trials[position : position + 1], models[position : position + 1], dataset)
        moved = False
        for name, value in alone.items():
            ours = together[name][position]
            torch.testing.assert_close(ours, value[0], rtol=tolerance, atol=tolerance)
            start = models[position].state_dict()[name]
            moved = moved or bool((ours - start).abs().max() > 100 * tolerance)
        assert moved, "three steps must be far more than the tolerance"


_PERCEPTRON = MLP(hidden=(12,), dropout=0.1)
_AVERAGED = {
    "mlp-sgd": (_PERCEPTRON, "sgd", "float32"),
    "mlp-adam": (_PERCEPTRON, "adam", "float32"),
    "mlp-adamw": (_PERCEPTRON, "adamw", "float32"),
    "mlp-bfloat16": (_PERCEPTRON, "sgd", "bfloat16"),
    "softmax-bfloat16": (Softmax(), "sgd", "bfloat16"),
    "cnn": (SmallCNN(channels=(3, 4), units=(9, 8)), "adam", "float32"),
    "resnet-bfloat16": (ResNet(channels=(3,)), "sgd", "bfloat16"),
}


@pytest.mark.parametrize(("model", "optimizer", "precision"), _AVERAGED.values(), ids=_AVERAGED)
def test_at_the_end_the_means_over_seeds_agree(model, optimizer, precision, make_trial, make_dataset):
    """Rounding sends single runs apart, yet the mean test loss of packed runs is that of solo ones.

    The difference, paired by seed, lies within its own 95 % interval, and is small against the spread of the
    seeds: an error of the pack in one of its hyper-parameters would move the mean by more.
    """
    dataset = make_dataset(train=120)
    rate = 0.1 if optimizer == "sgd" else 0.01
    trials = [
        make_trial(
            model=model,
            precision=precision,
            optimizer=OPTIMIZERS[optimizer].settings(name=optimizer, learning_rate=rate),
            training=TrainingSettings(batch_size=20, epochs=4, keep="last"),
            seed=seed,
        )
        for seed in range(8)
    ]

    def losses(packs):
        return np.array(
            [outcome.metrics["test_loss"] for pack in packs for outcome in train_pack(pack, dataset)]
        )

    packed, solo = losses([trials]), losses([[trial] for trial in trials])
    half_width = stats.t.ppf(0.975, len(trials) - 1) * solo.std(ddof=1) / np.sqrt(len(trials))
    assert abs(packed.mean() - solo.mean()) < 0.2 * half_width


def test_the_agreement_at_the_end_can_fail(make_trial, make_dataset):
    """A tenth more learning rate moves the mean by more than the test above allows."""
    dataset = make_dataset(train=120)

    def losses(rate):
        trials = [
            make_trial(
                precision="float32",
                optimizer=SGD(learning_rate=rate),
                training=TrainingSettings(batch_size=20, epochs=6, keep="last"),
                seed=seed,
            )
            for seed in range(8)
        ]
        return np.array([outcome.metrics["test_loss"] for outcome in train_pack(trials, dataset)])

    right, wrong = losses(0.1), losses(0.11)
    half_width = stats.t.ppf(0.975, 7) * right.std(ddof=1) / np.sqrt(8)
    assert abs(right.mean() - wrong.mean()) > 0.2 * half_width
