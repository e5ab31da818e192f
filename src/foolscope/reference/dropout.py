"""Dropout with a given mask or generator."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from foolscope.reference.layer import Array, Parameters

__all__ = ["Dropout"]

_Numbers = Float[np.ndarray, "*shape"]


@dataclass(frozen=True)
class Dropout:
    """Set each number to zero with probability ``rate`` and divide the others by what remains: y = k x.

    Here k = 1 / (1 − rate) where a uniform number of its own is at least the rate, and 0 elsewhere. It is the
    layer in training; in evaluation it is the identity.

    Derivation: once drawn, k is a constant, so each number acts on itself alone with slope k: ∂L/∂x = k G.

    Args:
        rate: in [0, 1).
        uniforms: returns an array of the given shape with numbers in [0, 1), such as ``generator.random``; a
            given mask is a function that returns 1 − rate or more where a number is kept, 0 elsewhere. It is
            called once in every forward pass.

    Example:
        >>> layer = Dropout(0.5, lambda shape: np.array([0.2, 0.7]))
        >>> outputs, cache = layer.forward({}, np.array([3.0, 3.0]))
        >>> outputs, layer.backward({}, cache, np.array([1.0, 1.0]))[0]
        (array([0., 6.]), array([0., 2.]))

    References:
        Srivastava et al. 2014, *Dropout*, section 4, scaled in training instead of in testing.
    """

    rate: float
    uniforms: Callable[[tuple[int, ...]], Array]

    def forward(self, parameters: Parameters, inputs: _Numbers) -> tuple[_Numbers, _Numbers]:
        """Return k x; remembered is k."""
        kept = (self.uniforms(inputs.shape) >= self.rate).astype(inputs.dtype)
        kept /= 1 - self.rate
        return inputs * kept, kept

    def backward(
        self, parameters: Parameters, cache: _Numbers, output_gradient: _Numbers
    ) -> tuple[_Numbers, dict[str, Array]]:
        """Return k G."""
        return output_gradient * cache, {}
