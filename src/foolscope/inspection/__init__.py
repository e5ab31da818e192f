"""Layer 3: looking into a model: sanity checks, the learning-rate range test, worst-classified images.

Adding a check is one file here (a function from trial and data set to :class:`Check`), one line in
:data:`CHECKS` and one test file: studies and ``foolscope check`` run all of the table.
"""

from collections.abc import Callable

from foolscope.data.dataset import Dataset
from foolscope.inspection.check import Check
from foolscope.inspection.initial_loss import initial_loss
from foolscope.inspection.learning_rate_range import LearningRateRange, learning_rate_range
from foolscope.inspection.overfitting import overfit_one_batch, overfits_small_subset
from foolscope.inspection.worst import WorstImages, worst_classified
from foolscope.learning import TrainableTrial

__all__ = [
    "CHECKS",
    "Check",
    "LearningRateRange",
    "WorstImages",
    "initial_loss",
    "learning_rate_range",
    "overfit_one_batch",
    "overfits_small_subset",
    "worst_classified",
]

CHECKS: dict[str, Callable[[TrainableTrial, Dataset], Check]] = {
    "loss at initialization": initial_loss,
    "overfits one batch": overfit_one_batch,
    "overfits a small subset": overfits_small_subset,
}
