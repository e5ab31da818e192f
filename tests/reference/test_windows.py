"""Convolution and pooling in any geometry are PyTorch's."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_examples import average_pooling, convolution, in_pytorch, max_pooling

from foolscope.reference import Convolution, MaxPooling, relative_error

sides = st.tuples(st.integers(1, 3), st.integers(1, 3))


@st.composite
def geometries(draw, most_padding):
    """Input shape, kernel, stride and padding with at least one window."""
    kernel, stride = draw(sides), draw(sides)
    padding = tuple(draw(st.integers(0, most_padding(side))) for side in kernel)
    height, width = (
        draw(st.integers(max(1, side - 2 * border), 7)) for side, border in zip(kernel, padding, strict=True)
    )
    return (draw(st.integers(1, 3)), draw(st.integers(1, 3)), height, width), kernel, stride, padding


def assert_as_in_pytorch(example):
    drawn = example.draw()
    outputs, cache = example.layer.forward(*drawn[:2])
    by_inputs, by_parameters = example.layer.backward(drawn[0], cache, drawn[2])
    expected_outputs, expected_by_inputs, expected_by_parameters = in_pytorch(example, *drawn)
    assert relative_error(outputs, expected_outputs) <= 1e-12
    assert relative_error(by_inputs, expected_by_inputs) <= 1e-12
    for name, gradient in by_parameters.items():
        assert relative_error(gradient, expected_by_parameters[name]) <= 1e-12


@settings(max_examples=60)
@given(geometries(lambda side: 2), st.integers(1, 3), st.booleans())
def test_convolution(geometry, maps, bias):
    shape, kernel, stride, padding = geometry
    assert_as_in_pytorch(convolution(shape, maps, kernel, stride, padding, bias))


@settings(max_examples=60)
@given(geometries(lambda side: side // 2))
def test_max_pooling(geometry):
    assert_as_in_pytorch(max_pooling(*geometry))


@settings(max_examples=60)
@given(geometries(lambda side: side // 2))
def test_average_pooling(geometry):
    assert_as_in_pytorch(average_pooling(*geometry))


@given(st.lists(st.integers(0, 2), min_size=16, max_size=16), st.integers(1, 2))
def test_of_equal_numbers_the_first_wins_as_in_pytorch(numbers, stride):
    inputs = np.array(numbers, np.float64).reshape(1, 1, 4, 4)
    layer = MaxPooling(2, stride, 1)
    outputs, cache = layer.forward({}, inputs)
    gradient = np.arange(1.0, outputs.size + 1).reshape(outputs.shape)
    leaf = torch.from_numpy(inputs).requires_grad_()
    pooled = torch.nn.functional.max_pool2d(leaf, 2, stride, 1)
    (expected,) = torch.autograd.grad(pooled, leaf, torch.from_numpy(gradient))
    assert np.array_equal(layer.backward({}, cache, gradient)[0], expected.numpy())


def test_a_number_that_is_none_is_the_largest_as_in_pytorch():
    inputs = np.arange(16.0).reshape(1, 1, 4, 4)
    inputs[0, 0, 0, 0] = np.nan
    outputs, _ = MaxPooling(2).forward({}, inputs)
    expected = torch.nn.functional.max_pool2d(torch.from_numpy(inputs), 2).numpy()
    assert np.array_equal(outputs, expected, equal_nan=True)
    assert np.isnan(outputs).sum() == 1


@pytest.mark.parametrize(
    ("layer", "parameters"), [(MaxPooling(4), {}), (Convolution(), {"weight": np.ones((1, 1, 4, 1))})]
)
def test_a_window_larger_than_the_image_is_refused(layer, parameters):
    with pytest.raises(ValueError, match=r"a 4×. window does not fit into 3×5 pixels"):
        layer.forward(parameters, np.ones((1, 1, 3, 5)))
