import pytest
import torch

from foolscope.attacks.losses import (
    LOSSES,
    cross_entropy,
    dlr,
    margin,
    misclassified,
    target_reached,
    targeted_dlr,
)

LOGITS = torch.tensor([[3.0, 1.0, 2.0], [0.0, 5.0, -1.0]], dtype=torch.float64)
LABELS = torch.tensor([0, 2])


def test_values_by_hand():
    exponentials = LOGITS.exp()
    by_hand = -(exponentials[torch.arange(2), LABELS] / exponentials.sum(1)).log()
    torch.testing.assert_close(cross_entropy(LOGITS, LABELS), by_hand)
    assert margin(LOGITS, LABELS).tolist() == [-1.0, 6.0]
    assert margin(LOGITS[:, :2], torch.tensor([1, 0])).tolist() == [2.0, 5.0]


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_points_the_right_way(name):
    """Raising the untargeted loss lowers the label's logit; raising the targeted one raises the target's."""
    targets = torch.tensor([2, 0])
    logits = torch.cat([LOGITS, torch.tensor([[0.5], [-2.0]], dtype=torch.float64)], 1).requires_grad_()
    labels = torch.tensor([0, 1])
    (away,) = torch.autograd.grad(LOSSES[name].untargeted(logits, labels).sum(), logits)
    (towards,) = torch.autograd.grad(LOSSES[name].targeted(logits, labels, targets).sum(), logits)
    rows = torch.arange(2)
    assert bool((away[rows, labels] < 0).all())
    assert bool((towards[rows, targets] > 0).all())


def test_ratios_by_hand():
    logits = torch.tensor([[1.0, 5.0, 3.0, -1.0, 2.0]] * 3, dtype=torch.float64)  # in order: 5, 3, 2, 1, -1
    labels, targets = torch.tensor([1, 2, 3]), torch.tensor([4, 1, 0])
    untargeted = torch.tensor([-2 / 3, 2 / 3, 6 / 3], dtype=torch.float64)
    torch.testing.assert_close(dlr(logits, labels), untargeted)
    targeted = torch.tensor([-3 / 3.5, 2 / 3.5, 2 / 3.5], dtype=torch.float64)
    torch.testing.assert_close(targeted_dlr(logits, labels, targets), targeted)


@pytest.mark.parametrize("classes", [3, 4, 7])
def test_ratios_know_neither_scale_nor_shift(classes):
    logits = torch.randn(20, classes, generator=torch.Generator().manual_seed(classes), dtype=torch.float64)
    labels = torch.arange(20) % classes
    targets = (labels + 1) % classes
    moved = 1e4 * logits - 300
    torch.testing.assert_close(dlr(moved, labels), dlr(logits, labels))
    torch.testing.assert_close(targeted_dlr(moved, labels, targets), targeted_dlr(logits, labels, targets))


def test_ratios_with_few_classes():
    """Three classes have no fourth logit, two no third: then the divisor is 1."""
    logits = torch.tensor([[5.0, 3.0, 1.0]], dtype=torch.float64)
    label, target = torch.tensor([0]), torch.tensor([1])
    torch.testing.assert_close(
        targeted_dlr(logits, label, target), torch.tensor([-2 / 4], dtype=torch.float64)
    )
    assert dlr(logits[:, :2], label).tolist() == targeted_dlr(logits[:, :2], label, target).tolist() == [-2.0]


@pytest.mark.parametrize("loss", [dlr, lambda logits, labels: targeted_dlr(logits, labels, 1 - labels)])
def test_ratios_of_equal_logits_are_finite(loss):
    logits = torch.zeros(2, 5, requires_grad=True)
    losses = loss(logits, torch.tensor([0, 1]))
    assert losses.tolist() == [0, 0]
    (gradient,) = torch.autograd.grad(losses.sum(), logits)
    assert bool(gradient.isfinite().all())


def test_success():
    assert misclassified(LOGITS, LABELS, None).tolist() == [False, True]
    assert target_reached(LOGITS, LABELS, torch.tensor([1, 1])).tolist() == [False, True]
