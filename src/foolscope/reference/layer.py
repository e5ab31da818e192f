"""The protocol of a layer: pure ``forward`` and ``backward`` functions."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "Layer", "Parameters", "scoped"]

Array = NDArray[np.floating[Any]]
"""An array in float32 or float64."""

Parameters = Mapping[str, Array]
"""Name to value of parameters and buffers, named as in the state dict of the mirrored torch module."""


@runtime_checkable
class Layer(Protocol):
    """A differentiable map y = f(x; θ), with its derivative worked out by hand.

    In all derivations L is the loss, a number, and G = ∂L/∂y the gradient that comes from above. A layer
    turns G into ∂L/∂x for the layer below and into ∂L/∂θ for the optimizer. Arguments are never changed; data
    types are kept. Outputs and input gradients may be the arguments themselves: do not change them either.
    Parameter gradients are new arrays.
    """

    def forward(self, parameters: Parameters, inputs: Array) -> tuple[Array, Any]:
        """Return the outputs, and what :meth:`backward` needs to remember."""

    def backward(
        self, parameters: Parameters, cache: Any, output_gradient: Array
    ) -> tuple[Array, dict[str, Array]]:
        """Return the gradients with respect to the inputs and to each learned parameter."""


def scoped(parameters: Parameters, name: str) -> Parameters:
    """Return the parameters of one layer under the names that it knows them by.

    Those of a network are named ``<layer>.<parameter>``; the empty name means the whole.

    Example:
        >>> list(scoped({"body.1.weight": np.ones(2), "body.3.weight": np.ones(3)}, "body.1"))
        ['weight']
    """
    if not name:
        return parameters
    prefix = f"{name}."
    return {key[len(prefix) :]: value for key, value in parameters.items() if key.startswith(prefix)}
