"""Every mistake that one makes in a backward pass is found, by both comparisons, and its layer named."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from layer_examples import EXAMPLES, in_pytorch

from foolscope.reference import (
    L1,
    L2,
    Affine,
    BatchNormalization,
    Convolution,
    CrossEntropy,
    Flatten,
    Layer,
    MaxPooling,
    MeanSquaredError,
    Network,
    ReLU,
    central_differences,
    loss_gradients,
    relative_error,
)


@dataclass(frozen=True)
class Wrong:
    """A layer whose backward pass goes through a mistake."""

    layer: Layer
    mistake: Callable[..., Any]

    def forward(self, parameters, inputs):
        return self.layer.forward(parameters, inputs)

    def backward(self, parameters, cache, output_gradient):
        by_inputs, by_parameters = self.layer.backward(parameters, cache, output_gradient)
        return self.mistake(by_inputs, dict(by_parameters), parameters, cache, output_gradient)


def wrong_transpose(by_inputs, by_parameters, parameters, cache, gradient):
    return by_inputs, by_parameters | {"weight": by_parameters["weight"].T}


def weight_not_transposed(by_inputs, by_parameters, parameters, cache, gradient):
    return gradient @ parameters["weight"].T, by_parameters


def forgotten_bias(by_inputs, by_parameters, parameters, cache, gradient):
    return by_inputs, by_parameters | {"bias": np.zeros_like(by_parameters["bias"])}


def averaged_bias(by_inputs, by_parameters, parameters, cache, gradient):
    return by_inputs, by_parameters | {"bias": gradient.mean(axis=0)}


def kernel_not_mirrored(by_inputs, by_parameters, parameters, cache, gradient):
    return by_inputs, by_parameters | {"weight": by_parameters["weight"][:, :, ::-1, ::-1]}


def everything_passes(by_inputs, by_parameters, parameters, cache, gradient):
    return gradient.reshape(by_inputs.shape), by_parameters


def _without(term):
    def mistake(by_inputs, by_parameters, parameters, cache, gradient):
        """Batch normalization without the way through its mean or its variance."""
        axes = (0, 2, 3)
        factor = (parameters["weight"] * cache.scale)[:, None, None]
        lost = {
            "mean": gradient.mean(axis=axes, keepdims=True),
            "variance": cache.normalized * (gradient * cache.normalized).mean(axis=axes, keepdims=True),
        }
        return by_inputs + factor * lost[term], by_parameters

    return mistake


def one_step_only(by_inputs, by_parameters, parameters, cache, gradient):
    """Time is not gone through: each step's own gradient alone."""
    last = np.zeros_like(by_inputs)
    last[:, -1] = by_inputs[:, -1]
    return last, by_parameters


def away_from_the_patch(by_inputs, by_parameters, parameters, cache, gradient):
    return by_inputs, {"prototypes": -by_parameters["prototypes"]}


def softmax_not_differentiated(by_inputs, by_parameters, parameters, cache, gradient):
    return by_inputs, {"leaves": cache.reached[-1].T @ gradient}


def slope_of_kept_numbers_forgotten(by_inputs, by_parameters, parameters, cache, gradient):
    return gradient * (cache > 0), by_parameters


MISTAKES = [
    ("affine", 2, wrong_transpose),
    ("affine", 2, weight_not_transposed),
    ("affine", 0, forgotten_bias),
    ("affine", 0, averaged_bias),
    ("convolution", 0, kernel_not_mirrored),
    ("convolution", 0, forgotten_bias),
    ("batch-normalization", 0, _without("mean")),
    ("batch-normalization", 0, _without("variance")),
    ("relu", 0, everything_passes),
    ("dropout", 0, slope_of_kept_numbers_forgotten),
    ("rnn", 0, one_step_only),
    ("lstm", 0, one_step_only),
    ("prototype-similarity", 0, away_from_the_patch),
    ("soft-tree", 0, softmax_not_differentiated),
]


@pytest.mark.parametrize(("kind", "which", "mistake"), MISTAKES)
def test_a_mistake_in_a_layer_is_found_by_both_comparisons(kind, which, mistake):
    example = EXAMPLES[kind][which]
    example = replace(example, layer=Wrong(example.layer, mistake))
    parameters, inputs, output_gradient = example.draw()
    _, cache = example.layer.forward(parameters, inputs)
    by_inputs, by_parameters = example.layer.backward(parameters, cache, output_gradient)
    _, expected_by_inputs, expected_by_parameters = in_pytorch(example, parameters, inputs, output_gradient)

    def loss(values, images):
        return float((example.layer.forward(values, images)[0] * output_gradient).sum())

    automatic = [relative_error(by_inputs, expected_by_inputs)]
    numerical = [relative_error(by_inputs, central_differences(lambda x: loss(parameters, x), inputs))]
    for name, gradient in by_parameters.items():
        automatic.append(relative_error(gradient, expected_by_parameters[name]))
        differences = central_differences(
            lambda value, name=name: loss(parameters | {name: value}, inputs), parameters[name]
        )
        numerical.append(relative_error(gradient, differences))
    assert max(automatic) > 1e-3
    assert max(numerical) > 1e-3


