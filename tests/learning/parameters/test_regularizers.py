import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from foolscope.learning.parameters.regularizers import (
    PackRegularizers,
    RegularizationSettings,
    clip_gradients,
)

CPU = torch.device("cpu")


def parameters(trials=3):
    generator = torch.Generator().manual_seed(0)
    shapes = {"weight": (5, 4), "bias": (5,), "filter": (3, 2, 3, 3), "scale": (6,)}
    return {
        name: torch.randn(trials, *shape, generator=generator, dtype=torch.float64)
        for name, shape in shapes.items()
    }


def gather(settings, weight_decay=None):
    return PackRegularizers.gather(settings, weight_decay or [0.0] * len(settings), CPU, torch.float64)


@pytest.mark.parametrize("penalize", ["weights", "all"])
@pytest.mark.parametrize(
    "coefficients", [[(0, 0), (0.1, 0), (0, 0.3)], [(0.2, 0.4)] * 3, [(0.1, 0)] * 3, [(0, 0)] * 3]
)
def test_penalty_and_gradient_are_those_of_the_formula(penalize, coefficients):
    """l1 · Σ|w| + (l2 / 2) · Σ w², by autograd, trial by trial, over weights only or everything."""
    settings = [RegularizationSettings(l1=l1, l2=l2, penalize=penalize) for l1, l2 in coefficients]
    values = parameters()
    regularizers = gather(settings)
    gradients = {name: torch.ones_like(value) for name, value in values.items()}
    regularizers.add_gradients(values, gradients)
    penalties = regularizers.penalty(values)
    for trial, (l1, l2) in enumerate(coefficients):
        own = {name: value[trial].clone().requires_grad_() for name, value in values.items()}
        counted = [value for name, value in own.items() if penalize == "all" or name in ("weight", "filter")]
        expected = sum(l1 * value.abs().sum() + l2 / 2 * value.square().sum() for value in counted)
        torch.testing.assert_close(penalties[trial], expected.detach())
        expected.backward()
        for name, value in own.items():
            added = torch.zeros_like(value) if value.grad is None else value.grad
            torch.testing.assert_close(gradients[name][trial], 1.0 + added)


def test_l2_is_pytorchs_weight_decay():
    values = parameters(1)
    weight = values["weight"][0].clone().requires_grad_()
    optimizer = torch.optim.SGD([weight], 0.1, weight_decay=0.3)
    weight.grad = weight.detach().cos()
    optimizer.step()
    gradients = {name: value.cos() for name, value in values.items()}
    gather([RegularizationSettings(l2=0.3)]).add_gradients(values, gradients)
    torch.testing.assert_close(values["weight"][0] - 0.1 * gradients["weight"][0], weight.detach())


@pytest.mark.parametrize("penalize", ["weights", "all"])
def test_decoupled_decay_shrinks_what_is_penalized(penalize):
    values = parameters()
    before = {name: value.clone() for name, value in values.items()}
    decays, rates = [0.0, 0.5, 0.1], torch.tensor([0.3, 0.2, 0.0], dtype=torch.float64)
    gather([RegularizationSettings(penalize=penalize)] * 3, decays).decay(values, rates)
    for name, value in values.items():
        acts = penalize == "all" or name in ("weight", "filter")
        for trial, factor in enumerate([1.0, 1.0 - 0.2 * 0.5, 1.0]):
            torch.testing.assert_close(value[trial], before[name][trial] * (factor if acts else 1.0))


def test_nothing_is_added_where_nothing_is_asked_for():
    values = parameters()
    gradients = {name: value.cos() for name, value in values.items()}
    kept = {name: value.clone() for name, value in gradients.items()}
    none = gather([RegularizationSettings()] * 3)
    none.add_gradients(values, gradients)
    none.decay(values, torch.ones(3, dtype=torch.float64))
    for name, value in parameters().items():
        assert torch.equal(gradients[name], kept[name])
        assert torch.equal(values[name], value)
    assert none.penalty(values).tolist() == [0.0] * 3


@pytest.mark.parametrize("thresholds", [(0.5, 3.0, 1e6), (float("inf"), 1.0, 2.0), (1.0, 1.0, 1.0)])
def test_clipping_is_pytorchs_for_every_trial(thresholds):
    gradients = parameters()
    expected = []
    for trial, threshold in enumerate(thresholds):
        own = {name: torch.zeros_like(value[trial], requires_grad=True) for name, value in gradients.items()}
        for name, value in own.items():
            value.grad = gradients[name][trial].clone()
        torch.nn.utils.clip_grad_norm_(own.values(), threshold)
        expected.append({name: value.grad for name, value in own.items()})
    clip_gradients(gradients, torch.tensor(thresholds, dtype=torch.float64))
    for trial, own in enumerate(expected):
        for name, value in own.items():
            torch.testing.assert_close(
                gradients[name][trial], value, rtol=1e-5, atol=0
            )  # PyTorch adds 1e-6 to the norm


@given(st.floats(0.01, 100.0))
def test_a_clipped_gradient_keeps_its_direction_and_has_the_threshold_for_a_norm(threshold):
    gradients = parameters(1)
    before = torch.cat([value.flatten() for value in gradients.values()])
    clip_gradients(gradients, torch.tensor([threshold], dtype=torch.float64))
    after = torch.cat([value.flatten() for value in gradients.values()])
    torch.testing.assert_close(after.norm(), before.norm().clamp_max(threshold), rtol=1e-12, atol=0)
    torch.testing.assert_close(after / after.norm(), before / before.norm(), rtol=1e-12, atol=1e-12)


def test_no_gradient_and_no_threshold_are_left_alone():
    gradients = {"weight": torch.zeros(2, 3, 3)}
    clip_gradients(gradients, torch.tensor([1.0, float("inf")]))
    clip_gradients(gradients, None)
    assert torch.equal(gradients["weight"], torch.zeros(2, 3, 3))


def test_a_gradient_that_is_not_finite_stays_in_its_trial():
    gradients = {"weight": torch.ones(3, 2, 2)}
    gradients["weight"][1] = float("nan")
    clip_gradients(gradients, torch.tensor([1.0, 1.0, float("inf")]))
    torch.testing.assert_close(gradients["weight"][0], torch.full((2, 2), 0.5))
    assert torch.equal(gradients["weight"][2], torch.ones(2, 2))
