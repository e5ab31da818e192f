import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from foolscope.reference import central_differences, difference_step, relative_error

numbers = arrays(np.float64, (2, 3), elements=st.floats(-1e6, 1e6))


@given(numbers, numbers)
def test_it_is_symmetric_without_unit_and_at_most_two(first, second):
    error = relative_error(first, second)
    assert 0 <= error <= 2
    assert error == relative_error(second, first)
    assert relative_error(4 * first, 4 * second) == error
    assert relative_error(first, first) == 0


def test_the_scale_is_that_of_the_whole_array():
    assert relative_error(np.array([1000.0, 1e-9]), np.array([1000.0, 2e-9])) == pytest.approx(1e-12)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_agrees_with_nothing(bad):
    values = np.array([1.0, bad])
    assert relative_error(values, values) == math.inf
    assert relative_error(np.ones(2), values) == math.inf


def test_empty_arrays_agree():
    assert relative_error(np.ones((0, 2)), np.ones((0, 2))) == 0


def test_shapes_must_be_equal():
    with pytest.raises(ValueError, match=r"one shape can be compared; got \(2,\) and \(1, 2\)"):
        relative_error(np.ones(2), np.ones((1, 2)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_default_step_is_about_the_best(dtype):
    """On e^x at 0.5 no step gives an error ten times smaller, and much larger or smaller ones do worse."""
    point = np.array([0.5], dtype)

    def error(step):
        estimate = central_differences(lambda x: float(np.exp(x)[0]), point, step)
        assert estimate.dtype == dtype
        return abs(float(estimate[0]) - math.exp(0.5))

    step = difference_step(np.dtype(dtype))
    typical = np.median([error(step * factor) for factor in np.linspace(0.8, 1.2, 21)])
    for factor in (1 / 300, 300):
        assert (
            np.median([error(step * factor * wiggle) for wiggle in np.linspace(0.8, 1.2, 21)]) > 5 * typical
        )
    assert typical < np.finfo(dtype).eps ** (2 / 3)


def test_differences_of_a_quadratic_form_are_its_gradient():
    matrix = np.random.default_rng(0).normal(size=(6, 6))
    point = np.random.default_rng(1).normal(size=(2, 3))
    point[0, 0] = 1e3
    kept = point.copy()
    estimate = central_differences(lambda x: float(x.ravel() @ matrix @ x.ravel()), point)
    expected = ((matrix + matrix.T) @ point.ravel()).reshape(2, 3)
    assert relative_error(estimate, expected) <= 1e-7
    assert np.array_equal(point, kept)


def test_the_step_grows_with_the_numbers():
    """The derivative of (x / 10⁶)³ at 10⁶ is lost in rounding at a step of 6e-6."""
    estimate = central_differences(lambda x: float((x[0] / 1e6) ** 3), np.array([1e6]))
    assert estimate[0] == pytest.approx(3e-6, rel=1e-9)
