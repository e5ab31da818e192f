"""Gradient checks: every model of ours passes, every planted bug is found, and its layer named."""

import dataclasses

import numpy as np
import pytest
import torch
from small_models import NOT_MIRRORED, SMALL_MODELS
from torch import nn
from torch.nn import functional

from foolscope.experiments.recipe import recipe_from
from foolscope.inspection.checks import GRADIENT_CHECKS
from foolscope.inspection.checks.initial_loss import initial_model
from foolscope.inspection.gradients import differences
from foolscope.inspection.gradients import objective as objective_module
from foolscope.inspection.gradients.gradient_check import gradients_by_differences, gradients_by_hand
from foolscope.learning.losses import cross_entropy
from foolscope.learning.parameters.regularizers import PackRegularizers
from foolscope.models import MODELS
from foolscope.reference import Affine, BatchNormalization, CrossEntropy, MaxPooling, ReLU


@pytest.fixture(autouse=True)
def _few_coordinates(monkeypatch):
    """Differences at fewer numbers than usual; the tests that count them set the number themselves."""
    monkeypatch.setattr(differences, "_COORDINATES", 3)
    monkeypatch.setattr(differences, "_FEWEST_COORDINATES", 3)


def trial_of(name="mlp", **fields):
    return recipe_from({"model": {"name": name, **SMALL_MODELS.get(name, {})}, **fields})


def both(trial, dataset, model=None):
    model = initial_model(trial, dataset) if model is None else model
    return [check(model, trial, dataset) for check in GRADIENT_CHECKS.values()]


@pytest.mark.parametrize("name", sorted(MODELS.keys() - NOT_MIRRORED))
def test_every_model_of_ours_passes(noise, name):
    trial = trial_of(name, regularization={"l1": 1e-3, "l2": 1e-2})
    by_hand, by_differences = both(trial, noise)
    names = ["images", *dict(initial_model(trial, noise).named_parameters())]
    for check in (by_hand, by_differences):
        assert check.passed, check.sentence
        assert not check.left_out
        assert [each.tensor for each in check.tensors] == names
        assert check.numbers["error"] == max(each.error for each in check.tensors) <= check.numbers["goal"]
        assert check.numbers["images"] == 8
    assert by_hand.numbers["goal"] == 1e-12
    assert by_differences.numbers["goal"] == 1e-7
    assert by_differences.numbers["error"] > 0
    sizes = [each.coordinates for each in by_hand.tensors]
    assert sizes[0] == 8 * 12 * 11
    assert all(0 < each.coordinates <= size for each, size in zip(by_differences.tensors, sizes, strict=True))


@pytest.mark.parametrize("name", ["attention", "fast-cnn", "vit"])
def test_models_without_hand_derived_layers_pass_by_differences(noise, name):
    by_hand, by_differences = both(trial_of(name), noise)
    assert by_hand.left_out
    assert "there is no hand-derived layer" in by_hand.sentence
    assert by_differences.passed, by_differences.sentence
    assert len(by_differences.tensors) == 1 + len(list(initial_model(trial_of(name), noise).parameters()))


@pytest.mark.parametrize(
    "fields",
    [
        {"loss": {"name": "cross-entropy", "label_smoothing": 0.2}},
        {"loss": "squared-error"},
        {"regularization": {"l1": 0.01, "l2": 0.1, "penalize": "all"}},
        {"regularization": {"l2": 0.1}, "seed": 3},
    ],
)
def test_losses_and_penalties_are_the_recipes(noise, fields):
    assert all(check.passed for check in both(trial_of(**fields), noise))


# Bugs in PyTorch's part of the work: both checks must find them.


class _Linear(torch.autograd.Function):
    """An affine layer whose backward pass a test gives."""

    rule = staticmethod(lambda gradient, inputs, weight: None)

    @staticmethod
    def forward(context, inputs, weight, bias):
        context.save_for_backward(inputs, weight)
        return functional.linear(inputs, weight, bias)

    @staticmethod
    def backward(context, gradient):
        return _Linear.rule(gradient, *context.saved_tensors)


LINEAR_BUGS = {
    "wrong transpose": lambda g, x, w: (g @ w.T, g.T @ x, g.sum(0)),
    "forgotten bias": lambda g, x, w: (g @ w, g.T @ x, torch.zeros_like(g.sum(0))),
    "averaged twice": lambda g, x, w: (g @ w, g.T @ x / len(x), g.sum(0)),
    "not finite": lambda g, x, w: (g @ w, g.T @ x / 0, g.sum(0)),
}


@pytest.mark.parametrize("bug", LINEAR_BUGS)
def test_a_wrong_affine_layer_is_named(noise, monkeypatch, bug):
    monkeypatch.setattr(_Linear, "rule", staticmethod(LINEAR_BUGS[bug]))
    forward = nn.Linear.forward

    def broken(self, inputs):
        is_second = self.in_features == self.out_features == 5
        return _Linear.apply(inputs, self.weight, self.bias) if is_second else forward(self, inputs)

    monkeypatch.setattr(nn.Linear, "forward", broken)
    square = recipe_from({"model": {"name": "mlp", "hidden": [5, 5]}})
    for check in both(square, noise):
        assert not check.passed
        assert "the first to disagree is body.4" in check.sentence
        assert check.numbers["error"] > 1e-3


