"""Sanity checks: without regularization, a correct model fits a few images perfectly."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from foolscope.augmentation import AugmentationSettings
from foolscope.core.precision import Precision
from foolscope.core.randomness import numpy_generator, torch_generator
from foolscope.data.dataset import Dataset, LabeledImages
from foolscope.data.splits import stratified_choice
from foolscope.inspection.check import Check
from foolscope.learning import EpochRecord, TrainableTrial, TrainingSettings, train_pack
from foolscope.learning.adversarial import DefenseSettings, NoDefense
from foolscope.learning.initial_models import Initialize
from foolscope.learning.losses import CrossEntropy, LossSettings
from foolscope.learning.optimizers import Adam, OptimizerSettings
from foolscope.learning.parameters.averaging import AveragingSettings, NoAveraging
from foolscope.learning.parameters.groups import ParameterGroupSettings
from foolscope.learning.parameters.regularizers import RegularizationSettings
from foolscope.learning.schedules import Constant, ScheduleSettings
from foolscope.models import ModelSettings

__all__ = ["overfit_one_batch", "overfits_small_subset"]

_BATCH_IMAGES = 64
_BATCH_STEPS = 400
_SUBSET_IMAGES = 100
_SUBSET_BATCH = 20
_SUBSET_EPOCHS = 60
_VALIDATION_IMAGES = 500
_RISE = 1.1  # times the lowest validation loss: less is not a rise


@dataclass(frozen=True)
class _FreeTrial:
    """The model, loss and seed of another trial, trained by Adam without regularization."""

    model: ModelSettings
    loss: LossSettings
    seed: int
    training: TrainingSettings
    optimizer: OptimizerSettings
    schedule: ScheduleSettings
    regularization: RegularizationSettings
    precision: Precision
    defense: DefenseSettings
    averaging: AveragingSettings
    parameter_groups: tuple[ParameterGroupSettings, ...]
    augmentation: tuple[AugmentationSettings, ...] = ()
    frozen: tuple[str, ...] = ()


def overfit_one_batch(trial: TrainableTrial, dataset: Dataset, initialize: Initialize | None = None) -> Check:
    """Train on 64 images without regularization until all are classified correctly.

    Adam (learning rate 0.003), at most 400 steps on the whole batch; dropout, label smoothing and class
    weights are off. The images are drawn by the trial's seed.
    """
    generator = torch_generator(trial.seed, "overfit")
    chosen = torch.randperm(len(dataset.train), generator=generator)[:_BATCH_IMAGES]
    batch = dataset.train.take(chosen.to(dataset.train.labels.device))
    history = _train_freely(trial, dataset, initialize, batch, None, len(batch), _BATCH_STEPS)
    perfect, best = _first_perfect(history), max(each.running_accuracy for each in history)
    sentence = (
        f"Fits {len(batch)} images perfectly in {perfect} steps."
        if perfect is not None
        else f"Fits only {best:.0%} of {len(batch)} images after {_BATCH_STEPS} steps; "
        "check the model's capacity, the loss and the gradients."
    )
    numbers = {"images": float(len(batch)), "best_accuracy": best, "steps": float(perfect or _BATCH_STEPS)}
    return Check(check="overfits one batch", passed=perfect is not None, sentence=sentence, numbers=numbers)


def overfits_small_subset(
    trial: TrainableTrial, dataset: Dataset, initialize: Initialize | None = None
) -> Check:
    """Train on 100 images, stratified by class, until all are classified correctly.

    Minibatches of 20, 60 epochs, Adam (learning rate 0.003); dropout, label smoothing, class weights and
    penalties are off. It passes if all 100 are classified correctly in one epoch. The validation accuracy and
    the rise of the validation loss from its lowest value are reported but decide nothing: on easy data they
    improve, too. The images are drawn by the trial's seed; validation uses 500 images of the validation set,
    or else of the rest of the training set.
    """
    train = dataset.train
    count = min(_SUBSET_IMAGES, len(train))
    chosen = _draw(train, count, trial.seed, "subset")
    rest = torch.ones(len(train), dtype=torch.bool).index_fill_(0, chosen.cpu(), value=False)
    others = dataset.validation or train.take(rest.nonzero().squeeze(1).to(chosen.device))
    held_out = others.take(_draw(others, min(_VALIDATION_IMAGES, len(others)), trial.seed, "validation"))
    validation = held_out if len(held_out) else None
    history = _train_freely(
        trial, dataset, initialize, train.take(chosen), validation, _SUBSET_BATCH, _SUBSET_EPOCHS
    )
    perfect, best = _first_perfect(history), max(each.running_accuracy for each in history)
    numbers = {"images": float(count), "best_accuracy": best, "epochs": float(perfect or _SUBSET_EPOCHS)}
    if perfect is None:
        sentence = (
            f"Fits only {best:.0%} of {count} images after {_SUBSET_EPOCHS} epochs without "
            "regularization; check the model's capacity, the loss and the gradients."
        )
    else:
        sentence = f"Fits {count} images perfectly in {perfect} epochs without regularization"
        words, measured = _validation(history)
        sentence += f"; {words}." if words else "."
        numbers |= measured
    return Check(
        check="overfits a small subset", passed=perfect is not None, sentence=sentence, numbers=numbers
    )


def _draw(images: LabeledImages, count: int, seed: int, name: str) -> torch.Tensor:
    chosen = stratified_choice(images.labels, count, numpy_generator(seed, "overfit", name))
    return chosen.to(images.labels.device)


def _train_freely(
    trial: TrainableTrial,
    dataset: Dataset,
    initialize: Initialize | None,
    images: LabeledImages,
    validation: LabeledImages | None,
    batch_size: int,
    epochs: int,
) -> Sequence[EpochRecord]:
    """Train the trial's model on some images without regularization."""
    model = trial.model
    if "dropout" in type(model).model_fields:
        model = model.model_copy(update={"dropout": 0.0})
    unsmoothed = CrossEntropy() if isinstance(trial.loss, CrossEntropy) else trial.loss
    free = _FreeTrial(
        model=model,
        loss=unsmoothed.model_copy(update={"class_weights": None}),
        seed=trial.seed,
        training=TrainingSettings(batch_size=batch_size, epochs=epochs, keep="last"),
        optimizer=Adam(learning_rate=0.003),
        schedule=Constant(),
        regularization=RegularizationSettings(),
        precision="float32",
        defense=NoDefense(),
        averaging=NoAveraging(),
        parameter_groups=(),
    )
    parts = replace(dataset, train=images, validation=validation, test=images)
    (outcome,) = train_pack([free], parts, initialize=initialize)
    return outcome.history


def _first_perfect(history: Sequence[EpochRecord]) -> int | None:
    return next((each.epoch for each in history if each.running_accuracy == 1.0), None)


def _validation(history: Sequence[EpochRecord]) -> tuple[str, dict[str, float]]:
    """Describe the validation accuracy and loss; nothing where there is no validation."""
    losses = [each.validation_loss for each in history if each.validation_loss is not None]
    accuracy = history[-1].validation_accuracy
    if accuracy is None or not losses:
        return "", {}
    lowest, last = min(losses), losses[-1]
    rose = last > _RISE * lowest
    loss = (
        f"the validation loss rises from {lowest:.3g} to {last:.3g}, which is expected"
        if rose
        else f"the validation loss stays near its lowest, {lowest:.3g}"
    )
    numbers = {
        "validation_accuracy": accuracy,
        "lowest_validation_loss": lowest,
        "last_validation_loss": last,
    }
    return f"validation accuracy is {100 * accuracy:.1f} %, and {loss}", numbers
