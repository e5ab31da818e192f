"""Gradient checks: automatic differentiation against derivations by hand, and against central differences."""

from collections.abc import Callable, Sequence

from torch import nn

from foolscope.core.errors import RecipeError
from foolscope.data.dataset import Dataset
from foolscope.inspection.check import Check, TensorError
from foolscope.inspection.derived_gradients import Derived
from foolscope.inspection.differences import Differences
from foolscope.inspection.gradient_errors import (
    BY_DIFFERENCES,
    BY_HAND,
    GOALS,
    distance,
    negligible,
    tensors_of,
)
from foolscope.inspection.mirroring import described, mirrored_loss
from foolscope.inspection.objective import Objective
from foolscope.learning import TrainableTrial
from foolscope.reference import reference_network

__all__ = ["gradients_by_differences", "gradients_by_hand"]


def gradients_by_hand(model: nn.Module, trial: TrainableTrial, dataset: Dataset) -> Check:
    """Compare automatic gradients with those of layers derived by hand, for every parameter and the images.

    In float64 and training mode, on 8 training images, with the trial's loss and penalties. The relative
    error of a tensor is the largest difference in units of its largest number, or of a thousandth of the
    largest gradient of all if that is more. Where they disagree, layers are compared from the last to the
    first: what comes to the first that disagrees is right, so it is at fault.

    Args:
        model: with the weights to check; it is not changed.
        trial: its loss, penalties and seed are used.
        dataset: the images are drawn from its training set by the trial's seed.

    Returns:
        The check; left out where the model has a layer that has not been derived, or dropout that acts.
    """
    try:
        network = reference_network(described(model, training=True))
        loss = mirrored_loss(trial.loss)
    except RecipeError as error:
        return Check(BY_HAND, True, f"Left out: {error}.", {}, left_out=True)
    objective = Objective(model, trial, dataset)
    automatic = objective.automatic([name for name, _ in network.layers])
    derived = Derived.of(network, loss, objective, trial.regularization)
    floor = negligible(objective, automatic)
    errors = tuple(
        TensorError(
            name, distance(derived.total(name), automatic.total(name), floor), automatic.values[name].numel()
        )
        for name in tensors_of(objective)
    )
    return _verdict(
        BY_HAND,
        errors,
        len(objective.images),
        "Hand-derived and automatic gradients",
        lambda: derived.culprit(automatic, floor),
    )


def gradients_by_differences(model: nn.Module, trial: TrainableTrial, dataset: Dataset) -> Check:
    """Compare automatic gradients with central differences, at random numbers of each parameter and image.

    At 20 numbers of each tensor, or fewer where there are more than ten tensors (200 in all, but at least 5
    each), and at that of the tensor's largest gradient. The loss is that of :func:`gradients_by_hand`. A
    number x is moved by ±h max(1, |x|), h = ∛ε; where that changes the sign of what goes into a rectifier,
    the place of a maximum or the like, there is a kink within the step, and another number is taken. Errors
    are relative to the largest gradient of the tensor, and at least to what differences can tell apart:
    rounding is about ε / h.

    Args:
        model: with the weights to check; it is not changed.
        trial: its loss, penalties and seed are used.
        dataset: the images are drawn from its training set by the trial's seed.
    """
    differences = Differences.of(Objective(model, trial, dataset), trial.seed)
    errors = tuple(differences.error(name) for name in tensors_of(differences.objective))
    return _verdict(
        BY_DIFFERENCES,
        errors,
        len(differences.objective.images),
        "Automatic gradients and central differences",
        differences.culprit,
    )


def _verdict(
    name: str, errors: Sequence[TensorError], images: int, what: str, culprit: Callable[[], str]
) -> Check:
    """Say how far apart gradients are, where most, and which layer is at fault if it is too far."""
    worst = max(errors, key=lambda each: each.error)
    coordinates, kinks = sum(each.coordinates for each in errors), sum(each.kinks for each in errors)
    numbers = {
        "error": worst.error,
        "goal": GOALS[name],
        "coordinates": float(coordinates),
        "kinks": float(kinks),
        "images": float(images),
    }
    passed = worst.error <= GOALS[name]
    of = f"{coordinates:,} numbers of {len(errors)} tensors"
    left_out = f"; {kinks} more are at kinks" if kinks else ""
    sentence = (
        f"{what} agree to {_scientific(worst.error)} ({worst.tensor} is worst), {of}{left_out}."
        if passed
        else f"{what} differ by {_scientific(worst.error)} in {worst.tensor}, more than "
        f"{_scientific(GOALS[name])}; the first to disagree, from the end, is {culprit()}."
    )
    return Check(name, passed, sentence, numbers, tuple(errors))


def _scientific(value: float) -> str:
    return f"{value:.1e}".replace("-", "\N{MINUS SIGN}")
