"""The relative error between gradients, and the largest that passes."""

import math
from collections.abc import Mapping

import numpy as np
from torch import Tensor

from foolscope.inspection.check import BY_DIFFERENCES, BY_HAND
from foolscope.inspection.gradients.objective import IMAGES, Automatic, Objective
from foolscope.reference.layer import Array

__all__ = [
    "GOALS",
    "NOTHING_IN_COMMON",
    "THE_LOSS",
    "THE_PENALTIES",
    "distance",
    "negligible",
    "tensors_of",
]

GOALS: Mapping[str, float] = {BY_HAND: 1e-12, BY_DIFFERENCES: 1e-7}
"""The largest relative error that passes, in float64."""

NOTHING_IN_COMMON = 2.0
"""The largest possible relative error, and the one reported where an entry is not finite."""

THE_LOSS = "the loss"
THE_PENALTIES = "the penalties"

_NEGLIGIBLE = 1e-3  # of the largest gradient of all


def tensors_of(objective: Objective) -> list[str]:
    """Return the names of the compared tensors: the images, then the parameters in forward order."""
    return [IMAGES, *objective.parameters]


def negligible(objective: Objective, automatic: Automatic) -> float:
    """Return a thousandth of the largest gradient entry, the least scale of a relative error."""
    sizes = [float(automatic.total(name).abs().max()) for name in tensors_of(objective)]
    return _NEGLIGIBLE * max((size for size in sizes if math.isfinite(size)), default=0.0)


def distance(first: Array | Tensor, second: Array | Tensor, floor: float = 0.0) -> float:
    """Return max|a − b| / max(max|a|, max|b|, floor), or 2 where an entry is not finite."""
    one, other = np.asarray(first), np.asarray(second)
    if one.shape != other.shape or not (np.isfinite(one).all() and np.isfinite(other).all()):
        return NOTHING_IN_COMMON
    scale = max(float(np.abs(one).max(initial=0.0)), float(np.abs(other).max(initial=0.0)), floor)
    return float(np.abs(one - other).max(initial=0.0)) / scale if scale else 0.0
