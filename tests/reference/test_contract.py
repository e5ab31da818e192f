"""What every layer in the table promises, above all that its derivation is right."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from layer_examples import EXAMPLES, in_pytorch

from foolscope.reference import (
    LAYERS,
    BatchNormalization,
    Layer,
    Residual,
    central_differences,
    relative_error,
)

AUTOMATIC = 1e-12
NUMERICAL = 1e-7

every_example = pytest.mark.parametrize(
    "example",
    [
        pytest.param(each, id=f"{name}-{'x'.join(map(str, each.input_shape))}-{number}")
        for name, examples in EXAMPLES.items()
        for number, each in enumerate(examples)
    ],
)


def forward_and_backward(example, parameters, inputs, output_gradient):
    outputs, cache = example.layer.forward(parameters, inputs)
    return outputs, *example.layer.backward(parameters, cache, output_gradient)


def test_every_layer_has_examples():
    assert EXAMPLES.keys() == LAYERS.keys()
    for name, examples in EXAMPLES.items():
        assert all(isinstance(each.layer, LAYERS[name]) for each in examples)


@every_example
def test_outputs_and_gradients_are_those_of_automatic_differentiation(example):
    drawn = example.draw()
    outputs, by_inputs, by_parameters = forward_and_backward(example, *drawn)
    expected_outputs, expected_by_inputs, expected_by_parameters = in_pytorch(example, *drawn)
    assert relative_error(outputs, expected_outputs) <= AUTOMATIC
    assert relative_error(by_inputs, expected_by_inputs) <= AUTOMATIC
    assert by_parameters.keys() == expected_by_parameters.keys()
    for name, gradient in by_parameters.items():
        assert relative_error(gradient, expected_by_parameters[name]) <= AUTOMATIC, name


@every_example
def test_gradients_are_those_of_differences(example):
    """With the loss Σ output gradient · outputs."""
    parameters, inputs, output_gradient = example.draw()
    _, by_inputs, by_parameters = forward_and_backward(example, parameters, inputs, output_gradient)

    def loss(values, images):
        return float((example.layer.forward(values, images)[0] * output_gradient).sum())

    numerical = central_differences(lambda images: loss(parameters, images), inputs)
    assert relative_error(by_inputs, numerical) <= NUMERICAL
    for name, gradient in by_parameters.items():
        numerical = central_differences(
            lambda value, name=name: loss(parameters | {name: value}, inputs), parameters[name]
        )
        assert relative_error(gradient, numerical) <= NUMERICAL, name


@every_example
def test_arguments_are_left_as_they_are_and_backward_can_be_repeated(example):
    parameters, inputs, output_gradient = example.draw()
    for array in (*parameters.values(), inputs, output_gradient):
        array.flags.writeable = False
    _, cache = example.layer.forward(parameters, inputs)
    first, second = (example.layer.backward(parameters, cache, output_gradient) for _ in range(2))
    assert np.array_equal(first[0], second[0])
    for name, gradient in first[1].items():
        assert np.array_equal(gradient, second[1][name])
        assert gradient.flags.writeable, f"the gradient of {name} is not an array of its own"


@every_example
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 2e-5), (np.float64, 0.0)])
def test_the_data_type_is_kept(example, dtype, tolerance):
    results = forward_and_backward(example, *example.draw(dtype))
    exact = forward_and_backward(example, *example.draw())
    pairs = [*zip(results[:2], exact[:2], strict=True), *((results[2][k], exact[2][k]) for k in exact[2])]
    for result, double in pairs:
        assert result.dtype == dtype
        assert relative_error(result.astype(np.float64), double) <= tolerance


@every_example
def test_parameters_have_gradients_of_their_shape(example):
    parameters, *arrays = example.draw()
    _, by_inputs, by_parameters = forward_and_backward(example, parameters, *arrays)
    assert by_inputs.shape == example.input_shape
    assert {name: value.shape for name, value in by_parameters.items()} == example.parameters


@every_example
def test_an_empty_batch_has_no_outputs_and_moves_no_parameter(example):
    example = dataclasses.replace(example, input_shape=(0, *example.input_shape[1:]))
    if isinstance(example.layer, BatchNormalization | Residual):  # the residual example holds one
        with pytest.raises(ValueError, match="at least 2 numbers per channel"):
            example.draw()
        return
    outputs, by_inputs, by_parameters = forward_and_backward(example, *example.draw())
    assert len(outputs) == 0
    assert by_inputs.shape == example.input_shape
    assert not any(gradient.any() for gradient in by_parameters.values())


@every_example
def test_it_is_a_frozen_layer(example):
    assert isinstance(example.layer, Layer)
    assert type(example.layer).__dataclass_params__.frozen
    assert "Derivation" in type(example.layer).__doc__


def test_the_reference_does_not_know_what_it_is_compared_with():
    program = "import foolscope.reference, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"torch", "scipy", "autograd", "jax"} & set(done.stdout.split())
