"""The order of the other classes, against the distances of a linear model's boundaries."""

from math import inf

import pytest
import torch
from torch import Tensor, nn

from foolscope.attacks.evaluation.class_order import nearest_classes
from foolscope.threats.norms import NORMS

WEIGHTS = torch.randn(5, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
IMAGES = torch.rand(9, 1, 3, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


class Linear(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ WEIGHTS.T


LABELS = Linear()(IMAGES).argmax(1)


@pytest.mark.parametrize(("norm", "dual"), [("linf", 1), ("l2", 2), ("l1", inf)])
@pytest.mark.parametrize("batch_size", [2, 100])
def test_classes_come_in_the_order_of_their_exact_distances(norm: str, dual: float, batch_size: int) -> None:
    classes, distances = nearest_classes(Linear(), IMAGES, LABELS, NORMS[norm], 4, batch_size)
    logits = Linear()(IMAGES)
    gaps = logits.gather(1, LABELS[:, None]) - logits
    lengths = torch.linalg.vector_norm(WEIGHTS[LABELS][:, None] - WEIGHTS, ord=dual, dim=2)
    exact = torch.where(torch.nn.functional.one_hot(LABELS, 5).bool(), inf, gaps / lengths)
    expected = exact.sort(1)
    assert torch.equal(classes, expected.indices[:, :4])
    torch.testing.assert_close(distances, expected.values[:, :4])


def test_of_many_classes_those_with_the_largest_logits_are_compared() -> None:
    classes, distances = nearest_classes(Linear(), IMAGES, LABELS, NORMS["l2"], 2, 100)
    likely = Linear()(IMAGES).argsort(1, descending=True)[:, 1:3]
    assert torch.equal(classes.sort(1).values, likely.sort(1).values)
    assert bool((distances[:, 0] <= distances[:, 1]).all())


def test_a_label_that_is_not_the_largest_logit_is_no_target_either() -> None:
    wrong = (LABELS + 1) % 5
    classes, distances = nearest_classes(Linear(), IMAGES, wrong, NORMS["l2"], 9, 100)
    assert bool((classes != wrong[:, None]).all())
    assert classes.shape == (9, 4)
    assert bool((distances[:, 0] < 0).all())  # beyond its boundary with the predicted class


def test_boundaries_that_no_gradient_leads_to_are_infinitely_far() -> None:
    class Partly(nn.Module):
        """Of classes 0 to 2 only the last has a gradient."""

        def forward(self, images: Tensor) -> Tensor:
            mean = images.flatten(1).mean(1)
            return torch.stack([torch.ones_like(mean), torch.full_like(mean, 0.9), mean / 2], 1)

    labels = torch.zeros_like(LABELS)
    classes, distances = nearest_classes(Partly(), IMAGES, labels, NORMS["linf"], 2, 100)
    assert classes.tolist() == [[2, 1]] * 9
    assert distances[:, 1].tolist() == [inf] * 9
    torch.testing.assert_close(distances[:, 0], 2 - IMAGES.flatten(1).mean(1))
    detached = nearest_classes(Detached(), IMAGES, LABELS, NORMS["linf"], 2, 100)[1]
    assert bool(detached.isinf().all())


class Detached(Linear):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images.detach())
