import pytest
import torch

from foolscope.attacks.losses import LOSSES, cross_entropy, margin, misclassified, target_reached

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
    logits = LOGITS.clone().requires_grad_()
    (away,) = torch.autograd.grad(LOSSES[name].untargeted(logits, LABELS).sum(), logits)
    (towards,) = torch.autograd.grad(LOSSES[name].targeted(logits, LABELS, targets).sum(), logits)
    rows = torch.arange(2)
    assert bool((away[rows, LABELS] < 0).all())
    assert bool((towards[rows, targets] > 0).all())


def test_success():
    assert misclassified(LOGITS, LABELS, None).tolist() == [False, True]
    assert target_reached(LOGITS, LABELS, torch.tensor([1, 1])).tolist() == [False, True]
