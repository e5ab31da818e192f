"""Layer 3: looking at trained models: sanity checks and worst-classified images."""

from foolscope.inspection.checks import Check, initial_loss, overfit_one_batch
from foolscope.inspection.worst import WorstImages, worst_classified

__all__ = ["Check", "WorstImages", "initial_loss", "overfit_one_batch", "worst_classified"]
