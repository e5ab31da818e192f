"""Penalties on the size of weights, added to the loss; biases and normalization layers have none."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from foolscope.reference.layer import Array, Parameters

__all__ = ["L1", "L2", "Penalty", "weights_of"]


@runtime_checkable
class Penalty(Protocol):
    """The protocol of a penalty: its value and its gradient."""

    def forward(self, parameters: Parameters) -> float:
        """Return the penalty."""

    def backward(self, parameters: Parameters) -> dict[str, Array]:
        """Return the gradient with respect to each penalized weight."""


def weights_of(parameters: Parameters) -> Parameters:
    """Return the parameters that penalties act on: those with at least two axes, as in training.

    Example:
        >>> list(weights_of({"weight": np.ones((2, 3)), "bias": np.ones(2)}))
        ['weight']
    """
    return {name: value for name, value in parameters.items() if value.ndim > 1}


@dataclass(frozen=True)
class L1:
    """The sum of sizes: R = λ Σ |w|.

    Derivation: |w| has slope 1 where w > 0 and −1 where w < 0. At the kink w = 0 every slope between is a
    subgradient; 0 keeps a weight that is zero where it is. So ∂R/∂w = λ sign(w), with sign(0) = 0. No 1/N:
    the penalty is added to the mean loss as it is.

    Args:
        coefficient: λ, not negative.

    Example:
        >>> parameters = {"weight": np.array([[3.0, -1.0, 0.0]]), "bias": np.array([9.0])}
        >>> L1(0.5).forward(parameters), L1(0.5).backward(parameters)
        (2.0, {'weight': array([[ 0.5, -0.5,  0. ]])})
    """

    coefficient: float

    def forward(self, parameters: Parameters) -> float:
        """Return λ Σ |w|."""
        return self.coefficient * sum(float(np.abs(value).sum()) for value in weights_of(parameters).values())

    def backward(self, parameters: Parameters) -> dict[str, Array]:
        """Return λ sign(w)."""
        return {name: np.sign(value) * self.coefficient for name, value in weights_of(parameters).items()}


@dataclass(frozen=True)
class L2:
    """Half the sum of squares: R = (λ/2) Σ w².

    Derivation: w² has slope 2 w, so ∂R/∂w = λ w, PyTorch's ``weight_decay``. No 1/N here either.

    Args:
        coefficient: λ, not negative.

    Example:
        >>> parameters = {"weight": np.array([[3.0, -1.0]]), "bias": np.array([9.0])}
        >>> L2(0.5).forward(parameters), L2(0.5).backward(parameters)
        (2.5, {'weight': array([[ 1.5, -0.5]])})
    """

    coefficient: float

    def forward(self, parameters: Parameters) -> float:
        """Return (λ/2) Σ w²."""
        squares = sum(float(np.vdot(value, value)) for value in weights_of(parameters).values())
        return 0.5 * self.coefficient * squares

    def backward(self, parameters: Parameters) -> dict[str, Array]:
        """Return λ w."""
        return {name: value * self.coefficient for name, value in weights_of(parameters).items()}
