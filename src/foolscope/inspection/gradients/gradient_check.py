"""Gradient checks: automatic differentiation against hand-derived gradients and central differences."""

from collections.abc import Callable, Sequence

from torch import nn

from foolscope.core.errors import RecipeError
from foolscope.data.dataset import Dataset
from foolscope.inspection.check import BY_DIFFERENCES, BY_HAND, Check, TensorError
from foolscope.inspection.gradients.derived_gradients import Derived
from foolscope.inspection.gradients.differences import Differences
from foolscope.inspection.gradients.gradient_errors import (
    GOALS,
    distance,
    negligible,
    tensors_of,
)
from foolscope.inspection.gradients.mirroring import described, mirrored_loss
from foolscope.inspection.gradients.objective import Objective
from foolscope.learning import TrainableTrial
from foolscope.reference import reference_network

__all__ = ["gradients_by_differences", "gradients_by_hand"]


def gradients_by_hand(model: nn.Module, trial: TrainableTrial, dataset: Dataset) -> Check:
    """Compare automatic with hand-derived gradients, for every parameter and the images.

    In float64 and training mode, on 8 training images, with the trial's loss and penalties. The relative
    error of a tensor is the largest difference divided by the tensor's largest gradient, or by a thousandth
    of the largest gradient of all tensors if that is more. Where gradients disagree, layers are compared from
    the last to the first: the first one that disagrees got correct gradients, so it is at fault. The check is
    skipped where the model has dropout or a layer without a hand-derived backward pass.
    """
    try:
        network = reference_network(described(model, training=True))
        loss = mirrored_loss(trial.loss)
    except RecipeError as error:
        return Check(check=BY_HAND, passed=True, sentence=f"Skipped: {error}.", numbers={}, left_out=True)
    objective = Objective(model, trial, dataset)
    automatic = objective.automatic([name for name, _ in network.layers])
    derived = Derived.of(network, loss, objective, trial.regularization)
    floor = negligible(objective, automatic)
    errors = [
        TensorError(
            tensor=name,
            error=distance(derived.total(name), automatic.total(name), floor),
            coordinates=automatic.values[name].numel(),
        )
        for name in tensors_of(objective)
    ]
    return _verdict(
        BY_HAND,
        errors,
        len(objective.images),
        "Hand-derived and automatic gradients",
        lambda: derived.culprit(automatic, floor),
    )


def gradients_by_differences(model: nn.Module, trial: TrainableTrial, dataset: Dataset) -> Check:
    """Compare automatic gradients with central differences, at random entries of each parameter and image.

    20 entries of each tensor, or fewer where there are more than ten tensors (200 in all, but at least 5
    each), and the one with the largest gradient. The loss is that of :func:`gradients_by_hand`. An entry x is
    moved by ±h max(1, |x|), h = ∛ε; where that changes the sign of a ReLU's input, the argument of a maximum
    or the like, the loss is not differentiable within the step: the entry is skipped and another one taken.
    Errors are relative to the largest gradient of the tensor, or to the resolution of the differences if that
    is more: rounding is about ε / h.
    """
    differences = Differences.of(Objective(model, trial, dataset), trial.seed)
    errors = [differences.error(name) for name in tensors_of(differences.objective)]
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
    """Report the largest error, and the layer at fault if it is too large."""
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
    compared = f"{coordinates:,} entries of {len(errors)} tensors"
    skipped = f"; {kinks} more skipped because ReLU, max or the like switches there" if kinks else ""
    sentence = (
        f"{what} agree to {_scientific(worst.error)} (worst in {worst.tensor}), over {compared}{skipped}."
        if passed
        else f"{what} differ by {_scientific(worst.error)} in {worst.tensor}, more than "
        f"{_scientific(GOALS[name])}; from the end, the first to disagree is {culprit()}."
    )
    return Check(check=name, passed=passed, sentence=sentence, numbers=numbers, tensors=list(errors))


def _scientific(value: float) -> str:
    return f"{value:.1e}".replace("-", "\N{MINUS SIGN}")
