"""A model's answers to the images that it is inspected on: what every part of an inspection starts from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64, Int64
from numpy.typing import NDArray

from foolscope.core.errors import RecipeError
from foolscope.core.modes import frozen
from foolscope.experiments.subjects.subject import Subject
from foolscope.inspection.attribution import Attribution
from foolscope.learning.measuring.outcomes import doubts_about_predictions
from foolscope.statistics.classification import confusion_matrix
from foolscope.threats.prediction import automatic_batch_size, predict

__all__ = ["Answers"]


@dataclass(frozen=True)
class Answers:
    """A model with its answers to the images whose logits are finite; parts add arrays, notes and doubts.

    Args:
        subject: the model, and the images that are left.
        classes: their names.
        log_probabilities: the logarithm of the softmax of the logits.
        labels: of the images.
        seed: root of the randomness.
        lost: images whose logits are not finite.
        numbers: of the images, counted before any was lost.
        tell: called with the fraction of a part that is done, and a detail.
        methods: of attribution, those that apply to the model.
        arrays: pixels and weights by key.
        notes: what could not be inspected, and why.
        found_doubts: reasons not to trust a part.
    """

    subject: Subject
    classes: Sequence[str]
    log_probabilities: Float64[np.ndarray, "image class"]
    labels: Int64[np.ndarray, " image"]
    seed: int
    lost: int
    numbers: Int64[np.ndarray, " image"]
    tell: Callable[[float, str], None]
    methods: list[Attribution] = field(default_factory=list)
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    found_doubts: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, subject: Subject, seed: int, tell: Callable[[float, str], None]) -> "Answers":
        """Predict all images.

        Raises:
            RecipeError: no logits are finite.
        """
        with frozen(subject.model):
            logits = predict(
                subject.model, subject.images, automatic_batch_size(subject.images, subject.model)
            )
        finite = logits.isfinite().all(dim=1)
        lost = int((~finite).sum())
        if lost == len(logits):
            raise RecipeError(
                f"{subject.name} gives no finite logits for any of {len(logits)} images; check its weights"
            )
        if lost:
            subject = replace(subject, images=subject.images[finite], labels=subject.labels[finite])
        classes = subject.classes or tuple(map(str, range(logits.shape[1])))
        log_probabilities = torch.log_softmax(logits[finite].double(), dim=1).cpu().numpy()
        return cls(
            subject,
            classes,
            log_probabilities,
            subject.labels.cpu().numpy(),
            seed,
            lost,
            finite.nonzero().flatten().cpu().numpy(),
            tell,
        )

    @property
    def predictions(self) -> Int64[np.ndarray, " image"]:
        """The class of the largest logit."""
        return np.asarray(self.log_probabilities.argmax(axis=1))

    @property
    def doubts(self) -> list[str]:
        """Reasons not to trust the results."""
        lost = f"{self.lost} of {self.lost + len(self.labels)} images have logits that are not finite"
        skipped = [f"{lost}; they are skipped."] if self.lost else []
        counts = confusion_matrix(self.labels, self.predictions, len(self.classes))
        constant = [f"It {each}." for each in doubts_about_predictions(counts, self.classes, "image")]
        return [*constant, *self.subject.doubts, *skipped, *self.found_doubts]
