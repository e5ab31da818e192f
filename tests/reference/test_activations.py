import numpy as np
import pytest

from foolscope.reference import GELU, Affine, ReLU, ShiftedReLU, Sigmoid, TanhGELU, relative_error


def draw(*shape):
    return np.random.default_rng(0).normal(size=shape)


def test_a_bias_absorbs_the_offset():
    """max(W x + b, o) = max(W x + (b − o), 0) + o, as a function and in its gradients (E1)."""
    images, weight, bias, offset, gradient = draw(5, 3), draw(4, 3), draw(4), draw(4) + 0.3, draw(5, 4)
    affine, shifted, rectified = Affine(), ShiftedReLU(), ReLU()
    between, first_cache = affine.forward({"weight": weight, "bias": bias}, images)
    outputs, cache = shifted.forward({"offset": offset}, between)
    converted, second_cache = affine.forward({"weight": weight, "bias": bias - offset}, images)
    rectified_outputs, rectified_cache = rectified.forward({}, converted)
    assert relative_error(outputs, rectified_outputs + offset) <= 1e-15
    by_between, by_offset = shifted.backward({"offset": offset}, cache, gradient)
    by_converted, _ = rectified.backward({}, rectified_cache, gradient)
    assert np.array_equal(by_between, by_converted)
    by_bias = affine.parameter_gradients(second_cache, by_converted)["bias"]
    assert relative_error(by_offset["offset"], gradient.sum(axis=0) - by_bias) <= 1e-14
    assert first_cache[0] is images


@pytest.mark.parametrize("layer", [ReLU(), ShiftedReLU()])
def test_at_the_kink_nothing_goes_to_the_input(layer):
    parameters = {"offset": np.zeros(1)}
    _, cache = layer.forward(parameters, np.zeros((1, 1)))
    by_inputs, by_parameters = layer.backward(parameters, cache, np.ones((1, 1)))
    assert by_inputs == 0
    assert by_parameters.get("offset", np.ones(1)) == 1


@pytest.mark.parametrize("layer", [Sigmoid(), GELU(), TanhGELU()])
def test_large_numbers_do_not_overflow(layer):
    with np.errstate(all="raise", under="ignore"):
        outputs, cache = layer.forward({}, np.array([-800.0, 800.0]))
        gradient, _ = layer.backward({}, cache, np.ones(2))
    assert outputs[0] == 0
    assert outputs[1] == (1 if isinstance(layer, Sigmoid) else 800)
    assert np.array_equal(gradient, [0, 0] if isinstance(layer, Sigmoid) else [0, 1])
