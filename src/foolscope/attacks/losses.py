"""The losses that attacks maximize: one value per image, away from the label or towards a target."""

from collections.abc import Callable
from math import inf
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool
from torch import Tensor

from foolscope.threats.prediction import Labels, Logits, PerImage

__all__ = [
    "LOSSES",
    "Loss",
    "LossName",
    "cross_entropy",
    "dlr",
    "margin",
    "misclassified",
    "target_reached",
    "targeted_dlr",
]

LossName = Literal["cross_entropy", "dlr", "margin"]

_SMALLEST_SPREAD = 1e-12


def cross_entropy(logits: Logits, labels: Labels) -> PerImage:
    """Return ``−log softmax(z)_y`` for each image, in nats."""
    return torch.nn.functional.cross_entropy(logits, labels, reduction="none")


def margin(logits: Logits, labels: Labels) -> PerImage:
    """Return ``max_{j≠y} z_j − z_y`` for each image: above 0 exactly where another class wins.

    Source:
        Carlini and Wagner (2017, arXiv:1608.04644), section V-A, f₆ with the sign turned and without a
        floor.

    Example:
        >>> margin(torch.tensor([[3.0, 1.0, 2.0]]), torch.tensor([0]))
        tensor([-1.])
    """
    column = labels[:, None]
    others = logits.scatter(1, column, -inf).amax(1)
    return others - logits.gather(1, column)[:, 0]


def dlr(logits: Logits, labels: Labels) -> PerImage:
    """Return the difference of logits ratio, ``(max_{j≠y} z_j − z_y) / (z_(1) − z_(3))``, for each image.

    ``z_(k)`` is the k-th largest logit. Neither a shift nor a positive factor of the logits changes the loss,
    so large logits do not hide its gradient as they hide that of cross-entropy.
    With two classes there is no third logit: the loss is the margin, whose gradient has the same direction
    whatever the factor.

    Source:
        Croce and Hein (2020, arXiv:2003.01690), section 4, which needs three classes.

    Example:
        >>> dlr(torch.tensor([[3.0, 1.0, 2.0]]), torch.tensor([0]))
        tensor([-0.5000])
    """
    return margin(logits, labels) / _spread(logits, slice(2, 3))


def targeted_dlr(logits: Logits, labels: Labels, targets: Labels) -> PerImage:
    """Return ``(z_t − z_y) / (z_(1) − (z_(3) + z_(4)) / 2)`` for each image: above 0 where the target leads.

    With three classes ``z_(3)`` stands for the mean; with two there is no divisor.

    Source:
        Croce and Hein (2020, arXiv:2003.01690), section 4, which needs four classes.

    Example:
        >>> targeted_dlr(torch.tensor([[3.0, 1.0, 2.0, 0.0]]), torch.tensor([0]), torch.tensor([2]))
        tensor([-0.4000])
    """
    differences = logits.gather(1, targets[:, None]) - logits.gather(1, labels[:, None])
    return differences[:, 0] / _spread(logits, slice(2, 4))


class Loss(NamedTuple):
    """One loss in its two directions, both of which attacks maximize.

    Args:
        untargeted: from (logits, labels) to one number per image, larger where the label is further off.
        targeted: from (logits, labels, targets) to one number per image, larger where the target is nearer.
    """

    untargeted: Callable[[Tensor, Tensor], Tensor]
    targeted: Callable[[Tensor, Tensor, Tensor], Tensor]


LOSSES: dict[LossName, Loss] = {
    "cross_entropy": Loss(cross_entropy, lambda logits, labels, targets: -cross_entropy(logits, targets)),
    "dlr": Loss(dlr, targeted_dlr),
    "margin": Loss(margin, lambda logits, labels, targets: -margin(logits, targets)),
}


def misclassified(logits: Logits, labels: Labels, targets: Labels | None) -> Bool[Tensor, " batch"]:
    """Return where another class than the label has the largest logit, whichever it is."""
    return logits.argmax(1) != labels


def target_reached(logits: Logits, labels: Labels, targets: Labels | None) -> Bool[Tensor, " batch"]:
    """Return where the target has the largest logit."""
    assert targets is not None
    return logits.argmax(1) == targets


def _spread(logits: Tensor, places: slice) -> Tensor:
    """Return the largest logit minus the mean of those at these places of the order."""
    if logits.shape[1] < 3:
        return torch.ones_like(logits[:, 0])
    ordered = logits.sort(dim=1, descending=True).values
    return ordered[:, 0] - ordered[:, places].mean(1) + _SMALLEST_SPREAD
