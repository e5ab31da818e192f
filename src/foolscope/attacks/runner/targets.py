"""The class that an attack aims at: given, or chosen from the model's output on the clean image."""

from collections.abc import Callable
from math import inf

import torch
from jaxtyping import Int64
from torch import Tensor

from foolscope.attacks.runner.randomness import Noise
from foolscope.core.errors import ThreatError, did_you_mean
from foolscope.threats.prediction import Integers, Labels, Logits

__all__ = ["TARGETS", "choose_targets", "every_other", "least_likely", "random_other", "runner_up"]

Chooser = Callable[[Tensor, Tensor, Tensor, Noise], Tensor]
_One = Int64[Tensor, "batch 1"]


def least_likely(logits: Logits, labels: Labels, indices: Integers, noise: Noise) -> _One:
    """Aim at the class with the smallest logit (Kurakin et al. 2017, arXiv:1607.02533, section 2.3)."""
    return logits.scatter(1, labels[:, None], inf).argmin(1, keepdim=True)


def runner_up(logits: Logits, labels: Labels, indices: Integers, noise: Noise) -> _One:
    """Aim at the class with the largest logit other than the label."""
    return logits.scatter(1, labels[:, None], -inf).argmax(1, keepdim=True)


def random_other(logits: Logits, labels: Labels, indices: Integers, noise: Noise) -> _One:
    """Aim at a class other than the label, drawn uniformly for each image."""
    classes = logits.shape[1]
    uniform = noise.uniform(indices, torch.zeros_like(indices), 1, draw="target")
    shift = 1 + (uniform * (classes - 1)).long().clamp(max=classes - 2)
    return (labels[:, None] + shift) % classes


def every_other(
    logits: Logits, labels: Labels, indices: Integers, noise: Noise
) -> Int64[Tensor, "batch others"]:
    """Aim at every class other than the label, one after the other, the likeliest first."""
    order = logits.scatter(1, labels[:, None], -inf).argsort(dim=1, descending=True, stable=True)
    return order[order != labels[:, None]].view(len(labels), logits.shape[1] - 1)


TARGETS: dict[str, Chooser] = {
    "least-likely": least_likely,
    "second": runner_up,
    "random": random_other,
    "every": every_other,
}


def choose_targets(
    targets: str | Int64[Tensor, "images ..."],
    logits: Logits,
    labels: Labels,
    indices: Integers,
    noise: Noise,
) -> Int64[Tensor, "batch targets"]:
    """Return the classes to aim at, one row per image; each class is a work item of its own.

    Targets are a name from :data:`TARGETS` or class indices, one per image or a row of several per image.

    Raises:
        ThreatError: the name is unknown, or the class indices do not fit the images or the model.
    """
    if isinstance(targets, str):
        if targets not in TARGETS:
            raise ThreatError(f"unknown targets {targets!r}. {did_you_mean(targets, TARGETS)}")
        return TARGETS[targets](logits, labels, indices, noise)
    given = (targets if targets.dim() == 2 else targets[:, None]).to(labels.device)
    if given.shape[0] != labels.shape[0] or given.shape[1] == 0:
        raise ThreatError(
            f"targets must have one row for each of {len(labels)} images; got {tuple(targets.shape)}"
        )
    if bool(((given < 0) | (given >= logits.shape[1])).any()):
        got = sorted(set(given.flatten().tolist()))
        raise ThreatError(f"targets must be class indices below {logits.shape[1]}; got {got}")
    if bool((given == labels[:, None]).any()):
        raise ThreatError(
            "targets must differ from the labels; omit images that already have the target's label"
        )
    return given
