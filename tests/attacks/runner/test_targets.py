import pytest
import torch

from foolscope.attacks.runner.randomness import Noise
from foolscope.attacks.runner.targets import TARGETS, choose_targets
from foolscope.core.errors import ThreatError

LOGITS = torch.tensor([[3.0, 1.0, 2.0, 0.0], [0.0, 5.0, -1.0, 4.0], [1.0, 1.0, 1.0, 1.0]])
LABELS = torch.tensor([0, 2, 3])
INDICES = torch.arange(3)


def choose(targets, logits=LOGITS, labels=LABELS, indices=INDICES):
    return choose_targets(targets, logits, labels, indices, Noise(0, "pgd"))


def test_by_hand():
    assert choose("least-likely")[:2].tolist() == [[3], [0]]
    assert choose("second")[:2].tolist() == [[2], [1]]
    assert choose("every")[:2].tolist() == [[2, 1, 3], [1, 3, 0]]
    assert choose(torch.tensor([1, 0, 2])).tolist() == [[1], [0], [2]]
    assert choose(torch.tensor([[1, 2], [0, 1], [0, 2]])).shape == (3, 2)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("classes", [2, 4])
def test_never_the_label(name, classes):
    labels = torch.arange(60) % classes
    chosen = choose(name, torch.zeros(60, classes), labels, torch.arange(60))
    assert bool((chosen != labels[:, None]).all())
    assert bool(((chosen >= 0) & (chosen < classes)).all())


def test_random_targets_belong_to_the_image():
    labels, logits = torch.zeros(300, dtype=torch.int64), torch.zeros(300, 4)
    all_of_them = choose("random", logits, labels, torch.arange(300))
    assert torch.equal(choose("random", logits[:2], labels[:2], torch.tensor([7, 3])), all_of_them[[7, 3]])
    assert all_of_them.flatten().bincount(minlength=4)[1:].min() > 70


def test_refuses():
    for targets, match in [
        ("secnd", "Did you mean 'second'"),
        (torch.tensor([1, 2]), "one row for each"),
        (torch.tensor([1, 0, 4]), "below 4"),
        (torch.tensor([0, 0, 0]), "differ from the labels"),
    ]:
        with pytest.raises(ThreatError, match=match):
            choose(targets)
