"""Checks whether a model gets the inputs that it was trained on, by its clean accuracy."""

from collections.abc import Mapping, Sequence
from math import sqrt

import numpy as np
import scipy
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from foolscope.core.modes import frozen
from foolscope.threats.prediction import automatic_batch_size, predict

__all__ = ["Scaling", "clean_doubts", "usual_scalings"]

Scaling = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and deviation per channel, in pixel units: the model is given (pixels − mean) / deviation."""

_TRIED = 300
_GOOD = 0.95
_JUMP = 0.1
_AS_THEY_ARE: Scaling = ((0.0,), (1.0,))
_BYTES: Scaling = ((0.0,), (1 / 255,))
_PUBLISHED: dict[int, dict[str, Scaling]] = {
    1: {"MNIST": ((0.1307,), (0.3081,)), "Fashion-MNIST": ((0.2860,), (0.3530,))},
    3: {
        "ImageNet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        "CIFAR-10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
        "CIFAR-100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    },
}


def usual_scalings(channels: int, own: Scaling) -> dict[str, Scaling]:
    """Return the common ways of scaling images by name, and the data set's own.

    Example:
        >>> list(usual_scalings(1, ((0.3,), (0.4,))))[:3]
        ['pixels in [0, 1], without normalization', 'pixels in [0, 255]', 'pixels in [-1, 1]']
    """
    return {
        "pixels in [0, 1], without normalization": _AS_THEY_ARE,
        "pixels in [0, 255]": _BYTES,
        "pixels in [-1, 1]": ((0.5,), (0.5,)),
        **{f"the normalization of {name}": scaling for name, scaling in _PUBLISHED.get(channels, {}).items()},
        "the data set's own normalization": own,
    }


@torch.no_grad()
def clean_doubts(
    model: nn.Module,
    body: nn.Module,
    images: Float[Tensor, "batch channel height width"],
    labels: Int64[Tensor, " batch"],
    classes: Sequence[str],
    scalings: Mapping[str, Scaling],
    *,
    has_weights: bool = True,
) -> tuple[str, ...]:
    """Measure clean accuracy; if it is implausible, return the likely cause.

    Args:
        model: as it will be attacked, from images in [0, 1].
        body: the same without a normalization in front.
        images: shape (batch, channel, height, width), in [0, 1].
        labels: their classes.
        classes: their names.
        scalings: to try on the body; see :func:`usual_scalings`.
        has_weights: whether the model came with weights.

    Returns:
        A sentence for each cause found; the first says that accuracy is near guessing, if it is.
    """
    if not len(labels):
        return ()
    with frozen(model):
        size = automatic_batch_size(images)
        predictions = predict(model, images, size).argmax(1)
        right = predictions == labels
        accuracy = right.double().mean().item()
        causes = _scaling_cause(body, images[:_TRIED], labels[:_TRIED], right[:_TRIED], scalings, size)
    order = _order_cause(predictions, labels, accuracy, classes)
    doubts = causes or order
    if accuracy >= _implausible(len(classes)):
        return tuple(doubts)
    if not doubts:
        doubts = [_unknown_cause(predictions, classes, has_weights)]
    return (
        f"Clean accuracy is {accuracy:.1%}, near guessing ({1 / len(classes):.1%}), so robust accuracy means "
        "nothing yet.",
        *doubts,
    )


def _implausible(classes: int) -> float:
    """Return the accuracy below which a model is implausible: twice guessing, 60 % for two classes."""
    chance = 1 / classes
    return chance + min(chance, 0.1)


def _scaling_cause(
    body: nn.Module,
    images: Tensor,
    labels: Tensor,
    right: Tensor,
    scalings: Mapping[str, Scaling],
    batch_size: int,
) -> list[str]:
    """Return the scaling under which accuracy rises far more than by chance."""
    now = right.double().mean().item()
    if now >= _GOOD:
        return []
    best, gain = "", 0
    for name, scaling in scalings.items():
        mean, deviation = (images.new_tensor(values)[:, None, None] for values in scaling)
        there = predict(body, (images - mean) / deviation, batch_size).argmax(1) == labels
        gained, lost = int((there & ~right).sum()), int((right & ~there).sum())
        is_jump = gained - lost >= max(_JUMP * len(labels), 3 * sqrt(gained + lost))
        if is_jump and gained - lost > gain:
            best, gain = name, gained - lost
    if not best:
        return []
    after = now + gain / len(labels)
    return [
        f"With {best}, accuracy on the first {len(labels)} images rises from {now:.1%} to {after:.1%}: "
        f"{_option(scalings[best])}."
    ]


def _option(scaling: Scaling) -> str:
    mean, deviation = scaling
    if scaling == _AS_THEY_ARE:
        return "omit --mean and --std"
    if scaling == _BYTES:
        return "add --mean 0 --std 1/255"
    said = [",".join(f"{value:.4g}" for value in values) for values in (mean, deviation)]
    return f"add --mean {said[0]} --std {said[1]}"


def _order_cause(predictions: Tensor, labels: Tensor, accuracy: float, classes: Sequence[str]) -> list[str]:
    """Find an order of the classes under which accuracy rises far."""
    count = len(classes)
    if len(labels) < 5 * count or int(predictions.max()) >= count:
        return []
    table = torch.bincount(labels * count + predictions, minlength=count * count).reshape(count, count)
    rows, columns = scipy.optimize.linear_sum_assignment(table.cpu().numpy(), maximize=True)
    matched = int(table.cpu().numpy()[rows, columns].sum()) / len(labels)
    if matched < max(0.5, accuracy + 3 * _JUMP):
        return []
    moved = [int(row) for row in rows[np.asarray(rows) != np.asarray(columns)]][:3]
    examples = ", ".join(f"{classes[int(columns[row])]} for {classes[row]}" for row in moved)
    return [
        f"The classes seem to be in a different order: accuracy would be {matched:.1%} with the model's "
        f"outputs reordered (it predicts {examples} …). Put its outputs into the data set's order."
    ]


def _unknown_cause(predictions: Tensor, classes: Sequence[str], has_weights: bool) -> str:
    counts = torch.bincount(predictions, minlength=len(classes))
    favorite, share = int(counts.argmax()), counts.max().item() / len(predictions)
    said = []
    if not has_weights:
        said.append("no --weights were given, so the factory itself must load them")
    if share > 0.9 and favorite < len(classes):
        said.append(f"it predicts {classes[favorite]} for {share:.0%} of the images")
    causes = (
        "weights that were not loaded, inputs that the model expects in a different range (ours are in "
        "[0, 1]) or normalized (--mean, --std), a different order of the classes"
    )
    return f"Likely causes: {causes}. " + (
        f"Note: {'; '.join(said)}." if said else "No usual scaling or order fits."
    )
