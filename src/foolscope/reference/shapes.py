"""Layers that only rearrange numbers; the backward pass rearranges the gradient back."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from foolscope.reference.layer import Array, Parameters

__all__ = ["Flatten", "Identity", "LastStep", "Rows"]

_Numbers = Float[np.ndarray, "*shape"]
_Features = Float[np.ndarray, "batch features"]
_Images = Float[np.ndarray, "batch channel height width"]
_Any = Float[np.ndarray, "batch *shape"]
_Steps = Float[np.ndarray, "batch time features"]


@dataclass(frozen=True)
class Identity:
    """Outputs are the inputs: y = x.

    Derivation: each number acts on itself alone, with slope 1, so ∂L/∂x = G.

    Example:
        >>> Identity().forward({}, np.array([1.0]))[0]
        array([1.])
    """

    def forward(self, parameters: Parameters, inputs: _Numbers) -> tuple[_Numbers, None]:
        """Return x itself."""
        return inputs, None

    def backward(
        self, parameters: Parameters, cache: None, output_gradient: _Numbers
    ) -> tuple[_Numbers, dict[str, Array]]:
        """Return G itself."""
        return output_gradient, {}


@dataclass(frozen=True)
class Flatten:
    """One row per image: y_n,(c·H·W + h·W + w) = x_nchw.

    Derivation: every y is one x, with slope 1, so ∂L/∂x is G laid out as x was.

    Example:
        >>> Flatten().forward({}, np.ones((2, 3, 4, 5)))[0].shape
        (2, 60)
    """

    def forward(self, parameters: Parameters, inputs: _Any) -> tuple[_Features, tuple[int, ...]]:
        """Return (batch, features); remembered is the shape."""
        features = int(np.prod(inputs.shape[1:]))  # stated, for an empty batch leaves it open
        return inputs.reshape(len(inputs), features), inputs.shape

    def backward(
        self, parameters: Parameters, cache: tuple[int, ...], output_gradient: _Features
    ) -> tuple[_Any, dict[str, Array]]:
        """Return G in the shape of x."""
        return output_gradient.reshape(cache), {}


@dataclass(frozen=True)
class Rows:
    """Read an image from top to bottom: step h is row h of all channels, y_nh,(c·W + w) = x_nchw.

    Derivation: every y is one x, with slope 1, so ∂L/∂x is G put back in place.

    Example:
        >>> Rows().forward({}, np.ones((2, 3, 4, 5)))[0].shape
        (2, 4, 15)
    """

    def forward(self, parameters: Parameters, inputs: _Images) -> tuple[_Steps, tuple[int, ...]]:
        """Return (batch, height, channel · width); remembered is the shape."""
        batch, channel, height, width = inputs.shape
        return inputs.transpose(0, 2, 1, 3).reshape(batch, height, channel * width), inputs.shape

    def backward(
        self, parameters: Parameters, cache: tuple[int, ...], output_gradient: _Steps
    ) -> tuple[_Images, dict[str, Array]]:
        """Return G in the shape of x."""
        batch, channel, height, width = cache
        return output_gradient.reshape(batch, height, channel, width).transpose(0, 2, 1, 3), {}


@dataclass(frozen=True)
class LastStep:
    """Select the last time step: y_n = x_nT.

    Derivation: only the last step acts on y, with slope 1, so ∂L/∂x_nT = G_n and ∂L/∂x_nt = 0 for t < T.

    Example:
        >>> LastStep().forward({}, np.array([[[1.0], [2.0]]]))[0]
        array([[2.]])
    """

    def forward(self, parameters: Parameters, inputs: _Steps) -> tuple[_Features, tuple[int, ...]]:
        """Return the last step; remembered is the shape."""
        return inputs[:, -1], inputs.shape

    def backward(
        self, parameters: Parameters, cache: tuple[int, ...], output_gradient: _Features
    ) -> tuple[_Steps, dict[str, Array]]:
        """Return G at the last step, zero before."""
        gradient = np.zeros(cache, output_gradient.dtype)
        gradient[:, -1] = output_gradient
        return gradient, {}
