import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from foolscope.learning.losses import squared_error
from foolscope.reference import (
    LOSSES,
    CrossEntropy,
    Loss,
    MeanSquaredError,
    SquaredError,
    central_differences,
    relative_error,
)

SHAPES = [(5, 4), (1, 2), (3, 10)]


def draw(shape, dtype=np.float64):
    generator = np.random.default_rng(1)
    outputs = (3 * generator.normal(size=shape)).astype(dtype)
    return outputs, generator.integers(shape[1], size=shape[0]), generator.normal(size=shape).astype(dtype)


CASES = [
    (CrossEntropy(), 1, functional.cross_entropy),
    (CrossEntropy(0.3), 1, lambda z, t: functional.cross_entropy(z, t, label_smoothing=0.3)),
    (SquaredError(), 1, lambda z, t: squared_error(z[None], t[None]).mean()),
    (MeanSquaredError(), 2, functional.mse_loss),
]
every_case = pytest.mark.parametrize(
    ("loss", "which", "in_torch"), CASES, ids=["entropy", "smoothed", "squared", "mean"]
)


def test_every_loss_has_a_case():
    assert {type(loss) for loss, *_ in CASES} == set(LOSSES.values())


@every_case
@pytest.mark.parametrize("shape", SHAPES)
def test_value_and_gradient(loss, which, in_torch, shape):
    drawn = draw(shape)
    outputs, targets = drawn[0], drawn[which]
    value, cache = loss.forward(outputs, targets)
    gradient = loss.backward(cache)
    leaf = torch.from_numpy(outputs).requires_grad_()
    expected = in_torch(leaf, torch.from_numpy(targets))
    (expected_gradient,) = torch.autograd.grad(expected, leaf)
    assert value == pytest.approx(expected.item(), rel=1e-12)
    assert relative_error(gradient, expected_gradient.numpy()) <= 1e-12
    numerical = central_differences(lambda point: loss.forward(point, targets)[0], outputs)
    assert relative_error(gradient, numerical) <= 1e-7


@every_case
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_contract(loss, which, in_torch, dtype):
    """A loss, which keeps the data type, leaves its arguments alone and repeats itself."""
    assert isinstance(loss, Loss)
    drawn = draw((4, 3), dtype)
    outputs, targets = drawn[0], drawn[which]
    outputs.flags.writeable = targets.flags.writeable = False
    value, cache = loss.forward(outputs, targets)
    first, second = loss.backward(cache), loss.backward(cache)
    assert type(value) is float
    assert first.dtype == dtype
    assert np.array_equal(first, second)


def test_large_logits_do_not_overflow():
    value, cache = CrossEntropy().forward(np.array([[1e4, -1e4]]), np.array([1]))
    assert value == 2e4
    assert np.array_equal(CrossEntropy().backward(cache), [[1.0, -1.0]])


def test_equal_logits_cost_the_logarithm_of_the_number_of_classes():
    assert CrossEntropy(0.2).forward(np.zeros((3, 10)), np.arange(3))[0] == pytest.approx(math.log(10))
