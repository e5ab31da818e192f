"""Sanity checks that any classifier must pass before its numbers mean anything."""

import math
from dataclasses import dataclass, replace

import torch

from foolscope.core.precision import Precision
from foolscope.core.randomness import torch_generator
from foolscope.data.dataset import Dataset
from foolscope.learning import TrainableTrial, TrainingSettings, train_pack
from foolscope.learning.evaluation import channel_statistics, evaluate
from foolscope.learning.losses import LOSSES, CrossEntropy, LossSettings
from foolscope.learning.optimizers import Adam, OptimizerSettings
from foolscope.learning.packing import solo_program
from foolscope.learning.regularizers import RegularizationSettings
from foolscope.learning.schedules import Constant, ScheduleSettings
from foolscope.models import ModelSettings, build_model

__all__ = ["Check", "initial_loss", "overfit_one_batch"]

_LOSS_TOLERANCE = 0.5
_OVERFIT_IMAGES = 64
_OVERFIT_STEPS = 400


@dataclass(frozen=True)
class Check:
    """One check: whether it passed, in a sentence, with its numbers."""

    name: str
    passed: bool
    sentence: str
    numbers: dict[str, float]


def initial_loss(trial: TrainableTrial, dataset: Dataset) -> Check:
    """Compare the cross-entropy at initialization with ln K, that of a classifier that knows nothing.

    A loss well above ln K means that initial weights or inputs are too large, one well below that labels leak
    into the inputs. Up to 0.5 above or below passes: logits that
    scatter by 1, as PyTorch's initialization may give, add about half a nat.

    Args:
        trial: its model and seed are used.
        dataset: up to 2,000 training images, evenly spread, are used.
    """
    train = dataset.train
    chosen = torch.linspace(0, len(train) - 1, min(2000, len(train))).long().to(train.labels.device)
    mean, deviation = channel_statistics(train)
    classes = len(dataset.classes)
    model = build_model(
        trial.model, dataset.image_shape, classes, seed=trial.seed, mean=mean, deviation=deviation
    ).to(train.images.device)
    parameters = {name: value.detach()[None] for name, value in model.named_parameters()}
    measured = evaluate(
        solo_program([model]), parameters, train.take(chosen), LOSSES["cross-entropy"][1], torch.float32
    )
    loss, expected = float(measured.loss[0]), math.log(classes)
    passed = abs(loss - expected) <= _LOSS_TOLERANCE
    sentence = f"Loss at initialization {loss:.3f}, ln {classes} = {expected:.3f}: " + (
        "as expected."
        if passed
        else f"more than {_LOSS_TOLERANCE} apart; look at initial weights and inputs."
    )
    return Check("loss at initialization", passed, sentence, {"loss": loss, "expected": expected})


@dataclass(frozen=True)
class _OverfitTrial:
    """The trial of :func:`overfit_one_batch`: the model of another trial, nothing that holds it back."""

    model: ModelSettings
    loss: LossSettings
    seed: int
    training: TrainingSettings
    optimizer: OptimizerSettings
    schedule: ScheduleSettings
    regularization: RegularizationSettings
    precision: Precision = "float32"


def overfit_one_batch(trial: TrainableTrial, dataset: Dataset) -> Check:
    """Train on 64 images without regularization until all are right: a model that cannot is broken.

    Adam (learning rate 0.003), at most 400 steps on the whole batch; dropout and label smoothing are off.

    Args:
        trial: its model, loss and seed are used.
        dataset: the images are drawn from its training set by the trial's seed.
    """
    generator = torch_generator(trial.seed, "overfit")
    chosen = torch.randperm(len(dataset.train), generator=generator)[:_OVERFIT_IMAGES]
    batch = dataset.train.take(chosen.to(dataset.train.labels.device))
    model = trial.model
    if "dropout" in type(model).model_fields:
        model = model.model_copy(update={"dropout": 0.0})
    loss = CrossEntropy() if isinstance(trial.loss, CrossEntropy) else trial.loss
    own = _OverfitTrial(
        model=model,
        loss=loss,
        seed=trial.seed,
        training=TrainingSettings(batch_size=len(batch), epochs=_OVERFIT_STEPS, keep="last"),
        optimizer=Adam(learning_rate=0.003),
        schedule=Constant(),
        regularization=RegularizationSettings(),
    )
    small = replace(dataset, train=batch, validation=None, test=batch)
    (outcome,) = train_pack([own], small)
    perfect = next((each.epoch for each in outcome.history if each.training_accuracy == 1.0), None)
    best = max(each.training_accuracy for each in outcome.history)
    sentence = (
        f"Learns {len(batch)} images by heart in {perfect} steps."
        if perfect is not None
        else f"Gets only {best:.0%} of {len(batch)} images right after {_OVERFIT_STEPS} steps; "
        "look at the model's capacity, the loss and the gradients."
    )
    numbers = {"images": float(len(batch)), "best_accuracy": best, "steps": float(perfect or _OVERFIT_STEPS)}
    return Check("overfits one batch", perfect is not None, sentence, numbers)
