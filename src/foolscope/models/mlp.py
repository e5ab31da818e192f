"""The multilayer perceptron: any depth, any widths, a choice of activation, dropout."""

import itertools
import math
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from torch import nn

from foolscope.models.layers import Dropout
from foolscope.models.settings import ImageShape, ModelSettings

__all__ = ["MLP", "build_mlp"]

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
}


def _as_widths(value: object) -> object:
    """Let ``hidden = 100`` mean one hidden layer of 100 units."""
    return (value,) if type(value) is int else value


class MLP(ModelSettings):
    """Affine layers with an activation between them."""

    name: Literal["mlp"] = "mlp"
    hidden: Annotated[tuple[Annotated[int, Field(ge=1)], ...], BeforeValidator(_as_widths)] = Field(
        (100,), description="units of each hidden layer, such as 100 or [200, 100]"
    )
    activation: Literal["relu", "tanh", "sigmoid", "gelu"] = Field(
        "relu", description="activation after each hidden layer"
    )
    dropout: float = Field(0.0, ge=0.0, lt=1.0, description="dropout rate after each hidden layer")


def build_mlp(settings: MLP, image_shape: ImageShape, classes: int) -> nn.Module:
    """Return the perceptron over the flattened image."""
    layers: list[nn.Module] = [nn.Flatten()]
    widths = (math.prod(image_shape), *settings.hidden)
    for inputs, outputs in itertools.pairwise(widths):
        layers += [nn.Linear(inputs, outputs), _ACTIVATIONS[settings.activation](), Dropout(settings.dropout)]
    layers.append(nn.Linear(widths[-1], classes))
    return nn.Sequential(*layers)
