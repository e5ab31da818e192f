"""The confusion matrix of a model."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64
from pydantic import Field

from foolscope.core.settings import Settings

__all__ = ["Confusion", "confusion"]


class Confusion(Settings):
    """How many images of each class are predicted as each class."""

    classes: list[str]
    counts: list[list[int]] = Field(description="true class, predicted class")


def confusion(
    labels: Int64[np.ndarray, " image"], predictions: Int64[np.ndarray, " image"], classes: Sequence[str]
) -> Confusion:
    """Count the images by true and predicted class.

    Example:
        >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), ["cat", "dog"]).counts
        [[1, 1], [0, 1]]
    """
    size = len(classes)
    pairs = np.bincount(labels * size + predictions, minlength=size**2)
    return Confusion(classes=list(classes), counts=pairs.reshape(size, size).tolist())
