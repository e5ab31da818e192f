"""The one training loop: a pack of trials, one epoch after another, resumable to the same bits."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from foolscope.core.randomness import torch_generator
from foolscope.data.dataset import Dataset
from foolscope.learning.evaluation import evaluate, to_pixels
from foolscope.learning.optimizers import OPTIMIZERS
from foolscope.learning.outcome import EpochRecord, Status, TrialOutcome
from foolscope.learning.packing import Context
from foolscope.learning.preparation import Setup, prepare
from foolscope.learning.regularizers import clip_gradients
from foolscope.learning.schedules import learning_rates
from foolscope.learning.settings import TrainableTrial
from foolscope.learning.state import PackState

__all__ = ["EpochReport", "train_pack", "train_step"]

_CHECKPOINT_SECONDS = 5.0


@dataclass(frozen=True)
class EpochReport:
    """What the loop tells while it runs, once an epoch: one value per trial, ``None`` once it has diverged.

    Accuracies are also ``None`` where there is no validation set.
    """

    epoch: int
    epochs: int
    training_losses: tuple[float | None, ...]
    validation_accuracies: tuple[float | None, ...]


def train_pack(
    trials: Sequence[TrainableTrial],
    dataset: Dataset,
    *,
    checkpoint: Path | None = None,
    identity: str = "",
    report: Callable[[EpochReport], None] | None = None,
) -> list[TrialOutcome]:
    """Train trials of one shape side by side.

    The trials may differ in seed, learning rate and its schedule, momentum and the like, penalties, dropout
    rate, label smoothing and clipping threshold. They must agree in everything else. Trials of one seed see
    the same minibatches.

    Args:
        trials: at least one; trials of one seed next to each other.
        dataset: on the device to train on.
        checkpoint: where to keep the state of a pack in progress; a pack that finds its own state there goes
            on.
        identity: names the pack, so that another pack's checkpoint is not taken for its own.
        report: called after every epoch.

    Returns:
        One outcome per trial, in order.

    Raises:
        StoreError: the checkpoint cannot be written.
        RecipeError: the model does not fit the images.
    """
    setup, state, models = prepare(trials, dataset)
    if checkpoint is not None and checkpoint.exists():
        state.restore(checkpoint, identity)
    last_saved = started = time.perf_counter()
    while state.epoch < setup.epochs and state.any_running():
        _train_epoch(setup, state)
        if report is not None:
            report(_report(setup, state))
        if checkpoint is not None and time.perf_counter() - last_saved > _CHECKPOINT_SECONDS:
            state.save(checkpoint, identity)
            last_saved = time.perf_counter()
    share = (time.perf_counter() - started) / len(trials)
    return _outcomes(setup, state, models, share)


def _train_epoch(setup: Setup, state: PackState) -> None:
    trials, train = setup.trials, setup.dataset.train
    device = train.images.device
    group_seeds = [trial.seed for trial in trials[:: len(trials) // setup.groups]]
    order = torch.stack(
        [
            torch.randperm(len(train), generator=torch_generator(seed, "batches", state.epoch))
            for seed in group_seeds
        ]
    ).to(device)
    context = Context(
        training=True,
        dtype=setup.dtype,
        generators=tuple(
            torch_generator(trial.seed, "dropout", state.epoch, device=device) for trial in trials
        ),
    )
    rates = _learning_rates(setup, state)
    rate_of_step = torch.from_numpy(rates.T.copy()).to(next(iter(state.parameters.values())))
    losses = torch.zeros(len(trials), device=device, dtype=torch.float64)
    correct = torch.zeros(len(trials), device=device, dtype=torch.float64)
    for step, batch in enumerate(torch.split(order, setup.batch_size, dim=1)):
        loss, hits = train_step(setup, state, batch, rate_of_step[step], context)
        losses += loss
        correct += hits
        state.step += 1
    _close_epoch(setup, state, losses / len(train), correct / len(train), rates[:, -1])


def _learning_rates(setup: Setup, state: PackState) -> Float64[np.ndarray, "trial step"]:
    """Return the learning rates of the epoch that begins, zero for trials that have diverged."""
    per_epoch = setup.steps_per_epoch
    steps = np.arange(per_epoch) + state.epoch * per_epoch
    rates = [
        learning_rates(
            trial.schedule,
            trial.optimizer.learning_rate,
            steps,
            steps_per_epoch=per_epoch,
            epochs=setup.epochs,
        )
        * (status != "diverged")
        for trial, status in zip(setup.trials, state.statuses, strict=True)
    ]
    return np.stack(rates)


def train_step(
    setup: Setup, state: PackState, batch: Tensor, learning_rate: Tensor, context: Context
) -> tuple[Tensor, Tensor]:
    """Take one step in place; return the summed loss and the number of correct predictions of every trial."""
    train, parameters = setup.dataset.train, state.parameters
    leaves = {name: value.detach().requires_grad_() for name, value in parameters.items()}
    images = to_pixels(train.images[batch], next(iter(leaves.values())).dtype)
    labels = train.labels[batch].repeat_interleave(len(setup.trials) // setup.groups, dim=0)
    logits = setup.program(leaves, images, context)
    losses = setup.loss(logits, labels, setup.smoothing)
    gradients = dict(
        zip(leaves, torch.autograd.grad(losses.mean(dim=1).sum(), list(leaves.values())), strict=True)
    )
    with torch.no_grad():
        setup.regularizers.add_gradients(parameters, gradients)
        clip_gradients(gradients, setup.clipping)
        setup.regularizers.decay(parameters, learning_rate)
        hyper = {"learning_rate": learning_rate, **setup.optimizer_hyperparameters}
        update = OPTIMIZERS[setup.trials[0].optimizer.name].update
        update(parameters, gradients, state.optimizer, hyper, state.step)
        return losses.sum(dim=1), (logits.argmax(dim=-1) == labels).sum(dim=1)


def _close_epoch(
    setup: Setup,
    state: PackState,
    losses: Float64[Tensor, " trial"],
    accuracies: Float64[Tensor, " trial"],
    learning_rates: Float64[np.ndarray, " trial"],
) -> None:
    """Validate, record, keep what is best, and end the trials that diverged or lost patience."""
    state.epoch += 1
    validation_losses: list[float | None] = [None] * len(setup.trials)
    validation_accuracies: list[float | None] = [None] * len(setup.trials)
    if setup.dataset.validation is not None:
        measured = evaluate(
            setup.program, state.parameters, setup.dataset.validation, setup.loss, setup.dtype
        )
        validation_losses = _finite(measured.loss)
        validation_accuracies = measured.accuracy.tolist()
    training_losses, penalties = _finite(losses), _finite(setup.regularizers.penalty(state.parameters))
    training_accuracies = accuracies.tolist()
    for trial, settings in enumerate(setup.trials):
        if state.statuses[trial] != "running":
            continue
        record = EpochRecord(
            epoch=state.epoch,
            learning_rate=float(learning_rates[trial]),
            training_loss=training_losses[trial],
            penalty=penalties[trial],
            training_accuracy=training_accuracies[trial],
            validation_loss=validation_losses[trial],
            validation_accuracy=validation_accuracies[trial],
        )
        validated = record.validation_accuracy is None or record.validation_loss is not None
        diverged = record.training_loss is None or not validated
        state.record(trial, record, settings.training.keep, settings.training.patience, diverged=diverged)


def _finite(values: Tensor) -> list[float | None]:
    return [number if math.isfinite(number) else None for number in values.tolist()]


def _report(setup: Setup, state: PackState) -> EpochReport:
    last = [
        (None, None) if status == "diverged" else (history[-1].training_loss, history[-1].validation_accuracy)
        for status, history in zip(state.statuses, state.histories, strict=True)
    ]
    return EpochReport(
        epoch=state.epoch,
        epochs=setup.epochs,
        training_losses=tuple(loss for loss, _ in last),
        validation_accuracies=tuple(accuracy for _, accuracy in last),
    )


def _outcomes(
    setup: Setup, state: PackState, models: Sequence[torch.nn.Module], duration_seconds: float
) -> list[TrialOutcome]:
    """Evaluate the kept checkpoints on the test set; one whose loss there is not finite has diverged too."""
    test = setup.dataset.test
    result = evaluate(setup.program, state.best, test, setup.loss, setup.dtype)
    test_losses, test_accuracies = _finite(result.loss), result.accuracy.tolist()
    outcomes = []
    for trial, model in enumerate(models):
        history, best_epoch, test_loss = (
            tuple(state.histories[trial]),
            state.best_epochs[trial],
            test_losses[trial],
        )
        status: Status = "finished" if len(history) == setup.epochs else "stopped early"
        if state.statuses[trial] == "diverged" or test_loss is None:
            status = "diverged"
        weights = {name: value.detach().float().cpu() for name, value in model.state_dict().items()}
        weights |= {name: value[trial].float().cpu() for name, value in state.best.items()}
        metrics: dict[str, float] = {}
        if status != "diverged" and test_loss is not None:
            kept = history[best_epoch - 1]
            metrics = {
                "test_accuracy": test_accuracies[trial],
                "test_loss": test_loss,
                "training_accuracy": kept.training_accuracy,
            }
            if kept.validation_accuracy is not None and kept.validation_loss is not None:
                metrics |= {
                    "validation_accuracy": kept.validation_accuracy,
                    "validation_loss": kept.validation_loss,
                }
        outcomes.append(
            TrialOutcome(
                status=status,
                history=history,
                best_epoch=None if status == "diverged" else best_epoch,
                metrics=metrics,
                confusion=_confusion(test.labels, result.predictions[trial], len(setup.dataset.classes)),
                parameter_count=sum(value[trial].numel() for value in state.best.values()),
                steps=len(history) * setup.steps_per_epoch,
                duration_seconds=duration_seconds,
                weights=weights,
            )
        )
    return outcomes


def _confusion(labels: Tensor, predictions: Tensor, classes: int) -> tuple[tuple[int, ...], ...]:
    counts = torch.bincount(labels * classes + predictions, minlength=classes * classes)
    return tuple(tuple(row) for row in counts.view(classes, classes).tolist())
