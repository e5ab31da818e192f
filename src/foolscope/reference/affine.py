"""The affine layer."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from foolscope.reference.layer import Array, Parameters

__all__ = ["Affine"]

_Outputs = Float[np.ndarray, "batch outputs"]
_Features = Float[np.ndarray, "batch inputs"]
_Cache = tuple[_Features, bool]


@dataclass(frozen=True)
class Affine:
    """Every output is a weighted sum of the inputs: y = x Wᵀ + b.

    Parameters are ``weight`` W (outputs, inputs) and, where there is one, ``bias`` b (outputs).

    Derivation, with row n for image n and y_no = Σ_i W_oi x_ni + b_o:

    * x_ni acts on every y_no with slope W_oi, so ∂L/∂x_ni = Σ_o G_no W_oi, that is ∂L/∂x = G W;
    * W_oi acts on y_no of every image with slope x_ni, so ∂L/∂W_oi = Σ_n G_no x_ni, that is ∂L/∂W = Gᵀ x;
    * b_o acts on y_no of every image with slope 1, so ∂L/∂b_o = Σ_n G_no.

    Example:
        >>> layer, parameters = Affine(), {"weight": np.array([[1.0, 2.0]]), "bias": np.array([0.5])}
        >>> outputs, cache = layer.forward(parameters, np.array([[3.0, 4.0]]))
        >>> outputs
        array([[11.5]])
        >>> layer.backward(parameters, cache, np.array([[1.0]]))
        (array([[1., 2.]]), {'weight': array([[3., 4.]]), 'bias': array([1.])})
    """

    def forward(self, parameters: Parameters, inputs: _Features) -> tuple[_Outputs, _Cache]:
        """Return x Wᵀ + b; remembered are x and whether there is a bias."""
        outputs = inputs @ parameters["weight"].T
        if "bias" in parameters:
            outputs += parameters["bias"]
        return outputs, (inputs, "bias" in parameters)

    def backward(
        self, parameters: Parameters, cache: _Cache, output_gradient: _Outputs
    ) -> tuple[_Features, dict[str, Array]]:
        """Return G W; Gᵀ x and Σ_n G_n."""
        return output_gradient @ parameters["weight"], self.parameter_gradients(cache, output_gradient)

    def parameter_gradients(self, cache: _Cache, output_gradient: _Outputs) -> dict[str, Array]:
        """Return Gᵀ x and Σ_n G_n alone, all that the first layer in training needs."""
        inputs, has_bias = cache
        gradients: dict[str, Array] = {"weight": output_gradient.T @ inputs}
        if has_bias:
            gradients["bias"] = output_gradient.sum(axis=0)
        return gradients
