"""Trains a recipe in NumPy, with gradients derived by hand, on the same minibatches as torch."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy
import torch
from jaxtyping import Bool, Float64, Int64, UInt8

from foolscope.core.randomness import torch_generator
from foolscope.core.settings import finite_or_none
from foolscope.data import Dataset
from foolscope.data.dataset import LabeledImages
from foolscope.experiments.engines.coverage import (
    SGD_FIELDS,
    check_coverage,
    mirrored_network,
    reference_precision,
)
from foolscope.experiments.recipe import Recipe
from foolscope.experiments.running.initial_weights import initial_weights
from foolscope.inspection.checks.initial_loss import initial_model
from foolscope.inspection.gradients.mirroring import mirrored_loss, state_of
from foolscope.learning import EpochRecord, EpochReport, TrialOutcome
from foolscope.learning.losses import CrossEntropy, LossSettings
from foolscope.learning.measuring.outcomes import (
    area_by_class,
    doubts_about_predictions,
    split_metrics,
    training_sample,
)
from foolscope.learning.outcome import Status
from foolscope.learning.schedules import learning_rates
from foolscope.reference import L1, L2, SGD, Array, Loss, Network, Parameters, TrainingState, train
from foolscope.reference import in_evaluation as evaluated
from foolscope.statistics.classification import balanced_accuracy, confusion_matrix, macro_f1

__all__ = ["train_in_numpy"]

_EVALUATED_AT_ONCE = 256  # images: a convolution copies its windows out


@dataclass(frozen=True)
class _Split:
    """Images and labels in NumPy's memory."""

    images: UInt8[np.ndarray, "count channel height width"]
    labels: Int64[np.ndarray, " count"]

    @classmethod
    def of(cls, split: LabeledImages) -> "_Split":
        return cls(split.images.cpu().numpy(), split.labels.cpu().numpy())

    def take(
        self, chosen: Int64[np.ndarray, " some"] | slice, dtype: str
    ) -> tuple[Array, Int64[np.ndarray, " some"]]:
        """Return some images, in [0, 1], with their labels."""
        images: Array = self.images[chosen].astype(dtype)
        images /= 255
        return images, self.labels[chosen]


@dataclass(frozen=True)
class _Setup:
    """What stays the same from step to step."""

    recipe: Recipe
    dtype: Literal["float32", "float64"]
    train: _Split
    validation: _Split | None
    network: Network
    loss: Loss
    unsmoothed_loss: Loss
    sgd: SGD
    parameter_count: int


def train_in_numpy(
    recipe: Recipe,
    dataset: Dataset,
    report: Callable[[EpochReport], None] | None = None,
    *,
    start: Callable[[Parameters], Parameters] | None = None,
) -> TrialOutcome:
    """Train a recipe in NumPy, with the same initial weights and minibatches as torch.

    Checkpoint, early stopping and metrics are those of :func:`foolscope.learning.train_pack`. From torch come
    the random numbers and nothing else.

    Args:
        recipe: everything in it must have a counterpart in NumPy.
        dataset: on any device; the work is done on the CPU.
        report: called after every epoch.
        start: changes the initial weights.

    Returns:
        The outcome, its weights in the data type that was trained in.

    Raises:
        RecipeError: the recipe asks for what has not been derived by hand, or the model does not fit the
            images.
    """
    setup, state = _prepare(recipe, dataset)
    if start is not None:
        state = TrainingState(start(state.parameters), {})
    started = time.perf_counter()
    history: list[EpochRecord] = []
    status: Status | None = None
    best_epoch, best = 0, state.parameters
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # what diverges is found out below
        while status is None:
            state, record = _train_epoch(setup, state, len(history))
            history.append(record)
            status = _status(recipe, history)
            if status != "diverged" and (
                recipe.training.keep == "last" or _best_epoch(history) == record.epoch
            ):
                best_epoch, best = record.epoch, state.parameters
            if report is not None:
                report(_report(recipe, record, status))
        duration = time.perf_counter() - started
        tested = _evaluate(setup, best, _Split.of(dataset.test))
        sample = _Split.of(training_sample(dataset.train))
        trained = _evaluate(setup, best, sample)
        validated = None if setup.validation is None else _evaluate(setup, best, setup.validation)
    if not math.isfinite(tested.loss):
        status = "diverged"
    diverged = status == "diverged"
    counts = confusion_matrix(tested.labels, tested.predictions, len(dataset.classes))
    return TrialOutcome(
        status=status,
        history=tuple(history),
        best_epoch=None if diverged else best_epoch,
        metrics={} if diverged else _metrics(tested, trained, validated),
        confusion=tuple(map(tuple, counts.tolist())),
        parameter_count=setup.parameter_count,
        steps=len(history) * math.ceil(len(dataset.train) / recipe.training.batch_size),
        duration_seconds=duration,
        weights={name: torch.from_numpy(value) for name, value in best.items()},
        doubts=() if diverged else doubts_about_predictions(counts, dataset.classes),
        auc_by_class=() if diverged else area_by_class(tested.log_probabilities, tested.labels),
        training_images=len(sample.labels),
        correct=(
            {}
            if diverged
            else {
                split: own.correct
                for split, own in (("validation", validated), ("test", tested))
                if own is not None
            }
        ),
    )


