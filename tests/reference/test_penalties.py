import numpy as np
import pytest
import torch

from foolscope.learning.parameters.regularizers import PackRegularizers, RegularizationSettings
from foolscope.reference import L1, L2, Penalty, central_differences, relative_error

PENALTIES = [(L1(0.3), {"l1": 0.3}), (L2(0.7), {"l2": 0.7})]
every_penalty = pytest.mark.parametrize(("penalty", "settings"), PENALTIES, ids=["L1", "L2"])


@pytest.fixture
def parameters():
    generator = np.random.default_rng(0)
    shapes = {"weight": (3, 4), "bias": (3,), "kernel": (2, 1, 3, 2), "running_mean": (2,)}
    return {name: generator.normal(size=shape) for name, shape in shapes.items()}


@every_penalty
def test_it_is_the_penalty_of_training(penalty, settings, parameters):
    """Value and gradient by weights; everything else goes free."""
    assert isinstance(penalty, Penalty)
    pack = {name: torch.from_numpy(value)[None] for name, value in parameters.items()}
    regularizers = PackRegularizers.gather(
        [RegularizationSettings(**settings)], [0.0], torch.device("cpu"), torch.float64
    )
    gradients = {name: torch.zeros_like(value) for name, value in pack.items()}
    regularizers.add_gradients(pack, gradients)
    assert penalty.forward(parameters) == pytest.approx(regularizers.penalty(pack).item(), rel=1e-12)
    own = penalty.backward(parameters)
    assert own.keys() == {"weight", "kernel"}
    for name, gradient in gradients.items():
        assert np.array_equal(own.get(name, np.zeros_like(parameters[name])), gradient[0].numpy())


@every_penalty
def test_gradients_are_those_of_differences(penalty, settings, parameters):
    for name, gradient in penalty.backward(parameters).items():
        numerical = central_differences(
            lambda value, name=name: penalty.forward(parameters | {name: value}), parameters[name]
        )
        assert relative_error(gradient, numerical) <= 1e-7


@every_penalty
def test_the_data_type_is_kept_and_nothing_is_shared(penalty, settings, parameters):
    weights = {"weight": parameters["weight"].astype(np.float32)}
    weights["weight"].flags.writeable = False
    gradient = penalty.backward(weights)["weight"]
    assert gradient.dtype == np.float32
    assert gradient.flags.writeable


def test_a_weight_of_zero_stays_where_it_is():
    assert not L1(1.0).backward({"weight": np.zeros((2, 2))})["weight"].any()
