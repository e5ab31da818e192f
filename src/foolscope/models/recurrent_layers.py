"""Layers of recurrent networks over images: rows as time steps, RNN, LSTM, and the last step.

The recurrent layers keep the state of every time step as a tensor of its own, so that a loss can be
differentiated with respect to it: ``nn.RNN`` and ``nn.LSTM`` return copies, and have no linear recurrence.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Activation", "LSTMLayer", "LastStep", "RNNLayer", "Rows", "State", "joined"]

Activation = Literal["tanh", "relu", "linear"]

_Steps = Float[Tensor, "batch time features"]
_Hidden = Float[Tensor, "batch time hidden"]

_ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "linear": lambda sums: sums,
}


class State(NamedTuple):
    """The state of a recurrent layer after a time step.

    Args:
        hidden: h_t, (batch, hidden).
        cell: c_t of an LSTM, (batch, hidden); ``None`` for an RNN.
    """

    hidden: Tensor
    cell: Tensor | None = None


class Rows(nn.Module):
    """Images as sequences, from top to bottom: step t is row t of all channels."""

    def forward(self, images: Float[Tensor, "batch channel height width"]) -> _Steps:
        """Return (batch, height, channel · width)."""
        return images.transpose(1, 2).flatten(2)


class LastStep(nn.Module):
    """Selects the last hidden state of a sequence."""

    def forward(self, hidden: _Hidden) -> Float[Tensor, "batch hidden"]:
        """Return h_T."""
        return hidden[:, -1]


class RNNLayer(nn.Module):
    """The vanilla recurrent layer: h_t = φ(W_ih x_t + b_ih + W_hh h_t−1), h_0 = 0; outputs are h_1 to h_T.

    Parameters have the names of ``nn.RNN``, which has a second bias that adds nothing.

    Args:
        features: numbers in x_t.
        hidden: numbers in h_t.
        activation: φ.
        spectral_norm: ‖W_hh‖ at initialization.

    References:
        Elman 1990, *Finding structure in time*; its gradient: Pascanu et al. 2013, arXiv:1211.5063,
        section 2.
    """

    def __init__(self, features: int, hidden: int, activation: Activation, spectral_norm: float) -> None:
        super().__init__()
        self.activation = activation
        self.spectral_norm = spectral_norm
        self.weight_ih_l0 = nn.Parameter(torch.zeros(hidden, features))
        self.weight_hh_l0 = nn.Parameter(torch.zeros(hidden, hidden))
        self.bias_ih_l0 = nn.Parameter(torch.zeros(hidden))

    def forward(self, steps: _Steps) -> _Hidden:
        """Return h_1 to h_T."""
        return joined(self.unrolled(steps))

    def unrolled(self, steps: _Steps) -> list[State]:
        """Return the states after step 1 to T; each is computed from the one before."""
        activate = _ACTIVATIONS[self.activation]
        hidden = steps.new_zeros(len(steps), len(self.weight_hh_l0))
        states = []
        for from_input in _from_inputs(steps, self.weight_ih_l0, self.bias_ih_l0):
            hidden = activate(torch.addmm(from_input, hidden, self.weight_hh_l0.T))
            states.append(State(hidden))
        return states


class LSTMLayer(nn.Module):
    """Long short-term memory: c_t = f_t c_t−1 + i_t g_t, h_t = o_t tanh c_t; outputs are h_1 to h_T.

    Gates are i, f, o = σ(a_i), σ(a_f), σ(a_o), the candidate is g = tanh(a_g), and the sums are
    (a_i, a_f, a_g, a_o)_t = W_ih x_t + b_ih + W_hh h_t−1, with h_0 = c_0 = 0. Parameters have the names and
    the layout of ``nn.LSTM``, which has a second bias that adds nothing.

    Args:
        features: numbers in x_t.
        hidden: numbers in h_t and in c_t.
        forget_bias: b_f at initialization.

    References:
        Hochreiter and Schmidhuber 1997, *Long short-term memory*; forget gate and its bias: Gers et al. 2000,
        *Learning to forget*.
    """

    def __init__(self, features: int, hidden: int, forget_bias: float) -> None:
        super().__init__()
        self.forget_bias = forget_bias
        self.weight_ih_l0 = nn.Parameter(torch.zeros(4 * hidden, features))
        self.weight_hh_l0 = nn.Parameter(torch.zeros(4 * hidden, hidden))
        self.bias_ih_l0 = nn.Parameter(torch.zeros(4 * hidden))

    def forward(self, steps: _Steps) -> _Hidden:
        """Return h_1 to h_T."""
        return joined(self.unrolled(steps))

    def unrolled(self, steps: _Steps) -> list[State]:
        """Return the states after step 1 to T; each is computed from the one before."""
        hidden = cell = steps.new_zeros(len(steps), self.weight_hh_l0.shape[1])
        states = []
        for from_input in _from_inputs(steps, self.weight_ih_l0, self.bias_ih_l0):
            sums = torch.addmm(from_input, hidden, self.weight_hh_l0.T)
            keep_in, forget, candidate, let_out = sums.chunk(4, dim=1)
            cell = torch.sigmoid(forget) * cell + torch.sigmoid(keep_in) * torch.tanh(candidate)
            hidden = torch.sigmoid(let_out) * torch.tanh(cell)
            states.append(State(hidden, cell))
        return states


def _from_inputs(steps: _Steps, weight: Tensor, bias: Tensor) -> tuple[Tensor, ...]:
    """Return W_ih x_t + b_ih of every step, computed in one product because no step depends on another."""
    return functional.linear(steps.transpose(0, 1), weight, bias).unbind(dim=0)


def joined(states: list[State]) -> _Hidden:
    """Stack the hidden states of all steps along the time axis."""
    return torch.stack([state.hidden for state in states], dim=1)
