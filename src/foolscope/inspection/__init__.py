"""Layer 3: looking into a model: sanity checks, the learning-rate range test, worst-classified images.

Adding a check is one file here (a function from trial and data set to :class:`Check`), one line in
:data:`CHECKS` and one test file: studies and ``foolscope check`` run all of the table. A check of the
derivatives of a model with its weights has its line in :data:`GRADIENT_CHECKS`.
"""

from collections.abc import Callable

from torch import nn

from foolscope.data.dataset import Dataset
from foolscope.inspection.check import Check, TensorError
from foolscope.inspection.gradient_check import gradients_by_differences, gradients_by_hand
from foolscope.inspection.gradient_errors import BY_DIFFERENCES, BY_HAND
from foolscope.inspection.gradient_flow import FlowThroughTime, flow_through_time
from foolscope.inspection.initial_loss import initial_loss, initial_model
from foolscope.inspection.layer_flow import FlowByLayer, flow_by_layer
from foolscope.inspection.learning_rate_range import LearningRateRange, learning_rate_range
from foolscope.inspection.overfitting import overfit_one_batch, overfits_small_subset
from foolscope.inspection.recurrent_gradients import (
    RECURRENT_SETTINGS,
    GradientHistory,
    recurrent_gradients,
)
from foolscope.inspection.worst import WorstImages, worst_classified
from foolscope.learning import TrainableTrial

__all__ = [
    "BY_DIFFERENCES",
    "BY_HAND",
    "CHECKS",
    "GRADIENT_CHECKS",
    "RECURRENT_SETTINGS",
    "Check",
    "FlowByLayer",
    "FlowThroughTime",
    "GradientHistory",
    "LearningRateRange",
    "TensorError",
    "WorstImages",
    "flow_by_layer",
    "flow_through_time",
    "gradients_by_differences",
    "gradients_by_hand",
    "initial_loss",
    "initial_model",
    "learning_rate_range",
    "overfit_one_batch",
    "overfits_small_subset",
    "recurrent_gradients",
    "worst_classified",
]

CHECKS: dict[str, Callable[[TrainableTrial, Dataset], Check]] = {
    "loss at initialization": initial_loss,
    "overfits one batch": overfit_one_batch,
    "overfits a small subset": overfits_small_subset,
}

GRADIENT_CHECKS: dict[str, Callable[[nn.Module, TrainableTrial, Dataset], Check]] = {
    BY_HAND: gradients_by_hand,
    BY_DIFFERENCES: gradients_by_differences,
}
