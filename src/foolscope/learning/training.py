"""The one training loop: a pack of trials, one epoch after another, resumable to the same bits."""

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from foolscope.core.randomness import torch_generator
from foolscope.data.dataset import Dataset
from foolscope.learning.adversarial import Minibatch
from foolscope.learning.evaluation import evaluate, to_pixels
from foolscope.learning.model_hooks import conclude, learn_without_gradients
from foolscope.learning.optimizers import PackTensors
from foolscope.learning.outcome import EpochRecord, TrialOutcome
from foolscope.learning.packing import Context
from foolscope.learning.preparation import Setup, prepare
from foolscope.learning.robustness import doubts_about_defense, robust_accuracy
from foolscope.learning.schedules import learning_rates
from foolscope.learning.settings import TrainableTrial
from foolscope.learning.stacking import own_part
from foolscope.learning.state import PackState
from foolscope.learning.updating import update_parameters

__all__ = ["EpochReport", "train_pack", "train_step"]

_CHECKPOINT_SECONDS = 5.0


@dataclass(frozen=True)
class EpochReport:
    """The report of the loop after each epoch: one value per trial, ``None`` once it has diverged.

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

    Raises:
        StoreError: the checkpoint cannot be written.
        RecipeError: the model does not fit the images.
    """
    whole, state = prepare(trials, dataset)
    if checkpoint is not None and checkpoint.exists():
        state.restore(checkpoint, identity)
    setup = whole.narrowed(state.trained)
    last_saved = time.perf_counter()
    started = last_saved - state.seconds
    while state.any_running():
        _train_epoch(setup, state)
        if report is not None:
            report(_report(whole, state))
        kept = _worth_keeping(whole, state)
        if kept != state.trained:
            state.narrow(kept)
            setup = whole.narrowed(kept)
        if checkpoint is not None and time.perf_counter() - last_saved > _CHECKPOINT_SECONDS:
            state.seconds = time.perf_counter() - started
            state.save(checkpoint, identity)
            last_saved = time.perf_counter()
    return _outcomes(whole, state, (time.perf_counter() - started) / len(trials))


def _worth_keeping(whole: Setup, state: PackState) -> list[int]:
    """Return the trials to go on with: without those that are over, once a smaller pack is as fast.

    A pack whose seeds have different numbers of trials gathers a minibatch per trial instead of per seed,
    which only pays when half of the trials are gone. Divergence alone does not change the pack, because the
    bits of the other trials depend on it.
    """
    running = [trial for trial in state.trained if state.statuses[trial] == "running"]
    ended = any(state.statuses[trial] in ("finished", "stopped early") for trial in state.trained)
    even = len(set(Counter(whole.trials[trial].seed for trial in running).values())) == 1
    worthwhile = ended and (even or 2 * len(running) <= len(state.trained))
    return running if running and worthwhile else state.trained


