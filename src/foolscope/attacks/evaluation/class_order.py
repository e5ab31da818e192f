"""The order in which targeted attacks try the other classes: the nearest boundary first."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from foolscope.attacks.runner.oracle import input_gradient
from foolscope.core.modes import frozen
from foolscope.threats.norms import Norm
from foolscope.threats.prediction import Images, Labels

__all__ = ["nearest_classes"]


def nearest_classes(
    model: nn.Module, images: Images, labels: Labels, norm: Norm, count: int, batch_size: int
) -> tuple[Int64[Tensor, "batch targets"], Float[Tensor, "batch targets"]]:
    """Order classes by the distance of their boundary with the label, to first order.

    The distance is ``(z_y − z_j) / ‖∇(z_y − z_j)‖``, with the gradient in the dual norm: a step of this
    length along the steepest direction closes the gap if the model is linear. Where a model has more classes
    than ``count``, those with the largest logits are compared. It takes one forward pass and ``count``
    backward passes per image.

    Returns:
        The classes, the nearest first, and their distances; ``count`` columns, or one for each other class
        where these are fewer.

    Source:
        The linearized boundary is that of Moosavi-Dezfooli, Fawzi and Frossard (2016, arXiv:1511.04599),
        algorithm 2.
    """
    parts = [
        _nearest(model, *part, norm, count)
        for part in zip(torch.split(images, batch_size), torch.split(labels, batch_size), strict=True)
    ]
    classes, distances = zip(*parts, strict=True)
    return torch.cat(classes), torch.cat(distances)


def _nearest(
    model: nn.Module, images: Tensor, labels: Tensor, norm: Norm, count: int
) -> tuple[Tensor, Tensor]:
    column = labels[:, None]
    with frozen(model), torch.enable_grad():
        variables = images.detach().requires_grad_()
        logits: Tensor = model(variables)
        likely = logits.detach().scatter(1, column, -torch.inf)
        classes = likely.topk(min(count, logits.shape[1] - 1), dim=1).indices
        gaps = logits.gather(1, column) - logits.gather(1, classes)
        distances = [_distance(gap, variables, norm) for gap in gaps.unbind(1)]
    order = torch.stack(distances, 1).sort(dim=1, stable=True)
    return classes.gather(1, order.indices), order.values


def _distance(gaps: Tensor, variables: Tensor, norm: Norm) -> Tensor:
    """Return the distance at which a gap closes; infinity where the gradient is zero or not finite."""
    gradient = input_gradient(gaps, variables, again=True)
    gain = (norm.steepest_step(gradient, torch.ones_like(gaps)) * gradient).flatten(1).sum(1)
    return (gaps.detach() / gain).nan_to_num(torch.inf, torch.inf, torch.inf)