def _prepare(recipe: Recipe, dataset: Dataset) -> tuple[_Setup, TrainingState]:
    check_coverage(recipe)
    dtype = reference_precision(recipe)
    model = initial_model(recipe, dataset, initial_weights(recipe))
    model = model.cpu().to(torch.float32 if dtype == "float32" else torch.float64)
    setup = _Setup(
        recipe=recipe,
        dtype=dtype,
        train=_Split.of(dataset.train),
        validation=None if dataset.validation is None else _Split.of(dataset.validation),
        network=mirrored_network(recipe, model),
        loss=mirrored_loss(recipe.loss),
        unsmoothed_loss=mirrored_loss(_unsmoothed(recipe.loss)),
        sgd=SGD(
            **{field: getattr(recipe.optimizer, field) for field in SGD_FIELDS},
            l1=recipe.regularization.l1,
            l2=recipe.regularization.l2,
            clipping=recipe.training.clipping or math.inf,
        ),
        parameter_count=sum(parameter.numel() for parameter in model.parameters()),
    )
    return setup, TrainingState(state_of(model), {})


def _unsmoothed(settings: LossSettings) -> LossSettings:
    """Return the loss that evaluation measures."""
    return CrossEntropy() if isinstance(settings, CrossEntropy) else settings


def _train_epoch(setup: _Setup, state: TrainingState, done: int) -> tuple[TrainingState, EpochRecord]:
    """Train for one epoch and validate."""
    recipe, images = setup.recipe, len(setup.train.labels)
    starts = range(0, images, recipe.training.batch_size)
    generator = torch_generator(recipe.seed, "batches", done)
    order = torch.randperm(images, generator=generator).numpy()
    batches = np.split(order, starts[1:])
    rates = learning_rates(
        recipe.schedule,
        recipe.optimizer.learning_rate,
        np.arange(len(starts)) + done * len(starts),
        steps_per_epoch=len(starts),
        epochs=recipe.training.epochs,
    )
    state, steps = train(
        setup.network,
        state,
        (setup.train.take(batch, setup.dtype) for batch in batches),
        rates,
        loss=setup.loss,
        sgd=setup.sgd,
    )
    validated = None if setup.validation is None else _evaluate(setup, state.parameters, setup.validation)
    record = EpochRecord(
        epoch=done + 1,
        learning_rate=float(rates[-1]),
        running_loss=finite_or_none(float(steps.losses @ [len(batch) for batch in batches]) / images),
        penalty=finite_or_none(
            L1(setup.sgd.l1).forward(state.parameters) + L2(setup.sgd.l2).forward(state.parameters)
        ),
        running_accuracy=float(steps.correct.sum() / images),
        validation_loss=None if validated is None else finite_or_none(validated.loss),
        validation_accuracy=None if validated is None else validated.accuracy,
        **({} if validated is None else _counted(validated)),
    )
    return state, record


@dataclass(frozen=True)
class _Evaluation:
    loss: float
    labels: Int64[np.ndarray, " count"]
    log_probabilities: Float64[np.ndarray, "count classes"]

    @property
    def predictions(self) -> Int64[np.ndarray, " count"]:
        """The class of the largest logit."""
        return np.asarray(self.log_probabilities.argmax(axis=1))

    @property
    def correct(self) -> Bool[np.ndarray, " count"]:
        """Which images are classified correctly."""
        return np.asarray(self.predictions == self.labels)

    @property
    def accuracy(self) -> float:
        """The share of correct predictions."""
        return float(self.correct.mean())


def _evaluate(setup: _Setup, parameters: Parameters, split: _Split) -> _Evaluation:
    """Evaluate on every image, without label smoothing or penalties."""
    network, total = evaluated(setup.network), 0.0
    answers = []
    for start in range(0, len(split.labels), _EVALUATED_AT_ONCE):
        images, labels = split.take(slice(start, start + _EVALUATED_AT_ONCE), setup.dtype)
        logits = network.forward(parameters, images)[0]
        total += setup.unsmoothed_loss.forward(logits, labels)[0] * len(labels)
        answers.append(scipy.special.log_softmax(logits.astype(np.float64), axis=1))
    return _Evaluation(total / len(split.labels), split.labels, np.concatenate(answers))


def _counted(validated: _Evaluation) -> dict[str, float]:
    """Return what an epoch's record has besides accuracy and loss."""
    counts = confusion_matrix(validated.labels, validated.predictions, validated.log_probabilities.shape[1])
    return {
        "validation_balanced_accuracy": float(balanced_accuracy(counts)),
        "validation_f1": float(macro_f1(counts)),
    }


def _metrics(tested: _Evaluation, trained: _Evaluation, validated: _Evaluation | None) -> dict[str, float]:
    """Return the metrics of the kept checkpoint."""
    metrics = {"training_accuracy": trained.accuracy, "training_loss": trained.loss}
    for split, own in (("validation", validated), ("test", tested)):
        if own is not None:
            metrics |= split_metrics(split, own.log_probabilities, own.labels, own.loss)
    return metrics


def _best_epoch(history: Sequence[EpochRecord]) -> int:
    """Return the first epoch of the best validation accuracy; the last epoch without a validation set."""
    accuracies = [record.validation_accuracy for record in history if record.validation_accuracy is not None]
    return 1 + accuracies.index(max(accuracies)) if accuracies else len(history)


def _status(recipe: Recipe, history: Sequence[EpochRecord]) -> Status | None:
    """Return how the training ended; ``None`` while it goes on."""
    last, settings = history[-1], recipe.training
    if last.running_loss is None or (last.validation_accuracy is not None and last.validation_loss is None):
        return "diverged"
    if last.epoch == settings.epochs:
        return "finished"
    patient = settings.patience is None or last.epoch - _best_epoch(history) < settings.patience
    return None if patient else "stopped early"


def _report(recipe: Recipe, record: EpochRecord, status: Status | None) -> EpochReport:
    diverged = status == "diverged"
    return EpochReport(
        epoch=record.epoch,
        epochs=recipe.training.epochs,
        running_losses=(None if diverged else record.running_loss,),
        validation_accuracies=(None if diverged else record.validation_accuracy,),
    )
