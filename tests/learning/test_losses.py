import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from foolscope.learning import LOSSES
from foolscope.learning.losses import (
    CrossEntropy,
    SquaredError,
    cross_entropy,
    smoothing_per_trial,
    squared_error,
)

TRIALS, BATCH, CLASSES = 3, 7, 4


def logits_and_labels(classes=CLASSES):
    generator = torch.Generator().manual_seed(0)
    logits = 5 * torch.randn(TRIALS, BATCH, classes, generator=generator, dtype=torch.float64)
    return logits, torch.randint(classes, (TRIALS, BATCH), generator=generator)


@pytest.mark.parametrize("smoothings", [(0.0, 0.0, 0.0), (0.0, 0.1, 0.5), (0.9, 0.9, 0.9)])
@pytest.mark.parametrize("classes", [2, CLASSES])
def test_cross_entropy_is_pytorchs_with_each_trials_own_smoothing(smoothings, classes):
    logits, labels = logits_and_labels(classes)
    settings = [CrossEntropy(label_smoothing=rate) for rate in smoothings]
    rates = smoothing_per_trial(settings, torch.device("cpu"), torch.float64)
    losses = cross_entropy(logits, labels, rates)
    for trial, rate in enumerate(smoothings):
        expected = functional.cross_entropy(
            logits[trial], labels[trial], reduction="none", label_smoothing=rate
        )
        torch.testing.assert_close(losses[trial], expected, rtol=1e-12, atol=1e-12)


@given(st.floats(0.0, 0.99))
def test_smoothed_cross_entropy_is_least_at_the_smoothed_label(rate):
    """−Σ q log p is least, over p, at p = q = (1 − s) onehot + s / K, where it is the entropy of q."""
    target = torch.full((CLASSES,), rate / CLASSES, dtype=torch.float64)
    target[1] += 1.0 - rate
    entropy = torch.special.entr(target).sum()
    logits = target.clamp_min(1e-300).log().expand(1, 1, CLASSES)
    least = cross_entropy(logits, torch.tensor([[1]]), torch.tensor([rate], dtype=torch.float64))
    torch.testing.assert_close(least.squeeze(), entropy, rtol=1e-9, atol=1e-9)


def test_equal_logits_cost_the_logarithm_of_the_number_of_classes():
    losses = cross_entropy(torch.zeros(1, 2, 10), torch.tensor([[0, 9]]), torch.tensor([0.3]))
    torch.testing.assert_close(losses, torch.full((1, 2), 10.0).log())


def test_squared_error_is_half_the_squared_distance_to_the_one_hot_label():
    scores, labels = logits_and_labels()
    expected = 0.5 * functional.mse_loss(
        scores, functional.one_hot(labels, CLASSES).double(), reduction="none"
    ).sum(-1)
    torch.testing.assert_close(squared_error(scores, labels, torch.zeros(TRIALS)), expected)


@pytest.mark.parametrize("name", list(LOSSES))
def test_contract(name):
    """Finite for large logits, no smaller than zero, gradient stays within the trial, inputs untouched."""
    settings, loss = LOSSES[name].settings, LOSSES[name].function
    assert settings.model_fields["name"].default == name
    logits, labels = logits_and_labels()
    logits = (100 * logits).requires_grad_()
    before = logits.detach().clone()
    losses = loss(logits, labels, torch.tensor([0.0, 0.1, 0.2], dtype=torch.float64))
    assert losses.shape == labels.shape
    assert losses.isfinite().all()
    assert losses.min() >= 0
    (gradient,) = torch.autograd.grad(losses[1].sum(), logits)
    assert gradient[1].abs().sum() > 0
    assert gradient[[0, 2]].abs().sum() == 0
    assert torch.equal(logits.detach(), before)


def test_gathering_smoothing():
    settings = [CrossEntropy(label_smoothing=0.25), SquaredError()]
    assert smoothing_per_trial(settings, torch.device("cpu")).tolist() == [0.25, 0.0]
    assert smoothing_per_trial([SquaredError(), CrossEntropy()], torch.device("cpu")) is None