class _ForgetfulReLU(torch.autograd.Function):
    @staticmethod
    def forward(context, inputs):
        return inputs.clamp(min=0)

    @staticmethod
    def backward(context, gradient):
        return gradient


def test_a_wrong_layer_without_parameters_is_named(noise, monkeypatch):
    trial = trial_of("small-cnn")
    monkeypatch.setattr(nn.ReLU, "forward", lambda self, inputs: _ForgetfulReLU.apply(inputs))
    for check in both(trial, noise):
        assert not check.passed
        assert "the first to disagree is body.11, in body.11 inputs" in check.sentence


def test_a_loss_that_is_not_averaged_is_named(noise, monkeypatch):
    class Summed(torch.autograd.Function):
        @staticmethod
        def forward(context, losses):
            return losses.clone()

        @staticmethod
        def backward(context, gradient):
            return gradient * gradient.numel()

    monkeypatch.setattr(
        objective_module,
        "training_loss",
        lambda *unused: lambda *arguments: Summed.apply(cross_entropy(*arguments)),
    )
    for check in both(trial_of(), noise):
        assert not check.passed
        assert "is the loss." in check.sentence


@pytest.mark.parametrize("penalty", ["l1", "l2"])
def test_a_regularizer_that_is_not_averaged_is_named(noise, monkeypatch, penalty):
    add = PackRegularizers.add_gradients

    def broken(self, parameters, gradients):
        times = {name: getattr(self, name) for name in ("l1", "l2")}
        larger = {name: None if value is None else 50 * value for name, value in times.items()}
        add(dataclasses.replace(self, **larger), parameters, gradients)

    monkeypatch.setattr(PackRegularizers, "add_gradients", broken)
    for check in both(trial_of(regularization={penalty: 1e-3}), noise):
        assert not check.passed
        assert "the penalties, in body" in check.sentence
    assert all(check.passed for check in both(trial_of(), noise))


def test_a_batch_mean_that_is_not_differentiated_is_named(noise, monkeypatch):
    def broken(self, inputs):
        mean = inputs.mean(dim=(0, 2, 3), keepdim=True).detach()
        variance = inputs.var(dim=(0, 2, 3), unbiased=False, keepdim=True)
        scale = (variance + self.eps).rsqrt() * self.weight[:, None, None]
        return (inputs - mean) * scale + self.bias[:, None, None]

    monkeypatch.setattr(nn.BatchNorm2d, "forward", broken)
    by_hand, by_differences = both(trial_of("resnet"), noise)
    assert not by_hand.passed
    assert not by_differences.passed
    assert "the first to disagree is body.4" in by_hand.sentence  # the last block, seen as a whole
    assert "the first to disagree is body.4.branch.4, in body.4.branch.4 inputs" in by_differences.sentence


def test_a_forward_pass_that_is_another_function_is_named(noise, monkeypatch):
    forward = nn.Linear.forward
    monkeypatch.setattr(
        nn.Linear,
        "forward",
        lambda self, inputs: forward(self, inputs) if self.out_features == 4 else inputs @ self.weight.T,
    )
    by_hand, by_differences = both(trial_of(), noise)
    assert "is body.1, whose outputs already differ" in by_hand.sentence
    assert "body.1.bias" in by_hand.sentence or not by_hand.passed
    assert by_differences.passed  # it differentiates rightly what it computes


# Bugs in what was derived by hand: the first check must find them.


def _altered(change):
    def backward(right):
        def wrong(self, *arguments):
            return change(right(self, *arguments), *arguments)

        return wrong

    return backward


def _without_bias(result, *_):
    inputs, gradients = result
    return inputs, {name: 0 * value if name == "bias" else value for name, value in gradients.items()}


HAND_BUGS = {
    "missing 1/N": (CrossEntropy, lambda result, cache: result * len(cache[0]), "mlp", "the loss"),
    "forgotten bias": (Affine, _without_bias, "mlp", "body.7, in body.7.bias"),
    "every slope 1": (ReLU, lambda result, p, cache, gradient: (gradient, {}), "mlp", "body.5"),
    "pooling": (MaxPooling, lambda result, *_: (result[0] * 0.5, {}), "small-cnn", "body.5"),
    "batch mean": (BatchNormalization, lambda result, *_: (result[0] + 0.01, result[1]), "resnet", "body.4"),
}


@pytest.mark.parametrize("bug", HAND_BUGS)
def test_a_wrong_derivation_is_named(noise, monkeypatch, bug):
    layer, change, name, culprit = HAND_BUGS[bug]
    trial = trial_of(name)
    monkeypatch.setattr(layer, "backward", _altered(change)(layer.backward))
    check = gradients_by_hand(initial_model(trial, noise), trial, noise)
    assert not check.passed
    assert f"the first to disagree is {culprit}" in check.sentence


