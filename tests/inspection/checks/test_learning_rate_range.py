import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from foolscope.data import load
from foolscope.experiments.recipe import recipe_from
from foolscope.inspection.checks.learning_rate_range import LearningRateRange, learning_rate_range
from foolscope.learning import preparation, train_pack
from foolscope.learning.measuring.evaluation import channel_statistics
from foolscope.learning.packs import packing
from foolscope.models import build_model

RATES = tuple(np.geomspace(1e-4, 10.0, 11).tolist())


def recipe_of(**values):
    base = {
        "dataset": {"name": "digits", "limit": 150},
        "model": {"name": "mlp", "hidden": [16]},
        "training": {"batch_size": 40},
        "precision": "float64",
    }
    return recipe_from({**base, **values})


@pytest.fixture(scope="module")
def dataset():
    return load(recipe_of().dataset)


def measured(losses, own=2.0, initial=1.0):
    rates = tuple(float(2**power) for power in range(len(losses)))
    return LearningRateRange.of(rates, losses, losses, losses, initial_loss=initial, own_rate=own, steps=10)


# ------------------------------------------------------------------ measuring


@pytest.fixture(scope="module")
def design(dataset):
    """The normalized pixels of the training images, and a column of ones for the bias."""
    mean, deviation = channel_statistics(dataset.train)
    inputs = (dataset.train.images.double() / 255 - mean[:, None, None]) / deviation[:, None, None]
    return torch.cat([inputs.flatten(1), torch.ones(len(inputs), 1)], dim=1)


@pytest.fixture(scope="module")
def bound(design):
    """2 / λ_max of the loss of least squares, whose Hessian is XᵀX / n."""
    return 2.0 / float(torch.linalg.eigvalsh(design.T @ design / len(design)).max())


def descend(design, labels, model, rates):
    """The losses of full-batch descent on least squares, one before each step, by hand."""
    weights = torch.cat([part.detach().double().reshape(10, -1).T for part in model.parameters()])
    targets, losses = torch.nn.functional.one_hot(labels, 10).double(), []
    for rate in rates:
        errors = design @ weights - targets
        losses.append(float(0.5 * errors.square().sum(dim=1).mean()))
        weights = weights - rate * design.T @ errors / len(design)
    return np.array(losses)


LEAST_SQUARES = {"model": "linear-regression", "training": {"batch_size": 150}}


def test_gradient_descent_on_least_squares_is_stable_up_to_two_over_the_largest_curvature(dataset, bound):
    factors = (0.1, 0.3, 0.9, 0.97, 1.03, 1.1, 3.0)
    recipe = recipe_of(**LEAST_SQUARES, optimizer={"name": "sgd", "learning_rate": 0.3 * bound})
    answer = learning_rate_range(recipe, dataset, [factor * bound for factor in factors], steps=150)
    assert answer.largest_stable_rate == pytest.approx(0.97 * bound)
    assert answer.losses[4] is None or answer.losses[4] > answer.initial_loss
    assert answer.standing == "in the range"
    beyond = recipe_of(**LEAST_SQUARES, optimizer={"name": "sgd", "learning_rate": 1.03 * bound})
    answer = learning_rate_range(beyond, dataset, [0.97 * bound], steps=150)
    assert answer.standing == "unstable"
    assert not answer.passed


def test_momentum_widens_it_as_theory_says(dataset, bound):
    """Heavy-ball descent on a quadratic is stable up to 2 (1 + μ) / λ_max."""
    momentum, wider = 0.5, 1.5 * bound
    sgd = {"name": "sgd", "momentum": momentum, "learning_rate": 0.5 * wider}
    rates = [0.5 * wider, 0.95 * wider, 1.05 * wider, 2.0 * wider]
    answer = learning_rate_range(recipe_of(**LEAST_SQUARES, optimizer=sgd), dataset, rates, steps=150)
    assert answer.largest_stable_rate == pytest.approx(0.95 * wider)


def test_every_loss_is_that_of_descent_by_hand(dataset, design, bound):
    recipe = recipe_of(**LEAST_SQUARES, optimizer={"name": "sgd", "learning_rate": 0.5 * bound})
    rates, steps = (0.001 * bound, 0.03 * bound, 0.9 * bound), 20
    answer = learning_rate_range(recipe, dataset, rates, steps)
    assert answer.rates == [0.001 * bound, 0.03 * bound, 0.5 * bound, 0.9 * bound]
    mean, deviation = channel_statistics(dataset.train)
    start = build_model(recipe.model, dataset.image_shape, 10, seed=0, mean=mean, deviation=deviation)
    for rate, loss in zip(answer.rates, answer.losses, strict=True):
        by_hand = descend(design, dataset.train.labels, start, [rate] * steps)
        assert loss == pytest.approx(by_hand[-4:].mean(), rel=1e-6)
        assert answer.initial_loss == pytest.approx(by_hand[0], rel=1e-6)
    growing = np.geomspace(rates[0], rates[-1], steps)
    by_hand = descend(design, dataset.train.labels, start, growing)
    for rate, loss in zip(answer.rates, answer.sweep, strict=True):
        near = [min(answer.rates, key=lambda each: abs(math.log(each / now))) == rate for now in growing]
        assert loss == pytest.approx(by_hand[near].mean(), rel=1e-6)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"optimizer": {"name": "adam", "learning_rate": 0.01}, "regularization": {"l2": 0.1}},
        {"model": {"name": "mlp", "hidden": [16], "dropout": 0.4}, "seed": 3},
        {"optimizer": {"name": "sgd", "weight_decay": 0.5}, "training": {"batch_size": 40, "clipping": 0.1}},
    ],
    ids=["plain", "adam, l2", "dropout, seed", "decay, clipping"],
)
def test_the_run_at_a_rate_is_the_training_at_that_rate(dataset, values):
    """Three minibatches an epoch: their losses, one range test each, have the mean that training reports."""
    whole = replace(dataset, train=dataset.train.take(torch.arange(120)), validation=None)
    recipe, rate = recipe_of(**values), 0.3
    answers = [learning_rate_range(recipe, whole, (0.03, rate), steps=1 + step) for step in range(6)]
    losses = [answer.losses[answer.rates.index(rate)] for answer in answers]
    accuracies = [answer.accuracies[answer.rates.index(rate)] for answer in answers]
    trial = recipe.model_copy(
        update={
            "optimizer": recipe.optimizer.model_copy(update={"learning_rate": rate}),
            "training": recipe.training.model_copy(update={"epochs": 2}),
        }
    )
    (outcome,) = train_pack([trial], whole)
    for epoch, record in enumerate(outcome.history):
        assert np.mean(losses[3 * epoch : 3 * epoch + 3]) == pytest.approx(record.running_loss, rel=1e-9)
        assert np.mean(accuracies[3 * epoch : 3 * epoch + 3]) == pytest.approx(record.running_accuracy)


