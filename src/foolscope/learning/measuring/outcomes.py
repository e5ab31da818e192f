"""Measures a pack: scores on validation images each epoch, and in the end the kept checkpoints."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor, nn

from foolscope.core.randomness import numpy_generator
from foolscope.core.settings import finite_or_none
from foolscope.data.dataset import LabeledImages
from foolscope.data.splits import stratified_choice
from foolscope.learning.measuring.evaluation import Evaluation, evaluate
from foolscope.learning.measuring.robustness import doubts_about_defense, robust_accuracy
from foolscope.learning.measuring.thresholds import output_bias, validation_offset, with_offsets
from foolscope.learning.model_hooks import conclude
from foolscope.learning.optimizers import PackTensors
from foolscope.learning.outcome import EpochRecord, TrialOutcome
from foolscope.learning.packs.stacking import own_part
from foolscope.learning.parameters.treatments import group_records
from foolscope.learning.preparation import Setup, parameter_shapes
from foolscope.learning.state import PackState
from foolscope.statistics import classification

__all__ = [
    "area_by_class",
    "doubts_about_predictions",
    "finite_values",
    "measure_outcomes",
    "split_metrics",
    "training_sample",
    "validation_scores",
]

_SAMPLE_IMAGES = 10_000
_OF_PROBABILITIES = {"auc": classification.macro_auc, "brier": classification.brier_score}


def finite_values(values: Tensor) -> list[float | None]:
    """Return the entries of a vector, ``None`` where one is not finite."""
    return [number if math.isfinite(number) else None for number in values.tolist()]


def training_sample(train: LabeledImages) -> LabeledImages:
    """Return the training images on which checkpoints are measured: all, or 10,000 drawn by class.

    The draw is the same for every trial.
    """
    if len(train) <= _SAMPLE_IMAGES:
        return train
    generator = numpy_generator(0, "training accuracy")
    return train.take(stratified_choice(train.labels, _SAMPLE_IMAGES, generator).to(train.labels.device))


def validation_scores(setup: Setup, state: PackState) -> dict[str, list[float | None]]:
    """Return the fields of an epoch's record that validation fills, one value for every row of the pack.

    What follows from predictions is cheap and always measured, with a threshold from the validation images
    at the epoch's own; area and Brier score only for the trials that are selected by them.
    """
    validation = setup.dataset.validation
    if validation is None:
        return {
            "validation_loss": [None] * len(setup.trials),
            "validation_accuracy": [None] * len(setup.trials),
        }
    chosen = [trial.training.select_by for trial in setup.trials]
    measured = evaluate(
        setup.program,
        state.evaluated,
        validation,
        setup.evaluation_loss,
        setup.dtype,
        keep_logits=any(each in _OF_PROBABILITIES for each in chosen) or any(_seeks_threshold(setup)),
    )
    labels = validation.labels.cpu().numpy()
    decisions = _decisions(setup, measured, validation.labels)
    counts = classification.confusion_matrix(labels, decisions.cpu().numpy(), len(setup.dataset.classes))
    found: dict[str, list[float | None]] = {
        f"validation_{name}": score(counts).tolist() for name, score in classification.COUNTED.items()
    }
    found["validation_loss"] = losses = finite_values(measured.loss)
    for name, score in _OF_PROBABILITIES.items():
        if name in chosen and measured.logits is not None:
            found[f"validation_{name}"] = [
                float(score(_log_probabilities(logits), labels)) if own == name and loss is not None else None
                for own, loss, logits in zip(chosen, losses, measured.logits, strict=True)
            ]
    if setup.defense is not None:
        robust = robust_accuracy(
            setup.program,
            state.evaluated,
            validation,
            setup.evaluation_loss,
            setup.dtype,
            setup.defense.epsilon,
        )
        found["robust_validation_accuracy"] = robust.tolist()
    return found


def _decisions(
    setup: Setup, measured: Evaluation, labels: Int64[Tensor, " image"]
) -> Int64[Tensor, "trial image"]:
    """Return the predictions; of a trial that chooses its threshold on these images, with that threshold."""
    decisions = measured.predictions.clone()
    for row, trial in enumerate(setup.trials):
        if trial.training.threshold == "half" or measured.logits is None or not measured.loss[row].isfinite():
            continue
        logits = measured.logits[row]
        offset = validation_offset(logits, labels, trial.training.select_by)
        decisions[row] = logits[:, 1] - logits[:, 0] + offset > 0
    return decisions


def _seeks_threshold(setup: Setup) -> list[bool]:
    return [trial.training.threshold == "validation" for trial in setup.trials]


def split_metrics(
    split: str,
    log_probabilities: Float64[np.ndarray, "image classes"],
    labels: Int64[np.ndarray, " image"],
    loss: float,
) -> dict[str, float]:
    """Return every metric of one model on a split, ``test_balanced_accuracy`` and so on, where defined.

    Args:
        split: what the names of the metrics begin with.
        log_probabilities: the logarithm of the softmax of the logits.
        labels: class indices.
        loss: mean of the loss that was minimized, without class weights and label smoothing.
    """
    classes = log_probabilities.shape[1]
    counts = classification.confusion_matrix(labels, log_probabilities.argmax(axis=1), classes)
    found = {name: float(score(counts)) for name, score in classification.COUNTED.items()}
    found |= {name: float(score(log_probabilities, labels)) for name, score in _OF_PROBABILITIES.items()}
    found |= {"loss": loss, "log_loss": float(classification.log_loss(log_probabilities, labels))}
    return {f"{split}_{name}": value for name, value in found.items() if math.isfinite(value)}


def doubts_about_predictions(
    confusion: Sequence[Sequence[int]] | Int64[np.ndarray, "true predicted"],
    classes: Sequence[str],
    image: str = "test image",
) -> tuple[str, ...]:
    """Return a doubt where every image is predicted as the same class, though there are several.

    Example:
        >>> doubts_about_predictions([[20, 0], [1, 0]], ["healthy", "ill"])
        ("predicts 'healthy' for every test image; its accuracy of 95.24 % is the share of that class",)
    """
    counts = np.asarray(confusion)
    only = classification.only_predicted_class(counts)
    if only is None:
        return ()
    share = 100 * counts[only].sum() / counts.sum()
    return (
        f"predicts {classes[only]!r} for every {image}; its accuracy of {share:.2f} % is the share of that "
        "class",
    )


@dataclass(frozen=True)
class _Answers:
    """The answers of the kept checkpoints of a pack to one split."""

    labels: Int64[np.ndarray, " image"]
    losses: list[float | None]
    accuracies: list[float]
    logits: Tensor

    @classmethod
    def of(cls, setup: Setup, kept: PackTensors, split: LabeledImages) -> "_Answers":
        measured = evaluate(setup.program, kept, split, setup.evaluation_loss, setup.master, keep_logits=True)
        assert measured.logits is not None
        labels = split.labels.cpu().numpy()
        return cls(labels, finite_values(measured.loss), measured.accuracy.tolist(), measured.logits)


def measure_outcomes(setup: Setup, state: PackState, duration_seconds: float) -> list[TrialOutcome]:
    """Evaluate the kept checkpoints; a trial whose test loss is not finite has diverged too.

    Evaluation runs in the precision of the parameters, so that the stored model gives the same numbers.
    """
    data = setup.dataset
    variants = conclude(setup, state)
    kept = _with_thresholds(setup, state)
    splits = {"training": training_sample(data.train), "validation": data.validation, "test": data.test}
    answers = {name: _Answers.of(setup, kept, split) for name, split in splits.items() if split is not None}
    outcomes = []
    for trial, settings in enumerate(setup.trials):
        history, status = tuple(state.histories[trial]), state.statuses[trial]
        assert status != "running"
        if answers["test"].losses[trial] is None:
            status = "diverged"
        best_epoch = None if status == "diverged" else state.best_epochs[trial]
        test = _log_probabilities(answers["test"].logits[trial])
        counts = classification.confusion_matrix(
            answers["test"].labels, test.argmax(axis=1), len(data.classes)
        )
        doubts = () if best_epoch is None else doubts_about_predictions(counts, data.classes)
        outcomes.append(
            TrialOutcome(
                status=status,
                history=history,
                best_epoch=best_epoch,
                metrics=(
                    {}
                    if best_epoch is None
                    else _metrics(answers, trial, history[best_epoch - 1]) | variants[trial]
                ),
                confusion=tuple(map(tuple, counts.tolist())),
                parameter_count=sum(parameter.numel() for parameter in setup.models[trial].parameters()),
                steps=len(history) * setup.steps_per_epoch,
                duration_seconds=duration_seconds,
                weights=_weights(setup.models[trial], kept, trial),
                doubts=(*doubts, *doubts_about_defense(settings.defense, history)),
                auc_by_class=() if best_epoch is None else area_by_class(test, answers["test"].labels),
                training_images=len(answers["training"].labels),
                correct={} if best_epoch is None else _correct(answers, trial),
                parameter_groups=group_records(settings, parameter_shapes(setup.models[trial])),
            )
        )
    return outcomes


def area_by_class(
    log_probabilities: Float64[np.ndarray, "image classes"], labels: Int64[np.ndarray, " image"]
) -> tuple[float | None, ...]:
    """Return the area under the ROC curve of each class against the rest; ``None`` where not defined."""
    return tuple(map(finite_or_none, classification.auc_by_class(log_probabilities, labels).tolist()))


def _metrics(answers: Mapping[str, _Answers], trial: int, kept: EpochRecord) -> dict[str, float]:
    """Return the metrics of one kept checkpoint; on training images only accuracy and loss."""
    metrics = {"training_accuracy": answers["training"].accuracies[trial]}
    training_loss = answers["training"].losses[trial]
    if training_loss is not None:
        metrics["training_loss"] = training_loss
    for name in ("validation", "test"):
        own = answers.get(name)
        loss = None if own is None else own.losses[trial]
        if own is not None and loss is not None:
            metrics |= split_metrics(name, _log_probabilities(own.logits[trial]), own.labels, loss)
    if kept.robust_validation_accuracy is not None:
        metrics["robust_validation_accuracy"] = kept.robust_validation_accuracy
    return metrics


def _correct(answers: Mapping[str, _Answers], trial: int) -> dict[str, Bool[np.ndarray, " image"]]:
    """Return which validation and test images one kept checkpoint classified correctly.

    The class of the largest log-probability, not of the largest logit, as the metrics have it: rounding can
    make two of the former equal.
    """
    own = {name: answers[name] for name in ("validation", "test") if name in answers}
    return {
        name: _log_probabilities(each.logits[trial]).argmax(axis=1) == each.labels
        for name, each in own.items()
        if each.losses[trial] is not None
    }


def _with_thresholds(setup: Setup, state: PackState) -> PackTensors:
    """Return the kept checkpoints, their output biases shifted where a threshold was asked for."""
    validation = setup.dataset.validation
    chosen = [
        trial
        for trial, seeks in enumerate(_seeks_threshold(setup))
        if seeks and state.statuses[trial] != "diverged"
    ]
    if not chosen or validation is None:
        return state.best
    bias = output_bias(setup.models[0], setup.dataset)
    measured = evaluate(
        setup.program, state.best, validation, setup.evaluation_loss, setup.master, keep_logits=True
    )
    assert measured.logits is not None
    offsets = {
        trial: validation_offset(
            measured.logits[trial], validation.labels, setup.trials[trial].training.select_by
        )
        for trial in chosen
    }
    return with_offsets(state.best, bias, offsets)


def _weights(model: nn.Module, kept: PackTensors, trial: int) -> dict[str, Tensor]:
    """Return the state dict of one kept checkpoint, normalization included, in float32 on the CPU."""
    weights = dict(model.state_dict())
    weights |= {name: own_part(value[trial], weights[name].shape) for name, value in kept.items()}
    return {
        name: value.detach().float().cpu() if value.is_floating_point() else value.cpu()
        for name, value in weights.items()
    }


def _log_probabilities(logits: Float[Tensor, "image classes"]) -> Float64[np.ndarray, "image classes"]:
    return torch.log_softmax(logits.double().cpu(), dim=1).numpy()
