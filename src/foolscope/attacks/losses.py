"""What an attack makes larger: each loss per image, away from the label or towards a target."""

from collections.abc import Callable
from math import inf
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

__all__ = ["LOSSES", "Loss", "LossName", "cross_entropy", "margin", "misclassified", "target_reached"]

LossName = Literal["cross_entropy", "margin"]


def cross_entropy(
    logits: Float[Tensor, "batch classes"], labels: Int64[Tensor, " batch"]
) -> Float[Tensor, " batch"]:
    """Return ``−log softmax(z)_y`` for each image, in nats.

    Args:
        logits: the model's output.
        labels: class indices.
    """
    return torch.nn.functional.cross_entropy(logits, labels, reduction="none")


def margin(
    logits: Float[Tensor, "batch classes"], labels: Int64[Tensor, " batch"]
) -> Float[Tensor, " batch"]:
    """Return ``max_{j≠y} z_j − z_y`` for each image: above 0 exactly where another class wins.

    Args:
        logits: the model's output; two classes or more.
        labels: class indices.

    Source:
        Carlini and Wagner (2017, arXiv:1608.04644), section IV-A, f₆ with the sign turned and without a
        floor.

    Example:
        >>> margin(torch.tensor([[3.0, 1.0, 2.0]]), torch.tensor([0]))
        tensor([-1.])
    """
    column = labels[:, None]
    others = logits.scatter(1, column, -inf).amax(1)
    return others - logits.gather(1, column)[:, 0]


class Loss(NamedTuple):
    """One loss in its two directions; an attack makes either larger.

    Args:
        untargeted: from (logits, labels) to one number per image, larger where the label is further off.
        targeted: from (logits, labels, targets) to one number per image, larger where the target is nearer.
    """

    untargeted: Callable[[Tensor, Tensor], Tensor]
    targeted: Callable[[Tensor, Tensor, Tensor], Tensor]


LOSSES: dict[LossName, Loss] = {
    "cross_entropy": Loss(cross_entropy, lambda logits, labels, targets: -cross_entropy(logits, targets)),
    "margin": Loss(margin, lambda logits, labels, targets: -margin(logits, targets)),
}


def misclassified(
    logits: Float[Tensor, "batch classes"],
    labels: Int64[Tensor, " batch"],
    targets: Int64[Tensor, " batch"] | None,
) -> Bool[Tensor, " batch"]:
    """Return where another class than the label has the largest logit, whichever it is."""
    return logits.argmax(1) != labels


def target_reached(
    logits: Float[Tensor, "batch classes"],
    labels: Int64[Tensor, " batch"],
    targets: Int64[Tensor, " batch"] | None,
) -> Bool[Tensor, " batch"]:
    """Return where the target has the largest logit."""
    assert targets is not None
    return logits.argmax(1) == targets
