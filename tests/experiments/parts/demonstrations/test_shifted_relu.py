import numpy as np
import pytest
import torch

from foolscope.experiments.parts.demonstrations import DEMONSTRATIONS, shifted_relu
from foolscope.experiments.parts.demonstrations.shifted_relu import (
    PLAIN,
    SHIFTED,
    ShiftedReLUDemonstration,
    converted,
    pulled_back,
)
from foolscope.reference import MeanSquaredError, loss_gradients

CHANCE = np.random.default_rng(2)
START = {
    "0.weight": CHANCE.normal(size=(5, 3)),
    "0.bias": CHANCE.normal(size=5),
    "1.offset": CHANCE.normal(size=5),
    "2.weight": CHANCE.normal(size=(2, 5)),
    "2.bias": CHANCE.normal(size=2),
}
INPUTS, TARGETS = CHANCE.normal(size=(40, 3)), CHANCE.normal(size=(40, 2))


def run(seed=0, **settings):
    settings = {"examples": 30, "hidden": 6, "steps": 60, **settings}
    return DEMONSTRATIONS["shifted-relu"].run(ShiftedReLUDemonstration(name="it", **settings), seed)


def test_conversion_keeps_the_outputs():
    np.testing.assert_allclose(
        PLAIN.forward(converted(START), INPUTS)[0], SHIFTED.forward(START, INPUTS)[0], rtol=1e-12
    )


def test_gradients_pulled_back_are_those_of_automatic_differentiation():
    theirs = {name: torch.tensor(value, requires_grad=True) for name, value in START.items()}
    hidden = torch.maximum(torch.tensor(INPUTS) @ theirs["0.weight"].T + theirs["0.bias"], theirs["1.offset"])
    outputs = hidden @ theirs["2.weight"].T + theirs["2.bias"]
    torch.nn.functional.mse_loss(outputs, torch.tensor(TARGETS)).backward()
    plain = loss_gradients(PLAIN, MeanSquaredError(), converted(START), INPUTS, TARGETS).parameters
    ours = pulled_back(plain, START["2.weight"], START["1.offset"])
    assert ours.keys() == theirs.keys()
    for name, gradient in ours.items():
        np.testing.assert_allclose(gradient, theirs[name].grad.numpy(), rtol=1e-9, atol=1e-12)


def test_training_is_the_same_where_it_should_be_and_only_there():
    measures = run().measures
    assert measures["output_difference"] < 1e-13
    assert measures["matched_difference"] < 1e-12
    assert measures["held_difference"] < 1e-12
    assert measures["equal_difference"] > 1e-3
    assert measures["sigmoid_error"] < 1e-14


@pytest.mark.parametrize("name", ["1.offset", "2.weight"])
def test_a_step_that_is_not_matched_shows(monkeypatch, name):
    right = shifted_relu.pulled_back

    def careless(gradients, weight, offset):
        found = right(gradients, weight, offset)
        return {**found, name: gradients[name] if name in gradients else np.zeros_like(found[name])}

    monkeypatch.setattr(shifted_relu, "pulled_back", careless)
    assert run().measures["matched_difference"] > 1e-4


def test_without_biases_two_half_lines_are_the_best_there_is():
    outcome = run()
    picture, measures = outcome.data["without_bias"], outcome.measures
    x, targets = (np.array(picture[name]) for name in ("x", "targets"))
    least = 0.0
    for side in (x > 0, x < 0):
        slope = x[side] @ targets[side] / (x[side] @ x[side])
        np.testing.assert_allclose(np.array(picture["best"])[side], slope * x[side], atol=1e-12)
        least += np.square(slope * x[side] - targets[side]).sum()
    least += np.square(targets[x == 0]).sum()
    assert measures["loss_without_bias"] == pytest.approx(least / np.square(targets).sum())
    assert 0 < measures["loss_without_bias"] < 1
    assert measures["trained_without_bias"] == pytest.approx(1, abs=1e-3)
    assert measures["trained_without_bias"] > 1 - 1e-9
    assert measures["loss_with_bias"] < 1e-25
