"""The one training loop: a pack of trials, one epoch after another, resumable to the same bits."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn

from foolscope.core.randomness import torch_generator
from foolscope.data.dataset import Dataset
from foolscope.learning.augmenting import EpochAugmentation, Targets
from foolscope.learning.gradients import minibatch_gradients
from foolscope.learning.measuring.evaluation import to_pixels
from foolscope.learning.measuring.outcomes import finite_values, measure_outcomes, validation_scores
from foolscope.learning.model_hooks import learn_without_gradients
from foolscope.learning.outcome import EpochRecord, TrialOutcome
from foolscope.learning.pack_checkpoints import Checkpoint, save_pack
from foolscope.learning.packs.packing import Context
from foolscope.learning.parameters.updating import update_parameters
from foolscope.learning.parameters.weight_averages import renew_statistics, shares_of_epoch
from foolscope.learning.preparation import Setup, prepare
from foolscope.learning.resizing import image_scale, resized
from foolscope.learning.resuming import resume
from foolscope.learning.sampling import epoch_order
from foolscope.learning.schedules import learning_rates
from foolscope.learning.settings import TrainableTrial
from foolscope.learning.state import PackState

__all__ = ["EpochReport", "train_pack", "train_step"]

_CHECKPOINT_SECONDS = 5.0


@dataclass(frozen=True)
class EpochReport:
    """The report of the loop after each epoch: one value per trial, ``None`` once it has diverged.

    Accuracies are also ``None`` where there is no validation set.
    """

    epoch: int
    epochs: int
    running_losses: tuple[float | None, ...]
    validation_accuracies: tuple[float | None, ...]


def train_pack(
    trials: Sequence[TrainableTrial],
    dataset: Dataset,
    *,
    checkpoint: Checkpoint | None = None,
    report: Callable[[EpochReport], None] | None = None,
    initialize: Callable[[nn.Module], None] | None = None,
) -> list[TrialOutcome]:
    """Train trials of one shape side by side.

    The trials may differ in seed, learning rate and its schedule, momentum and the like, parameter groups,
    penalties, dropout rate, label smoothing, class weights, clipping threshold, sharpness radius, the
    settings of the averaging, and in how checkpoints are chosen. They must agree in everything else. Trials
    of one seed see the same minibatches.

    Args:
        trials: at least one; trials of one seed next to each other.
        dataset: on the device to train on.
        checkpoint: where to keep the state of the pack in progress, and the names of its trials, which
            continue from what is found of them there or in the checkpoints of other packs beside it.
        report: called after every epoch.
        initialize: gives a model other initial weights than its seed does, in place.

    Raises:
        StoreError: the checkpoint cannot be written.
        RecipeError: the model does not fit the images.
    """
    whole, state = prepare(trials, dataset, initialize)
    if checkpoint is not None:
        resume(state, whole, checkpoint)
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
            save_pack(state, checkpoint)
            last_saved = time.perf_counter()
    return measure_outcomes(whole, state, (time.perf_counter() - started) / len(trials))


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
    order = epoch_order(train.labels, trials[0].training.sampling, seeds=setup.group_seeds, epoch=state.epoch)
    context = Context(
        training=True,
        dtype=setup.dtype,
        generators=tuple(
            torch_generator(trial.seed, "dropout", state.epoch, device=device) for trial in trials
        ),
        frozen=setup.frozen_layers,
    )
    augmentation = (
        EpochAugmentation(setup.augmentation, setup.group_seeds, state.epoch, device)
        if setup.augmentation
        else None
    )
    rates = _learning_rates(setup, state)
    rate_of_step = torch.from_numpy(rates.T.copy()).to(device, setup.master)
    shares = shares_of_epoch(setup, state)
    share_of_step = torch.from_numpy(shares.T.copy()).to(device, setup.master)
    losses = torch.zeros(len(trials), device=device, dtype=torch.float64)
    correct = torch.zeros(len(trials), device=device, dtype=torch.float64)
    for step, batch in enumerate(torch.split(order, setup.batch_size, dim=1)):
        loss, hits = train_step(setup, state, batch, rate_of_step[step], context, augmentation)
        losses += loss
        correct += hits
        state.step += 1
        if shares[:, step].any():
            state.average(share_of_step[step])
    renew_statistics(setup, state, shares[:, -1])
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
    augmentation: EpochAugmentation | None = None,
) -> tuple[Float[Tensor, " trial"], Int64[Tensor, " trial"]]:
    """Take one gradient step for every trial, in place.

    Parameters, statistics and moments of the state change; the batch has a row of indices into the training
    set for each group.

    Returns:
        The loss summed over the minibatch before the step, without penalties, and the number of correct
        predictions: with a defense, those on adversarial inputs.
    """
    images, labels = _gather(setup, batch)
    targets = Targets(labels)
    if augmentation is not None:
        images, targets = augmentation(images, batch, labels)
    images = resized(images, image_scale(setup.trials[0].training, state.epoch))
    found = minibatch_gradients(setup, state, images, targets, context)
    learn_without_gradients(setup, state, targets)
    update_parameters(setup, state, found.gradients, learning_rate)
    return found.loss, found.correct


def _gather(setup: Setup, batch: Int64[Tensor, "group batch"]) -> tuple[Tensor, Tensor]:
    """Return the images of every group's minibatch in [0, 1], and the labels for every trial."""
    train = setup.dataset.train
    chosen = torch.unflatten(train.images.index_select(0, batch.flatten()), 0, batch.shape)
    labels = train.labels[batch].repeat_interleave(len(setup.trials) // setup.groups, dim=0)
    return to_pixels(chosen, setup.master), labels


def _close_epoch(
    setup: Setup,
    state: PackState,
    losses: Float64[Tensor, " trial"],
    accuracies: Float64[Tensor, " trial"],
    learning_rates: Float64[np.ndarray, " trial"],
) -> None:
    """Validate, record, keep the best checkpoints, and end trials that diverged or stopped early."""
    state.epoch += 1
    validated = validation_scores(setup, state)
    running_losses = finite_values(losses)
    penalties = finite_values(setup.regularizers.penalty(state.parameters))
    running_accuracies = accuracies.tolist()
    for row, (trial, settings) in enumerate(zip(state.trained, setup.trials, strict=True)):
        if state.statuses[trial] != "running":
            continue
        record = EpochRecord(
            epoch=state.epoch,
            learning_rate=float(learning_rates[row]),
            running_loss=running_losses[row],
            penalty=penalties[row],
            running_accuracy=running_accuracies[row],
            **{name: values[row] for name, values in validated.items()},
        )
        is_finite = record.validation_accuracy is None or record.validation_loss is not None
        diverged = record.running_loss is None or not is_finite
        state.record(trial, record, settings.training, diverged=diverged)


def _report(setup: Setup, state: PackState) -> EpochReport:
    last = [
        (None, None) if status == "diverged" else (history[-1].running_loss, history[-1].validation_accuracy)
        for status, history in zip(state.statuses, state.histories, strict=True)
    ]
    return EpochReport(
        epoch=state.epoch,
        epochs=setup.epochs,
        running_losses=tuple(loss for loss, _ in last),
        validation_accuracies=tuple(accuracy for _, accuracy in last),
    )
