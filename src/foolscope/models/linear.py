"""One affine layer: softmax classifier and linear regression differ only in the loss that trains them."""

import math
from typing import Literal

from torch import nn

from foolscope.models.settings import ImageShape, ModelSettings

__all__ = ["LinearRegression", "Softmax", "build_linear"]


class Softmax(ModelSettings):
    """Multinomial logistic regression: logits = W x + b, trained with cross-entropy."""

    name: Literal["softmax"] = "softmax"


class LinearRegression(ModelSettings):
    """Least squares on one-hot labels: scores = W x + b, trained with squared error."""

    name: Literal["linear-regression"] = "linear-regression"


def build_linear(settings: Softmax | LinearRegression, image_shape: ImageShape, classes: int) -> nn.Module:
    """Return one affine layer over the flattened image."""
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(image_shape), classes))
