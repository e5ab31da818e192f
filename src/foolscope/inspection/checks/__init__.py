"""Sanity checks of a recipe, and its range of learning rates."""

from collections.abc import Callable

from torch import nn

from foolscope.data.dataset import Dataset
from foolscope.inspection.check import BY_DIFFERENCES, BY_HAND, Check
from foolscope.inspection.checks.initial_loss import initial_loss
from foolscope.inspection.checks.overfitting import overfit_one_batch, overfits_small_subset
from foolscope.inspection.gradients.gradient_check import gradients_by_differences, gradients_by_hand
from foolscope.learning import TrainableTrial
from foolscope.learning.initial_models import Initialize

__all__ = ["CHECKS", "GRADIENT_CHECKS"]

CHECKS: dict[str, Callable[[TrainableTrial, Dataset, Initialize | None], Check]] = {
    "loss at initialization": initial_loss,
    "overfits one batch": overfit_one_batch,
    "overfits a small subset": overfits_small_subset,
}
"""Studies and ``foolscope check`` run all of this table."""

GRADIENT_CHECKS: dict[str, Callable[[nn.Module, TrainableTrial, Dataset], Check]] = {
    BY_HAND: gradients_by_hand,
    BY_DIFFERENCES: gradients_by_differences,
}
"""Checks of the derivatives of a model with given weights."""
