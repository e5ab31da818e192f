"""The confusion matrix of a model."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Int64
from pydantic import Field

from foolscope.core.settings import Settings, finite_or_none
from foolscope.statistics.classification import auc_by_class, confusion_matrix

__all__ = ["Confusion", "confusion"]


class Confusion(Settings):
    """How many images of each class are predicted as each class."""

    classes: list[str]
    counts: list[list[int]] = Field(description="true class, predicted class")
    auc: list[float | None] = Field(
        default_factory=list, description="area under the ROC curve of each class against the rest"
    )


def confusion(
    log_probabilities: Float64[np.ndarray, "image class"],
    labels: Int64[np.ndarray, " image"],
    classes: Sequence[str],
) -> Confusion:
    """Count the images by true and predicted class, and measure how well probabilities rank each class.

    Example:
        >>> log_probabilities = np.log([[0.8, 0.2], [0.4, 0.6], [0.3, 0.7]])
        >>> found = confusion(log_probabilities, np.array([0, 0, 1]), ["cat", "dog"])
        >>> found.counts, found.auc
        ([[1, 1], [0, 1]], [1.0, 1.0])
    """
    counts = confusion_matrix(labels, log_probabilities.argmax(axis=1), len(classes))
    areas = auc_by_class(log_probabilities, labels).tolist()
    return Confusion(classes=list(classes), counts=counts.tolist(), auc=list(map(finite_or_none, areas)))
