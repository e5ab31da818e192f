"""The results of training one trial."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool
from torch import Tensor

from foolscope.learning.parameters.treatments import GroupRecord

__all__ = ["EpochRecord", "Status", "TrialOutcome"]

Status = Literal["finished", "stopped early", "diverged"]


@dataclass(frozen=True)
class EpochRecord:
    """One epoch of one trial: means over images, ``None`` where not finite or not measured.

    Args:
        epoch: from 1.
        learning_rate: at the epoch's last step.
        running_loss: without the penalty, over the epoch's minibatches as the model saw them while its
            weights changed: with class weights, and on adversarial inputs with a defense; with TRADES its
            whole objective.
        penalty: L1 and L2 terms at the end of the epoch.
        running_accuracy: over the same minibatches, in [0, 1].
        validation_loss: at the end of the epoch.
        validation_accuracy: at the end of the epoch, in [0, 1].
        validation_balanced_accuracy: mean recall over the classes, at the end of the epoch, in [0, 1].
        validation_f1: macro F1 at the end of the epoch, in [0, 1]. F1, accuracy and balanced accuracy are at
            the epoch's own best threshold where a trial chooses one on validation images.
        validation_auc: macro area under the ROC curve; measured only where the checkpoint is selected by it.
        validation_brier: Brier score; measured only where the checkpoint is selected by it.
        robust_validation_accuracy: under ten steps of PGD at the end of the epoch; ``None`` without a
            defense.
    """

    epoch: int
    learning_rate: float
    running_loss: float | None
    penalty: float | None
    running_accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None
    robust_validation_accuracy: float | None = None
    validation_balanced_accuracy: float | None = None
    validation_f1: float | None = None
    validation_auc: float | None = None
    validation_brier: float | None = None


@dataclass(frozen=True)
class TrialOutcome:
    """The result of one trial.

    Args:
        status: "diverged" is a result: the loss became NaN or infinite.
        history: one record per epoch.
        best_epoch: the epoch of the checkpoint that was tested; ``None`` if the trial diverged.
        metrics: ``test_accuracy`` and so on, of that checkpoint as it is stored, evaluated in the precision
            of its parameters; empty if the trial diverged.
        confusion: test images by true class (row) and predicted class (column).
        auc_by_class: area under the ROC curve of each class against the rest, on the test images; ``None``
            where it is not defined.
        training_images: how many training images, without augmentation, ``training_accuracy`` and
            ``training_loss`` are over.
        parameter_count: trainable numbers in the model.
        steps: gradient steps taken.
        duration_seconds: this trial's share of its pack's time.
        weights: the tested checkpoint as a state dict, normalization included.
        doubts: reasons to doubt the defense or the predictions, in plain words.
        correct: by split, ``validation`` and ``test``, which images the tested checkpoint classified
            correctly, in the split's order; their mean is the split's accuracy. Empty if the trial diverged.
        parameter_groups: which parameters were trained with which learning rate, decay and penalties.
    """

    status: Status
    history: tuple[EpochRecord, ...]
    best_epoch: int | None
    metrics: dict[str, float]
    confusion: tuple[tuple[int, ...], ...]
    parameter_count: int
    steps: int
    duration_seconds: float
    weights: dict[str, Tensor]
    doubts: tuple[str, ...] = ()
    parameter_groups: tuple[GroupRecord, ...] = ()
    auc_by_class: tuple[float | None, ...] = ()
    training_images: int = 0
    correct: Mapping[str, Bool[np.ndarray, " image"]] = field(default_factory=dict)

    def as_document(self) -> dict[str, Any]:
        """Return everything except the weights and the results by image as JSON-able values."""
        document = asdict(replace(self, weights={}, correct={}))  # asdict would copy them
        del document["weights"], document["correct"]
        return document
