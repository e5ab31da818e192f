"""What a look into a model has to go on: the model with its images, and what it says about them."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64, Int64
from numpy.typing import NDArray

from foolscope.core.errors import RecipeError
from foolscope.core.modes import frozen
from foolscope.experiments.parts.inspections.records import MeanRecord
from foolscope.experiments.subjects.subject import Subject
from foolscope.statistics.estimate import Estimate, interval
from foolscope.threats.prediction import automatic_batch_size, predict

__all__ = ["Look", "look_at", "mean_record", "or_none"]


@dataclass(frozen=True)
class Look:
    """A model, its images, and its answers.

    Args:
        subject: model and images; those that it has no finite answer for are left out.
        classes: one name for each logit.
        log_probabilities: the logarithms of the softmax of the logits.
        labels: of the images.
        seed: root of the randomness.
        arrays: pixels and weights by key, which the parts of the look add to.
        notes: what could not be looked at, likewise.
        doubts: reasons not to trust what is seen.
    """

    subject: Subject
    classes: tuple[str, ...]
    log_probabilities: Float64[np.ndarray, "image class"]
    labels: Int64[np.ndarray, " image"]
    seed: int
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    doubts: tuple[str, ...] = ()

    @property
    def predictions(self) -> Int64[np.ndarray, " image"]:
        """The class of the largest logit."""
        return np.asarray(self.log_probabilities.argmax(axis=1))


def look_at(subject: Subject, seed: int) -> Look:
    """Ask a model about all its images.

    Raises:
        RecipeError: no answer is finite.
    """
    with frozen(subject.model):
        logits = predict(subject.model, subject.images, automatic_batch_size(subject.images))
    finite = logits.isfinite().all(dim=1)
    lost = int((~finite).sum())
    if lost == len(logits):
        raise RecipeError(
            f"{subject.name} gives no finite logits for any of {len(logits)} images; check its weights"
        )
    doubts = subject.doubts
    if lost:
        doubts += (f"{lost} of {len(logits)} images have logits that are not finite; they are left out.",)
        parts = {"images": subject.images[finite], "labels": subject.labels[finite]}
        subject = Subject(**{**vars(subject), **parts})
    names = subject.classes or tuple(map(str, range(logits.shape[1])))
    log_probabilities = torch.log_softmax(logits[finite].double(), dim=1).cpu().numpy()
    return Look(subject, names, log_probabilities, subject.labels.cpu().numpy(), seed, doubts=tuple(doubts))


def mean_record(values: NDArray[np.float64]) -> MeanRecord | None:
    """Return the mean of what is a number with its 95 % t interval over images; None where nothing is."""
    known = values[np.isfinite(values)]
    if not known.size:
        return None
    mean = float(known.mean())
    if known.size < 2:
        return MeanRecord(mean=mean, low=None, high=None)
    error = float(known.std(ddof=1)) / math.sqrt(known.size)
    low, high = interval(Estimate(mean, error, known.size - 1, known.size))
    return MeanRecord(mean=mean, low=low, high=high)


def or_none(value: float) -> float | None:
    """Return a number, and None for what is not finite, which JSON has no word for."""
    return float(value) if math.isfinite(value) else None