@dataclass(frozen=True)
class Summed:
    """A loss whose gradient lacks the 1/N of its mean."""

    loss: Any

    def forward(self, outputs, targets):
        value, cache = self.loss.forward(outputs, targets)
        return value, (cache, len(outputs))

    def backward(self, cache):
        return self.loss.backward(cache[0]) * cache[1]


@pytest.mark.parametrize("loss", [CrossEntropy(0.1), MeanSquaredError()])
def test_a_missing_1_over_n_is_found(loss):
    outputs, generator = np.random.default_rng(0).normal(size=(4, 3)), np.random.default_rng(1)
    labels = isinstance(loss, CrossEntropy)
    targets = generator.integers(3, size=4) if labels else generator.normal(size=(4, 3))
    _, cache = Summed(loss).forward(outputs, targets)
    wrong = Summed(loss).backward(cache)
    numerical = central_differences(lambda point: loss.forward(point, targets)[0], outputs)
    leaf = torch.from_numpy(outputs).requires_grad_()
    functional = torch.nn.functional
    expected = (
        functional.cross_entropy(leaf, torch.from_numpy(targets), label_smoothing=0.1)
        if labels
        else functional.mse_loss(leaf, torch.from_numpy(targets))
    )
    (automatic,) = torch.autograd.grad(expected, leaf)
    assert relative_error(wrong, automatic.numpy()) > 0.5
    assert relative_error(wrong, numerical) > 0.5


@pytest.mark.parametrize("penalty", [L1(0.3), L2(0.3)])
def test_a_penalty_that_counts_once_per_image_is_found(penalty):
    """Loss and penalty are averaged together, their gradients are not."""
    images, labels = np.random.default_rng(0).normal(size=(4, 3)), np.array([0, 1, 0, 1])
    parameters = {"0.weight": np.random.default_rng(1).normal(size=(2, 3))}
    network = Network((("0", Affine()),))

    def objective(weight):
        outputs, _ = network.forward({"0.weight": weight}, images)
        return CrossEntropy().forward(outputs, labels)[0] + penalty.forward({"0.weight": weight})

    gradient = loss_gradients(network, CrossEntropy(), parameters, images, labels).parameters["0.weight"]
    penalized = penalty.backward(parameters)["0.weight"]
    numerical = central_differences(objective, parameters["0.weight"])
    assert relative_error(gradient + penalized, numerical) <= 1e-7
    assert relative_error(gradient + len(images) * penalized, numerical) > 1e-3
    assert relative_error(gradient + penalized / len(images), numerical) > 1e-3


LAYERS = (
    ("convolution", Convolution(padding=1)),
    ("normalization", BatchNormalization()),
    ("activation", ReLU()),
    ("pooling", MaxPooling(2)),
    ("flatten", Flatten()),
    ("output", Affine()),
)


@pytest.mark.parametrize(
    ("name", "mistake"),
    [
        ("convolution", forgotten_bias),
        ("convolution", kernel_not_mirrored),
        ("normalization", _without("mean")),
        ("activation", everything_passes),
        ("output", averaged_bias),
    ],
)
def test_going_backwards_the_first_disagreement_names_the_layer(name, mistake):
    generator = np.random.default_rng(0)
    shapes = {
        "convolution.weight": (2, 1, 3, 3),
        "convolution.bias": (2,),
        "normalization.weight": (2,),
        "normalization.bias": (2,),
        "output.weight": (3, 8),
        "output.bias": (3,),
    }
    parameters = {key: generator.normal(size=shape) for key, shape in shapes.items()}
    wrong = tuple((key, Wrong(layer, mistake) if key == name else layer) for key, layer in LAYERS)
    outputs, cache = Network(LAYERS).forward(parameters, generator.normal(size=(5, 1, 4, 4)))
    output_gradient = generator.normal(size=outputs.shape)
    found = [
        ours.name
        for ours, theirs in zip(
            Network(wrong).backwards(parameters, cache, output_gradient),
            Network(LAYERS).backwards(parameters, cache, output_gradient),
            strict=True,
        )
        if relative_error(ours.inputs, theirs.inputs) > 1e-12
        or any(
            relative_error(ours.parameters[key], theirs.parameters[key]) > 1e-12 for key in ours.parameters
        )
    ]
    assert found[0] == name