def test_the_schedule_is_left_out_and_the_answer_is_the_same_again(dataset):
    recipe = recipe_of()
    scheduled = recipe_of(schedule={"name": "one-cycle", "warmup_epochs": 3.0})
    before = torch.get_rng_state()
    answer = learning_rate_range(recipe, dataset, RATES, steps=8)
    assert answer == learning_rate_range(scheduled, dataset, RATES, steps=8)
    assert answer != learning_rate_range(recipe_of(seed=1), dataset, RATES, steps=8)
    assert torch.equal(before, torch.get_rng_state())


def test_divergence_is_a_gap_and_leaves_the_neighbors_alone(dataset):
    recipe = recipe_of(**LEAST_SQUARES, optimizer={"name": "sgd", "learning_rate": 0.02})
    wide = learning_rate_range(recipe, dataset, (0.01, 0.02, 1e60), steps=10)
    narrow = learning_rate_range(recipe, dataset, (0.01, 0.02), steps=10)
    assert wide.losses[:2] == pytest.approx(narrow.losses)
    assert wide.losses[2] is wide.accuracies[2] is wide.sweep[2] is None
    assert wide.largest_stable_rate == 0.02


def test_a_model_that_cannot_be_packed_gives_the_same_answer(dataset, monkeypatch):
    packed = learning_rate_range(recipe_of(), dataset, RATES, steps=5)
    monkeypatch.setattr(preparation, "pack_program", packing.solo_program)
    solo = learning_rate_range(recipe_of(), dataset, RATES, steps=5)
    assert solo.losses == pytest.approx(packed.losses, rel=1e-9)


def test_the_default_rates_and_steps_find_where_the_perceptron_of_the_first_study_learns():
    recipe = recipe_from(
        {"dataset": {"name": "digits", "limit": 400}, "model": "mlp", "precision": "float32"}
    )
    answer = learning_rate_range(recipe, load(recipe.dataset))
    assert answer.steps == 80
    assert len(answer.rates) == 25  # 0.1, the recipe's own, is one of them
    assert answer.rates[0] == pytest.approx(1e-5)
    assert answer.rates[-1] == pytest.approx(10.0)
    assert answer.standing == "in the range"
    assert 0.3 < answer.largest_stable_rate < 10.0


# ------------------------------------------------------------------ reading


def test_the_range_goes_from_a_tenth_of_the_fall_to_nine_tenths():
    #               1     2    4    8     16    32   64   128
    answer = measured([1.01, 0.95, 0.9, 0.5, 0.0, 0.09, 0.5, 0.95], own=4.0)
    assert answer.best_rate == 16.0
    assert answer.suggestion == (4.0, 32.0)
    assert answer.largest_stable_rate == 64.0


@pytest.mark.parametrize("after", [1.0, 0.95, 7.0, None])
def test_a_rate_beyond_the_first_that_fails_is_not_stable(after):
    answer = measured([0.9, 0.1, 0.2, after, 0.1001, 0.5])
    assert answer.largest_stable_rate == 4.0
    assert answer.suggestion == (1.0, 2.0)


@pytest.mark.parametrize(
    ("own", "standing", "words"),
    [
        (1.0, "too small", ["1 is too small", "in 10 steps the loss goes from 1 to 0.98", "2 to 8"]),
        (2.0, "in the range", ["2 is in the suggested range, 2 to 8"]),
        (8.0, "in the range", ["8 is in the suggested range"]),
        (16.0, "above the range", ["16 is above the suggested range, 2 to 8, but stable"]),
        (32.0, "unstable", ["32 is too large", "from 1 to 0.99", "the largest stable rate is 16", "2 to 8"]),
        (64.0, "unstable", ["64 is too large: the loss diverges", "is 16"]),
    ],
)
def test_where_a_rate_stands(own, standing, words):
    answer = measured([0.98, 0.6, 0.1, 0.15, 0.8, 0.99, None], own=own)
    assert answer.standing == standing
    assert answer.passed == (standing != "unstable")
    assert not [each for each in words if each not in answer.sentence], answer.sentence


@pytest.mark.parametrize("losses", [[1.0, 1.5, None], [None, None], [2.0, 3.0, 4.0]])
def test_a_model_that_no_rate_teaches_fails(losses):
    answer = measured(losses)
    assert answer.best_rate is answer.largest_stable_rate is answer.suggestion is None
    assert answer.standing == "nothing learns"
    assert not answer.passed
    assert "No learning rate from 1 to" in answer.sentence
