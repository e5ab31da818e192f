"""Losses: the mean over the batch, and its gradient with respect to the outputs."""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Integer

from foolscope.reference.layer import Array

__all__ = ["CrossEntropy", "Loss", "MeanSquaredError", "SquaredError", "log_softmax"]

_Numbers = Float[np.ndarray, "*shape"]
_Logits = Float[np.ndarray, "batch classes"]
_Labels = Integer[np.ndarray, " batch"]


@runtime_checkable
class Loss(Protocol):
    """The protocol of a loss: its value for a batch, which must not be empty, and its gradient."""

    def forward(self, outputs: Array, targets: Any) -> tuple[float, Any]:
        """Return the loss, and what :meth:`backward` needs to remember."""

    def backward(self, cache: Any) -> Array:
        """Return the gradient of the loss with respect to the outputs."""


def log_softmax(logits: _Logits) -> _Logits:
    """Return log p_k = z_k − log Σ_j e^z_j; the largest z is subtracted first, so that nothing overflows.

    Example:
        >>> np.exp(log_softmax(np.array([[1000.0, 1000.0]])))
        array([[0.5, 0.5]])
    """
    shifted: _Logits = logits - logits.max(axis=1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted


@dataclass(frozen=True)
class CrossEntropy:
    """Softmax with cross-entropy: L = −(1/N) Σ_n Σ_k q_nk log p_nk, p_nk = e^z_nk / Σ_j e^z_nj.

    The target q is 1 − s at the label plus s / K everywhere, with label smoothing s and K classes.

    Derivation:

    * log p_nk = z_nk − log Σ_i e^z_ni, whose second term has slope e^z_nj / Σ_i e^z_ni = p_nj by z_nj, so
      ∂ log p_nk / ∂z_nj = [k = j] − p_nj;
    * ∂L/∂z_nj = −(1/N) Σ_k q_nk ([k = j] − p_nj) = (1/N) (p_nj Σ_k q_nk − q_nj) = (p_nj − q_nj) / N, for the
      targets of an image sum to one. Every image counts 1/N.

    Args:
        label_smoothing: s in [0, 1).

    Example:
        >>> loss, cache = CrossEntropy().forward(np.zeros((1, 2)), np.array([1]))
        >>> round(loss, 4), CrossEntropy().backward(cache)
        (0.6931, array([[ 0.5, -0.5]]))

    References:
        Label smoothing: Szegedy et al. 2016, arXiv:1512.00567, section 7.
    """

    label_smoothing: float = 0.0

    def forward(self, outputs: _Logits, targets: _Labels) -> tuple[float, tuple[_Logits, _Labels]]:
        """Return L of logits z and labels; remembered are p and the labels."""
        log_probabilities = log_softmax(outputs)
        of_label = log_probabilities[np.arange(len(targets)), targets].mean()
        value = -(1 - self.label_smoothing) * of_label
        if self.label_smoothing:
            value = value - self.label_smoothing * log_probabilities.mean()
        return float(value), (np.exp(log_probabilities), targets)

    def backward(self, cache: tuple[_Logits, _Labels]) -> _Logits:
        """Return (p − q) / N."""
        probabilities, labels = cache
        batch, classes = probabilities.shape
        gradient: _Logits = probabilities - self.label_smoothing / classes
        gradient[np.arange(batch), labels] -= 1 - self.label_smoothing
        gradient /= batch
        return gradient


@dataclass(frozen=True)
class MeanSquaredError:
    """Mean squared error: L = (1/M) Σ_i (y_i − t_i)², over all M numbers of all outputs.

    Derivation: only term i has y_i, with slope 2 (y_i − t_i), so ∂L/∂y_i = (2/M) (y_i − t_i).

    Example:
        >>> loss, cache = MeanSquaredError().forward(np.array([[1.0, 3.0]]), np.array([[1.0, 1.0]]))
        >>> loss, MeanSquaredError().backward(cache)
        (2.0, array([[0., 2.]]))
    """

    def forward(self, outputs: _Numbers, targets: _Numbers) -> tuple[float, _Numbers]:
        """Return L; remembered is y − t."""
        errors = outputs - targets
        return float(np.square(errors).mean()), errors

    def backward(self, cache: _Numbers) -> _Numbers:
        """Return (2/M) (y − t)."""
        return cache * (2 / cache.size)


@dataclass(frozen=True)
class SquaredError:
    """Squared error against one-hot labels, as training has it: L = (1/N) Σ_n ½ Σ_k (y_nk − [k = label_n])².

    Derivation: it is K/2 times :class:`MeanSquaredError` with M = N K, so ∂L/∂y_nk is 2 / (N K) · K/2 =
    1 / N times y_nk − [k = label_n].

    Example:
        >>> loss, cache = SquaredError().forward(np.array([[0.0, 3.0]]), np.array([1]))
        >>> loss, SquaredError().backward(cache)
        (2.0, array([[0., 2.]]))
    """

    def forward(self, outputs: _Logits, targets: _Labels) -> tuple[float, _Logits]:
        """Return L of scores y and labels; remembered is y − [k = label]."""
        one_hot = np.zeros_like(outputs)
        one_hot[np.arange(len(targets)), targets] = 1
        mean, errors = MeanSquaredError().forward(outputs, one_hot)
        return mean * outputs.shape[1] / 2, errors

    def backward(self, cache: _Logits) -> _Logits:
        """Return (y − [k = label]) / N."""
        gradient: _Logits = MeanSquaredError().backward(cache) * (cache.shape[1] / 2)
        return gradient
