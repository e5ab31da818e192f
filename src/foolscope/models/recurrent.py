"""Recurrent networks that read an image row by row and classify it by their last hidden state."""

from typing import Literal

from pydantic import Field
from torch import nn

from foolscope.models.recurrent_layers import Activation, LastStep, LSTMLayer, RNNLayer, Rows
from foolscope.models.settings import ImageShape, ModelSettings

__all__ = ["LSTM", "RNN", "build_lstm", "build_rnn"]


class RNN(ModelSettings):
    """h_t = φ(W x_t + b + U h_t−1) for every row x_t of the image, logits = V h_T + c.

    U starts as a random orthogonal matrix times a factor, which is then its spectral norm: below 1 gradients
    with respect to early rows vanish, and above 1 those of a linear recurrence explode.
    """

    name: Literal["rnn"] = "rnn"
    hidden: int = Field(100, ge=1, description="units of the hidden state")
    activation: Activation = Field("tanh", description="activation of the recurrence")
    spectral_norm: float = Field(
        1.0, gt=0.0, description="spectral norm of the recurrent matrix at initialization"
    )


class LSTM(ModelSettings):
    """Long short-term memory over the rows of the image, logits = V h_T + c.

    The forget gate starts at σ(forget_bias): a gradient along the memory shrinks by that factor from row to
    row, 0.73 for a bias of 1 (Jozefowicz et al. 2015, *An empirical exploration of recurrent network
    architectures*, advise 1).
    """

    name: Literal["lstm"] = "lstm"
    hidden: int = Field(100, ge=1, description="units of the hidden state")
    forget_bias: float = Field(1.0, description="bias of the forget gate at initialization")


def build_rnn(settings: RNN, image_shape: ImageShape, classes: int) -> nn.Module:
    """Return the network; a row has channel · width numbers."""
    channel, _, width = image_shape
    layer = RNNLayer(channel * width, settings.hidden, settings.activation, settings.spectral_norm)
    return nn.Sequential(Rows(), layer, LastStep(), nn.Linear(settings.hidden, classes))


def build_lstm(settings: LSTM, image_shape: ImageShape, classes: int) -> nn.Module:
    """Return the network; a row has channel · width numbers."""
    channel, _, width = image_shape
    layer = LSTMLayer(channel * width, settings.hidden, settings.forget_bias)
    return nn.Sequential(Rows(), layer, LastStep(), nn.Linear(settings.hidden, classes))