# What the checks leave out, and what they leave as it is.


def test_an_entry_that_switches_within_the_step_is_counted_and_skipped(dataset_of, monkeypatch):
    monkeypatch.setattr(differences, "_COORDINATES", 20)
    images = torch.full((40, 1, 2, 2), 255, dtype=torch.uint8)
    dataset = dataset_of(images, torch.arange(40) % 2, 2)
    trial = recipe_from({"model": {"name": "mlp", "hidden": [3], "normalization": "none"}})
    model = initial_model(trial, dataset).double()
    first = model.get_submodule("body.1")
    with torch.no_grad():
        first.bias[1] = 1e-9 - first.weight[1].sum()  # the second unit stands just above its kink
    check = gradients_by_differences(model, trial, dataset)
    kinks = {each.tensor: (each.coordinates, each.kinks) for each in check.tensors}
    assert kinks["body.1.bias"] == (2, 1)
    assert kinks["body.1.weight"] == (8, 4)
    assert kinks["body.4.bias"] == (2, 0)
    assert kinks["images"][0] == 0
    assert check.passed
    assert check.numbers["kinks"] == sum(count for _, count in kinks.values())
    assert f"{check.numbers['kinks']:.0f} more skipped" in check.sentence


def test_a_weight_at_zero_is_a_kink_of_the_l1_penalty(noise):
    trial = trial_of("softmax", regularization={"l1": 0.1})
    model = initial_model(trial, noise)
    with torch.no_grad():
        next(model.parameters()).zero_()
    check = gradients_by_differences(model, trial, noise)
    assert check.passed
    weight = check.tensors[1]
    assert (weight.coordinates, weight.kinks) == (0, 3 * 3 + 1)


class _Someones(nn.Module):
    """A model that the reference does not know, with an operation of its own between its layers."""

    def __init__(self, slope=1.0):
        super().__init__()
        self.first, self.last, self.slope = nn.Linear(132, 6), nn.Linear(6, 4), slope

    def forward(self, images):
        hidden = functional.softplus(self.first(images.flatten(1)))
        return self.last(hidden + (self.slope - 1) * (hidden - hidden.detach()))


def test_a_model_that_has_not_been_derived_is_still_compared_with_differences(noise):
    with torch.random.fork_rng():
        sound, broken = _Someones(), _Someones(slope=2.0)
    trial = trial_of()
    by_hand, by_differences = both(trial, noise, sound)
    assert by_hand.left_out
    assert by_hand.passed
    assert by_hand.sentence == "Skipped: _Someones is not a sequence of layers."
    assert by_differences.passed
    found = gradients_by_differences(broken, trial, noise)
    assert not found.passed
    assert "is first, in first inputs, first.weight, first.bias" in found.sentence


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (nn.Softplus(), "no hand-derived layer for Softplus (body.0)"),
        (nn.Conv2d(1, 1, 3, dilation=2), "Conv2d (body.0) has dilation = (2, 2)"),
        (nn.GELU("tanh"), "GELU (body.0) has approximate = tanh"),
    ],
)
def test_a_layer_without_counterpart_is_named(noise, layer, words):
    body = nn.Sequential(layer, nn.Flatten(), nn.LazyLinear(4))
    model = nn.Sequential()
    model.add_module("body", body)
    with torch.random.fork_rng():
        model(torch.zeros(1, 1, 12, 11))
    assert words in gradients_by_hand(model, trial_of(), noise).sentence


@pytest.mark.parametrize("dropout", ["ours", "PyTorch's"])
def test_dropout_acts_the_same_at_every_evaluation(noise, dropout):
    trial = recipe_from({"model": {"name": "mlp", "hidden": [6], "dropout": 0.5}})
    model = initial_model(trial, noise)
    if dropout != "ours":
        model.get_submodule("body").add_module("3", nn.Dropout(0.5))
    state = torch.get_rng_state()
    by_hand, by_differences = both(trial, noise, model)
    assert torch.equal(torch.get_rng_state(), state)
    assert by_hand.left_out
    assert "Dropout (body.3)" in by_hand.sentence
    assert by_differences.passed


def test_the_model_is_left_as_it_is(noise):
    trial = trial_of("resnet", regularization={"l2": 0.1})
    model = initial_model(trial, noise).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert both(trial, noise, model) == both(trial, noise, model)
    assert not model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(layer._forward_pre_hooks for layer in model.modules())


def test_the_weights_are_those_of_the_model(noise):
    trial = trial_of("softmax")
    model = initial_model(trial, noise)
    first = gradients_by_differences(model, trial, noise)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(30)
    second = gradients_by_differences(model, trial, noise)
    assert np.all([first.passed, second.passed])
    assert first.tensors != second.tensors
