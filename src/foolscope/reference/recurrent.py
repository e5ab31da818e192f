"""Recurrent layers, with backpropagation through all of time."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from foolscope.reference.activations import logistic
from foolscope.reference.layer import Array, Parameters

__all__ = ["LSTM", "RNN"]

_Steps = Float[np.ndarray, "batch time features"]
_Hidden = Float[np.ndarray, "batch time hidden"]
_Gates = Float[np.ndarray, "time batch gates"]
_States = Float[np.ndarray, "states batch hidden"]

_ACTIVATIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "tanh": (np.tanh, lambda outputs: 1 - outputs * outputs),
    "relu": (lambda inputs: np.maximum(inputs, 0), lambda outputs: (outputs > 0).astype(outputs.dtype)),
    "linear": (lambda inputs: inputs, np.ones_like),
}
"""Each activation with its slope, as a function of its output."""


def _from_inputs(parameters: Parameters, inputs: _Steps) -> _Gates:
    """Return W_ih x_t + b_ih + b_hh of all steps at once: no step depends on another."""
    steps = np.ascontiguousarray(inputs.transpose(1, 0, 2))
    sums = steps @ parameters["weight_ih_l0"].T
    for bias in ("bias_ih_l0", "bias_hh_l0"):
        if bias in parameters:
            sums += parameters[bias]
    return sums


def _affine_gradients(
    parameters: Parameters, inputs: _Steps, before: _States, by_sums: _Gates
) -> tuple[_Steps, dict[str, Array]]:
    """Return input and parameter gradients from those of the sums a_t = W_ih x_t + W_hh h_t−1 + b.

    It is the affine layer's backward pass, summed over steps, for all steps share the parameters.
    """
    time, batch, gates = by_sums.shape
    sums, steps = by_sums.reshape(time * batch, gates), inputs.transpose(1, 0, 2)
    gradients: dict[str, Array] = {
        "weight_ih_l0": sums.T @ steps.reshape(time * batch, steps.shape[2]),
        "weight_hh_l0": sums.T @ before.reshape(time * batch, before.shape[2]),
    }
    gradients |= {name: sums.sum(axis=0) for name in ("bias_ih_l0", "bias_hh_l0") if name in parameters}
    return (by_sums @ parameters["weight_ih_l0"]).transpose(1, 0, 2), gradients


@dataclass(frozen=True)
class _RNNCache:
    inputs: _Steps
    hidden: _States


@dataclass(frozen=True)
class RNN:
    """The vanilla recurrent layer: h_t = φ(a_t), a_t = W_ih x_t + b_ih + W_hh h_t−1 + b_hh, h_0 = 0.

    Outputs are h_1 to h_T. Parameters are ``weight_ih_l0``, ``weight_hh_l0``, ``bias_ih_l0`` and
    ``bias_hh_l0`` of a one-layer :class:`torch.nn.RNN` with the batch first; the biases may be absent.

    Derivation. Let D_t = ∂L/∂h_t count every path from h_t to the loss, and E_t = ∂L/∂a_t:

    * h_t is an output, and an input of step t + 1: D_t = G_t + W_hhᵀ E_t+1, with E_T+1 = 0;
    * φ works on each number: E_t = D_t · φ'(a_t), and φ' is 1 − h² for tanh, [h > 0] for relu, 1 for linear;
    * ∂L/∂x_t = W_ihᵀ E_t;
    * all steps share the parameters, so their gradients add up: ∂L/∂W_ih = Σ_t E_t x_tᵀ,
      ∂L/∂W_hh = Σ_t E_t h_t−1ᵀ, ∂L/∂b_ih = ∂L/∂b_hh = Σ_t E_t; each summed over images too.

    Written out, D_1 holds a product of T − 1 factors W_hhᵀ diag(φ'): at most ‖W_hh‖^(T−1) of G_T is left.

    Args:
        activation: φ.

    Example:
        >>> one = np.ones((1, 1))
        >>> layer, parameters = RNN("linear"), {"weight_ih_l0": one, "weight_hh_l0": 0.5 * one}
        >>> outputs, cache = layer.forward(parameters, np.ones((1, 3, 1)))
        >>> outputs.ravel()
        array([1.  , 1.5 , 1.75])
        >>> layer.hidden_gradients(parameters, cache, np.array([[[0.0], [0.0], [1.0]]])).ravel()
        array([0.25, 0.5 , 1.  ])

    References:
        Pascanu et al. 2013, arXiv:1211.5063, section 2.
    """

    activation: Literal["tanh", "relu", "linear"] = "tanh"

    def forward(self, parameters: Parameters, inputs: _Steps) -> tuple[_Hidden, _RNNCache]:
        """Return h_1 to h_T; remembered are x, and h from step 0 on."""
        activate, _ = _ACTIVATIONS[self.activation]
        recurrent = parameters["weight_hh_l0"].T
        sums = _from_inputs(parameters, inputs)
        hidden = np.zeros((len(sums) + 1, len(inputs), len(recurrent)), inputs.dtype)
        for step, from_input in enumerate(sums):
            hidden[step + 1] = activate(from_input + hidden[step] @ recurrent)
        return hidden[1:].transpose(1, 0, 2), _RNNCache(inputs, hidden)

    def backward(
        self, parameters: Parameters, cache: _RNNCache, output_gradient: _Hidden
    ) -> tuple[_Steps, dict[str, Array]]:
        """Return W_ihᵀ E_t; the sums over t."""
        _, by_sums = self._through_time(parameters, cache, output_gradient)
        return _affine_gradients(parameters, cache.inputs, cache.hidden[:-1], by_sums)

    def hidden_gradients(self, parameters: Parameters, cache: _RNNCache, output_gradient: _Hidden) -> _Hidden:
        """Return D_t of every step: how the loss depends on each hidden state."""
        return self._through_time(parameters, cache, output_gradient)[0].transpose(1, 0, 2)

    def _through_time(
        self, parameters: Parameters, cache: _RNNCache, output_gradient: _Hidden
    ) -> tuple[_States, _Gates]:
        _, slope = _ACTIVATIONS[self.activation]
        by_hidden = output_gradient.transpose(1, 0, 2).copy()
        by_sums = slope(cache.hidden[1:])
        for step in reversed(range(len(by_hidden))):
            if step + 1 < len(by_hidden):
                by_hidden[step] += by_sums[step + 1] @ parameters["weight_hh_l0"]
            by_sums[step] *= by_hidden[step]
        return by_hidden, by_sums


@dataclass(frozen=True)
class _LSTMCache:
    inputs: _Steps
    hidden: _States
    cells: _States
    gates: Float[np.ndarray, "time batch 4 hidden"]


@dataclass(frozen=True)
class LSTM:
    """Long short-term memory: c_t = f_t c_t−1 + i_t g_t, h_t = o_t tanh c_t, h_0 = c_0 = 0.

    Gates are i, f, o = σ(a_i), σ(a_f), σ(a_o), the candidate is g = tanh(a_g), and the sums are
    a_t = (a_i, a_f, a_g, a_o)_t = W_ih x_t + b_ih + W_hh h_t−1 + b_hh. Outputs are h_1 to h_T. Parameters are
    ``weight_ih_l0``, ``weight_hh_l0``, ``bias_ih_l0`` and ``bias_hh_l0`` of a one-layer
    :class:`torch.nn.LSTM` with the batch first; the biases may be absent.

    Derivation. Let D_t = ∂L/∂h_t, C_t = ∂L/∂c_t and E_t = ∂L/∂a_t, each along all paths to the loss:

    * h_t is an output, and an input of the sums of step t + 1: D_t = G_t + W_hhᵀ E_t+1;
    * c_t goes into h_t, and into c_t+1: C_t = D_t o_t (1 − tanh² c_t) + f_t+1 C_t+1;
    * h_t = o_t tanh c_t gives ∂L/∂o_t = D_t tanh c_t;
    * c_t = f_t c_t−1 + i_t g_t gives ∂L/∂f_t = C_t c_t−1, ∂L/∂i_t = C_t g_t and ∂L/∂g_t = C_t i_t;
    * σ' = σ (1 − σ) and tanh' = 1 − tanh² make E_t of these: E_i = ∂L/∂i · i (1 − i),
      E_f = ∂L/∂f · f (1 − f), E_g = ∂L/∂g · (1 − g²), E_o = ∂L/∂o · o (1 − o);
    * from E_t on it is :class:`RNN`: ∂L/∂x_t = W_ihᵀ E_t, ∂L/∂W_ih = Σ_t E_t x_tᵀ, ∂L/∂W_hh = Σ_t E_t h_t−1ᵀ,
      ∂L/∂b = Σ_t E_t.

    Along the cells the factor from step to step is f_t, not a matrix: while it is near 1 nothing vanishes.

    Example:
        >>> parameters = {"weight_ih_l0": np.ones((4, 1)), "weight_hh_l0": np.ones((4, 1))}
        >>> LSTM().forward(parameters, np.zeros((1, 2, 1)))[0].ravel()
        array([0., 0.])

    References:
        Hochreiter and Schmidhuber 1997, *Long short-term memory*; forget gate: Gers et al. 2000, *Learning to
        forget*.
    """

    def forward(self, parameters: Parameters, inputs: _Steps) -> tuple[_Hidden, _LSTMCache]:
        """Return h_1 to h_T; remembered are x, the gates, and h and c from step 0 on."""
        recurrent = parameters["weight_hh_l0"].T
        sums = _from_inputs(parameters, inputs)
        batch, units = len(inputs), len(recurrent)
        hidden = np.zeros((len(sums) + 1, batch, units), inputs.dtype)
        cells = np.zeros_like(hidden)
        gates = np.empty((len(sums), batch, 4, units), inputs.dtype)
        for step, from_input in enumerate(sums):
            total = (from_input + hidden[step] @ recurrent).reshape(batch, 4, units)
            gates[step] = logistic(total)
            gates[step, :, 2] = np.tanh(total[:, 2])
            keep_in, forget, candidate, let_out = gates[step].transpose(1, 0, 2)
            cells[step + 1] = forget * cells[step] + keep_in * candidate
            hidden[step + 1] = let_out * np.tanh(cells[step + 1])
        return hidden[1:].transpose(1, 0, 2), _LSTMCache(inputs, hidden, cells, gates)

    def backward(
        self, parameters: Parameters, cache: _LSTMCache, output_gradient: _Hidden
    ) -> tuple[_Steps, dict[str, Array]]:
        """Return W_ihᵀ E_t; the sums over t."""
        _, by_sums = self._through_time(parameters, cache, output_gradient)
        return _affine_gradients(parameters, cache.inputs, cache.hidden[:-1], by_sums)

    def hidden_gradients(
        self, parameters: Parameters, cache: _LSTMCache, output_gradient: _Hidden
    ) -> _Hidden:
        """Return D_t of every step: how the loss depends on each hidden state."""
        return self._through_time(parameters, cache, output_gradient)[0].transpose(1, 0, 2)

    def _through_time(
        self, parameters: Parameters, cache: _LSTMCache, output_gradient: _Hidden
    ) -> tuple[_States, _Gates]:
        by_hidden = output_gradient.transpose(1, 0, 2).copy()
        time, batch, units = by_hidden.shape
        by_sums = np.empty_like(cache.gates)
        by_cell = np.zeros((batch, units), by_hidden.dtype)
        for step in reversed(range(time)):
            if step + 1 < time:
                by_hidden[step] += by_sums[step + 1].reshape(batch, 4 * units) @ parameters["weight_hh_l0"]
            keep_in, forget, candidate, let_out = cache.gates[step].transpose(1, 0, 2)
            bounded = np.tanh(cache.cells[step + 1])
            by_cell += by_hidden[step] * let_out * (1 - bounded * bounded)
            by_sums[step, :, 0] = by_cell * candidate * keep_in * (1 - keep_in)
            by_sums[step, :, 1] = by_cell * cache.cells[step] * forget * (1 - forget)
            by_sums[step, :, 2] = by_cell * keep_in * (1 - candidate * candidate)
            by_sums[step, :, 3] = by_hidden[step] * bounded * let_out * (1 - let_out)
            by_cell *= forget
        return by_hidden, by_sums.reshape(time, batch, 4 * units)
