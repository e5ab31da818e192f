"""Gradient flow through time: the gradient's norm at every time step of a recurrent model."""

import copy
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from pydantic import Field
from torch import Tensor, nn

from foolscope.core.errors import RecipeError
from foolscope.core.settings import FiniteFloat, Settings
from foolscope.inspection.gradients.layer_flow import mean_norms
from foolscope.learning.losses import PackLoss, cross_entropy
from foolscope.models.recurrent_layers import LSTMLayer, RNNLayer, State, joined

__all__ = ["FlowThroughTime", "TimeFlow", "flow_through_time"]


class TimeFlow(Settings):
    """The loss's gradient with respect to the states of a recurrent layer; null is what is not finite."""

    hidden: list[FiniteFloat] = Field(description="norm at every time step")
    cell: list[FiniteFloat] | None = Field(description="of an LSTM")
    spectral_norm: FiniteFloat = Field(description="of the recurrent matrix")


_Images = Float[Tensor, "batch channel height width"]
_Labels = Int64[Tensor, " batch"]


@dataclass(frozen=True)
class FlowThroughTime:
    """Norms of the loss's gradient with respect to the states of a recurrent layer, means over images.

    Args:
        hidden: ‖∂L/∂h_t‖ for t from 1 to T, along all paths from h_t to the loss.
        cell: ‖∂L/∂c_t‖ of an LSTM; ``None`` for an RNN.
        spectral_norm: ‖w‖ of the recurrent matrix; NaN if it is not finite.
        parameter_norm: ‖∂L/∂θ‖ over all parameters of the model, for the mean loss of the images, which
            clipping by norm bounds.
        loss: that mean loss.
    """

    hidden: Float64[np.ndarray, " time"]
    cell: Float64[np.ndarray, " time"] | None
    spectral_norm: float
    parameter_norm: float
    loss: float

    @property
    def bound(self) -> Float64[np.ndarray, " time"] | None:
        """‖w‖^(T−t) ‖∂L/∂h_T‖, which ``hidden`` cannot exceed; ``None`` for an LSTM, which has none.

        It holds for activations of slope at most 1 and a loss that sees only h_T; from the first step it is
        ‖w‖^(T−1). A linear recurrence attains it if w is orthogonal up to a factor.
        """
        if self.cell is not None:
            return None
        with np.errstate(over="ignore"):
            factors = np.float64(self.spectral_norm) ** np.arange(len(self.hidden))[::-1]
            return np.asarray(self.hidden[-1] * factors)

    @property
    def memory(self) -> Float64[np.ndarray, " time"]:
        """The norms at the state that carries the memory: the cells of an LSTM, else the hidden state."""
        return self.hidden if self.cell is None else self.cell


def flow_through_time(
    model: nn.Module, images: _Images, labels: _Labels, *, loss: PackLoss = cross_entropy
) -> FlowThroughTime:
    """Differentiate the loss with respect to every hidden state of one of our recurrent models.

    In evaluation mode and in float64, where ‖w‖^(T−1) neither underflows nor overflows at the time steps of
    images. The model is not changed. There is at least one image, in [0, 1].

    Raises:
        RecipeError: the model does not have one recurrent layer.

    Example:
        >>> from foolscope.models import RNN, build_model
        >>> settings = RNN(hidden=8, activation="linear", spectral_norm=0.5, normalization="none")
        >>> flow = flow_through_time(
        ...     build_model(settings, (1, 4, 4), 2, seed=0), torch.ones(3, 1, 4, 4), torch.zeros(3).long()
        ... )
        >>> (flow.hidden / flow.hidden[-1]).round(4)
        array([0.125, 0.25 , 0.5  , 1.   ])

    References:
        Pascanu et al. 2013, *On the difficulty of training recurrent neural networks*, arXiv:1211.5063,
        section 2.
    """
    twin = copy.deepcopy(model).double().eval()
    layers = [layer for layer in twin.modules() if isinstance(layer, RNNLayer | LSTMLayer)]
    if len(layers) != 1:
        raise RecipeError(
            "gradient flow through time needs a model with one recurrent layer, such as rnn or lstm; got one "
            f"with {len(layers)}"
        )
    states: list[State] = []

    def keep_states(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
        assert isinstance(layer, RNNLayer | LSTMLayer)
        states.extend(layer.unrolled(*inputs))
        return joined(states)

    layers[0].register_forward_hook(keep_states)
    losses = loss(twin(images.double())[None], labels[None], None)[0]
    hidden = [state.hidden for state in states]
    cells = [state.cell for state in states if state.cell is not None]
    parameters = list(twin.parameters())
    gradients = torch.autograd.grad(losses.sum(), [*hidden, *cells, *parameters], materialize_grads=True)
    by_state, by_parameter = gradients[: -len(parameters)], gradients[-len(parameters) :]
    norms = mean_norms(by_state)
    return FlowThroughTime(
        hidden=norms[: len(hidden)],
        cell=norms[len(hidden) :] if cells else None,
        spectral_norm=_spectral_norm(layers[0].weight_hh_l0.detach()),
        parameter_norm=float(torch.cat([each.flatten() for each in by_parameter]).norm()) / len(images),
        loss=float(losses.detach().mean()),
    )


def _spectral_norm(matrix: Float64[Tensor, "rows columns"]) -> float:
    return float(torch.linalg.matrix_norm(matrix, ord=2)) if matrix.isfinite().all() else float("nan")