def _train_epoch(setup: Setup, state: PackState) -> None:
    trials, train = setup.trials, setup.dataset.train
    device = train.images.device
    order = torch.stack(
        [
            torch.randperm(len(train), generator=torch_generator(seed, "batches", state.epoch))
            for seed in setup.group_seeds
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
    rate_of_step = torch.from_numpy(rates.T.copy()).to(device, setup.master)
    losses = torch.zeros(len(trials), device=device, dtype=torch.float64)
    correct = torch.zeros(len(trials), device=device, dtype=torch.float64)
    for step, batch in enumerate(torch.split(order, setup.batch_size, dim=1)):
        loss, hits = train_step(setup, state, batch, rate_of_step[step], context)
        losses += loss
        correct += hits
        state.step += 1
    _close_epoch(setup, state, losses / len(train), correct / len(train), rates[:, -1])


def _learning_rates(setup: Setup, state: PackState) -> Float64[np.ndarray, "trial step"]:
    """Return the learning rates of the epoch that begins, zero for trials that are over."""
    per_epoch = setup.steps_per_epoch
    steps = np.arange(per_epoch) + state.epoch * per_epoch
    rates = [
        learning_rates(
            settings.schedule,
            settings.optimizer.learning_rate,
            steps,
            steps_per_epoch=per_epoch,
            epochs=settings.training.epochs,
        )
        * (state.statuses[trial] == "running")
        for trial, settings in zip(state.trained, setup.trials, strict=True)
    ]
    return np.stack(rates)


def train_step(
    setup: Setup,
    state: PackState,
    batch: Int64[Tensor, "group batch"],
    learning_rate: Float[Tensor, " trial"],
    context: Context,
) -> tuple[Float[Tensor, " trial"], Int64[Tensor, " trial"]]:
    """Take one gradient step for every trial, in place.

    Parameters, statistics and moments of the state change; the batch has a row of indices into the training
    set for each group.

    Returns:
        The loss summed over the minibatch before the step, without penalties, and the number of correct
        predictions: with a defense, those on adversarial inputs.
    """
    leaves = {
        name: value.to(setup.dtype if value.dim() > 2 else setup.master).detach().requires_grad_()
        for name, value in state.parameters.items()
    }
    images, labels = _gather(setup, batch)
    if setup.defense is None:
        logits = setup.program(leaves | state.statistics, images, context)
        losses = setup.loss(logits, labels, setup.smoothing)
    else:
        minibatch = _minibatch(setup, state, leaves | state.statistics, images, labels, context)
        losses, logits = setup.defense.losses(setup.defense, minibatch)
    gradients = torch.autograd.grad(losses.mean(dim=1).sum(), list(leaves.values()))
    learn_without_gradients(setup, state, labels)
    update_parameters(setup, state, dict(zip(leaves, gradients, strict=True)), learning_rate)
    return losses.detach().sum(dim=1), (logits.mT.max(dim=1).indices == labels).sum(dim=1)


def _gather(setup: Setup, batch: Int64[Tensor, "group batch"]) -> tuple[Tensor, Tensor]:
    """Return the images of every group's minibatch in [0, 1], and the labels for every trial."""
    train = setup.dataset.train
    chosen = torch.unflatten(train.images.index_select(0, batch.flatten()), 0, batch.shape)
    labels = train.labels[batch].repeat_interleave(len(setup.trials) // setup.groups, dim=0)
    return to_pixels(chosen, setup.master), labels


def _minibatch(
    setup: Setup, state: PackState, tensors: PackTensors, images: Tensor, labels: Tensor, context: Context
) -> Minibatch:
    """Collect what a defense needs; its randomness depends on seed and step only."""
    return Minibatch(
        program=setup.program,
        tensors=tensors,
        images=images,
        labels=labels,
        loss=setup.loss,
        smoothing=setup.smoothing,
        context=context,
        generators=tuple(
            torch_generator(seed, "adversarial", state.step, device=images.device)
            for seed in setup.group_seeds
        ),
    )


def _close_epoch(
    setup: Setup,
    state: PackState,
    losses: Float64[Tensor, " trial"],
    accuracies: Float64[Tensor, " trial"],
    learning_rates: Float64[np.ndarray, " trial"],
) -> None:
    """Validate, record, keep the best checkpoints, and end trials that diverged or stopped early."""
    state.epoch += 1
    count = len(setup.trials)
    validation_losses: list[float | None] = [None] * count
    validation_accuracies: list[float | None] = [None] * count
    robust_accuracies: list[float | None] = [None] * count
    if setup.dataset.validation is not None:
        measured = evaluate(setup.program, state.tensors, setup.dataset.validation, setup.loss, setup.dtype)
        validation_losses = _finite(measured.loss)
        validation_accuracies = measured.accuracy.tolist()
        if setup.defense is not None:
            robust_accuracies = robust_accuracy(
                setup.program,
                state.tensors,
                setup.dataset.validation,
                setup.loss,
                setup.dtype,
                setup.defense.epsilon,
            ).tolist()
    training_losses, penalties = _finite(losses), _finite(setup.regularizers.penalty(state.parameters))
    training_accuracies = accuracies.tolist()
    for row, (trial, settings) in enumerate(zip(state.trained, setup.trials, strict=True)):
        if state.statuses[trial] != "running":
            continue
        record = EpochRecord(
            epoch=state.epoch,
            learning_rate=float(learning_rates[row]),
            training_loss=training_losses[row],
            penalty=penalties[row],
            training_accuracy=training_accuracies[row],
            validation_loss=validation_losses[row],
            validation_accuracy=validation_accuracies[row],
            robust_validation_accuracy=robust_accuracies[row],
        )
        validated = record.validation_accuracy is None or record.validation_loss is not None
        diverged = record.training_loss is None or not validated
        state.record(trial, record, settings.training, diverged=diverged)


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


def _outcomes(setup: Setup, state: PackState, duration_seconds: float) -> list[TrialOutcome]:
    """Evaluate the kept checkpoints on the test set; a trial whose loss there is not finite has diverged too.

    Evaluation runs in the precision of the parameters, so that the stored model gives the same numbers.
    """
    test = setup.dataset.test
    variants = conclude(setup, state)
    result = evaluate(setup.program, state.best, test, setup.loss, setup.master)
    test_losses, test_accuracies = _finite(result.loss), result.accuracy.tolist()
    outcomes = []
    for trial, model in enumerate(setup.models):
        history, best_epoch = tuple(state.histories[trial]), state.best_epochs[trial]
        test_loss = test_losses[trial]
        status = state.statuses[trial]
        assert status != "running"
        if test_loss is None:
            status = "diverged"
        weights = dict(model.state_dict())
        weights |= {name: own_part(value[trial], weights[name].shape) for name, value in state.best.items()}
        weights = {
            name: value.detach().float().cpu() if value.is_floating_point() else value.cpu()
            for name, value in weights.items()
        }
        metrics: dict[str, float] = {}
        if status != "diverged" and test_loss is not None:
            kept = history[best_epoch - 1]
            metrics = {
                "test_accuracy": test_accuracies[trial],
                "test_loss": test_loss,
                "training_accuracy": kept.training_accuracy,
                **variants[trial],
            }
            if kept.validation_accuracy is not None and kept.validation_loss is not None:
                metrics |= {
                    "validation_accuracy": kept.validation_accuracy,
                    "validation_loss": kept.validation_loss,
                }
            if kept.robust_validation_accuracy is not None:
                metrics["robust_validation_accuracy"] = kept.robust_validation_accuracy
        outcomes.append(
            TrialOutcome(
                status=status,
                history=history,
                best_epoch=None if status == "diverged" else best_epoch,
                metrics=metrics,
                confusion=_confusion(test.labels, result.predictions[trial], len(setup.dataset.classes)),
                parameter_count=sum(parameter.numel() for parameter in model.parameters()),
                steps=len(history) * setup.steps_per_epoch,
                duration_seconds=duration_seconds,
                weights=weights,
                doubts=doubts_about_defense(setup.trials[trial].defense, history),
            )
        )
    return outcomes


def _confusion(labels: Tensor, predictions: Tensor, classes: int) -> tuple[tuple[int, ...], ...]:
    counts = torch.bincount(labels * classes + predictions, minlength=classes * classes)
    return tuple(tuple(row) for row in counts.view(classes, classes).tolist())
