"""The residual connection."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from foolscope.reference.layer import Array, Layer, Parameters, scoped

__all__ = ["Residual"]

_Inputs = Float[np.ndarray, "batch *inputs"]
_Outputs = Float[np.ndarray, "batch *outputs"]


@dataclass(frozen=True)
class Residual:
    """The sum of a branch and a shortcut: y = f(x; θ) + g(x; φ).

    Parameters are those of the two, under ``branch.`` and ``shortcut.``.

    Derivation: a sum hands G to both summands unchanged, so each computes ∂L/∂θ or ∂L/∂φ as if it were alone.
    As x goes both ways, ∂L/∂x = f'(x)ᵀ G + g'(x)ᵀ G. With the identity as shortcut the second term is G
    itself: however small f' is, the gradient passes.

    Args:
        branch: f.
        shortcut: g, from and to the same shapes.

    Example:
        >>> from foolscope.reference import Identity, ReLU
        >>> layer = Residual(ReLU(), Identity())
        >>> outputs, cache = layer.forward({}, np.array([-1.0, 2.0]))
        >>> outputs, layer.backward({}, cache, np.array([1.0, 1.0]))[0]
        (array([-1.,  4.]), array([1., 2.]))

    References:
        He et al. 2015, arXiv:1512.03385, section 3.2.
    """

    branch: Layer
    shortcut: Layer

    def forward(self, parameters: Parameters, inputs: _Inputs) -> tuple[_Outputs, tuple[Any, Any]]:
        """Return f(x) + g(x); remembered is what they remember."""
        outputs, branch_cache = self.branch.forward(scoped(parameters, "branch"), inputs)
        added, shortcut_cache = self.shortcut.forward(scoped(parameters, "shortcut"), inputs)
        return outputs + added, (branch_cache, shortcut_cache)

    def backward(
        self, parameters: Parameters, cache: tuple[Any, Any], output_gradient: _Outputs
    ) -> tuple[_Inputs, dict[str, Array]]:
        """Return the sum of both input gradients; both sets of parameter gradients."""
        gradients: dict[str, Array] = {}
        input_gradients = []
        ways = (("branch", self.branch), ("shortcut", self.shortcut))
        for (name, layer), own_cache in zip(ways, cache, strict=True):
            by_input, own = layer.backward(scoped(parameters, name), own_cache, output_gradient)
            input_gradients.append(by_input)
            gradients |= {f"{name}.{key}": value for key, value in own.items()}
        return input_gradients[0] + input_gradients[1], gradients
