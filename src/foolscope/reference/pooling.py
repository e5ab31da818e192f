"""Pooling: maximum and mean of windows, and the mean of each channel."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Integer

from foolscope.reference.layer import Array, Parameters
from foolscope.reference.windows import (
    Pair,
    Sides,
    as_pair,
    border_added,
    border_removed,
    output_sides,
    window_positions,
)

__all__ = ["AveragePooling", "GlobalAveragePooling", "MaxPooling"]

_Means = Float[np.ndarray, "batch channel 1 1"]
_Images = Float[np.ndarray, "batch channel height width"]
_Maps = Float[np.ndarray, "batch channel rows columns"]
_Places = Integer[np.ndarray, "batch channel rows columns"]


@dataclass(frozen=True)
class MaxPooling:
    """The largest number in each window: y_ncp = max_u x̃_n,c,sp+u.

    Windows that do not fit are left out, and the border is −∞, as in PyTorch.

    Derivation: while one place u* in the window is larger than all others, y = x̃_sp+u* there and in a
    neighborhood, with slope 1 by that pixel and 0 by the others. A pixel may win in several windows, so
    ∂L/∂x_ncq = Σ_p G_ncp · [s p + u*_ncp = q]. On a tie, a kink, the first place in row order wins, as in
    PyTorch; a number that is not one (NaN) wins over all.

    Args:
        kernel: sides of the window.
        stride: from one window to the next; ``None`` for windows side by side.
        padding: width of the border.

    Example:
        >>> outputs, cache = MaxPooling(2).forward({}, np.array([[[[1.0, 5.0, 9.0], [5.0, 2.0, 9.0]]]]))
        >>> outputs
        array([[[[5.]]]])
        >>> MaxPooling(2).backward({}, cache, np.array([[[[1.0]]]]))[0]
        array([[[[0., 1., 0.],
                 [0., 0., 0.]]]])
    """

    kernel: Pair
    stride: Pair | None = None
    padding: Pair = 0

    def forward(
        self, parameters: Parameters, inputs: _Images
    ) -> tuple[_Maps, tuple[_Places, tuple[int, ...]]]:
        """Return the largest; remembered are its place in each window and the shape of x."""
        kernel, stride, padding = _geometry(self)
        padded = border_added(inputs, padding, -math.inf)
        outputs = output_sides(padded.shape, kernel, stride)
        places = np.zeros((*inputs.shape[:2], *outputs), np.intp)
        largest = np.full(places.shape, -math.inf, inputs.dtype)
        for place, (down, across) in enumerate(window_positions(kernel, stride, outputs)):
            candidates = padded[:, :, down, across]
            wins = (candidates > largest) | np.isnan(candidates)
            np.copyto(largest, candidates, where=wins)
            places[wins] = place
        return largest, (places, inputs.shape)

    def backward(
        self, parameters: Parameters, cache: tuple[_Places, tuple[int, ...]], output_gradient: _Maps
    ) -> tuple[_Images, dict[str, Array]]:
        """Return G at the winners, zero elsewhere."""
        places, shape = cache
        kernel, stride, padding = _geometry(self)
        padded = _zeros_with_border(shape, padding, output_gradient)
        outputs = (places.shape[2], places.shape[3])
        for place, (down, across) in enumerate(window_positions(kernel, stride, outputs)):
            padded[:, :, down, across] += output_gradient * (places == place)
        return border_removed(padded, padding), {}


@dataclass(frozen=True)
class AveragePooling:
    """The mean of each window: y_ncp = (1 / |u|) Σ_u x̃_n,c,sp+u, with |u| places in the window.

    Windows that do not fit are left out; the border is zero and counts in the mean, as in PyTorch.

    Derivation: each pixel of the window acts on y with slope 1 / |u|, and a pixel acts in every window that
    covers it, so ∂L/∂x_ncq = (1 / |u|) Σ_{p, u: sp+u = q} G_ncp.

    Args:
        kernel: sides of the window.
        stride: from one window to the next; ``None`` for windows side by side.
        padding: width of the border.

    Example:
        >>> outputs, cache = AveragePooling(2).forward({}, np.array([[[[1.0, 2.0], [3.0, 6.0]]]]))
        >>> outputs, AveragePooling(2).backward({}, cache, np.array([[[[1.0]]]]))[0].ravel()
        (array([[[[3.]]]]), array([0.25, 0.25, 0.25, 0.25]))
    """

    kernel: Pair
    stride: Pair | None = None
    padding: Pair = 0

    def forward(self, parameters: Parameters, inputs: _Images) -> tuple[_Maps, tuple[int, ...]]:
        """Return the means; remembered is the shape of x."""
        kernel, stride, padding = _geometry(self)
        padded = border_added(inputs, padding, 0.0)
        outputs = output_sides(padded.shape, kernel, stride)
        means = np.zeros((*inputs.shape[:2], *outputs), inputs.dtype)
        for down, across in window_positions(kernel, stride, outputs):
            means += padded[:, :, down, across]
        means /= kernel[0] * kernel[1]
        return means, inputs.shape

    def backward(
        self, parameters: Parameters, cache: tuple[int, ...], output_gradient: _Maps
    ) -> tuple[_Images, dict[str, Array]]:
        """Return G / |u|, spread over each window."""
        kernel, stride, padding = _geometry(self)
        padded = _zeros_with_border(cache, padding, output_gradient)
        share = output_gradient / (kernel[0] * kernel[1])
        for down, across in window_positions(
            kernel, stride, (output_gradient.shape[2], output_gradient.shape[3])
        ):
            padded[:, :, down, across] += share
        return border_removed(padded, padding), {}


@dataclass(frozen=True)
class GlobalAveragePooling:
    """The mean of each channel: y_nc = (1 / HW) Σ_hw x_nchw, of shape (batch, channel, 1, 1).

    Derivation: each pixel acts on its channel's mean with slope 1 / HW, so ∂L/∂x_nchw = G_nc / HW.

    Example:
        >>> outputs, cache = GlobalAveragePooling().forward({}, np.array([[[[1.0, 2.0, 6.0]]]]))
        >>> outputs, GlobalAveragePooling().backward({}, cache, np.array([[[[3.0]]]]))[0].ravel()
        (array([[[[3.]]]]), array([1., 1., 1.]))
    """

    def forward(self, parameters: Parameters, inputs: _Images) -> tuple[_Means, tuple[int, ...]]:
        """Return the means; remembered is the shape of x."""
        return inputs.mean(axis=(2, 3), keepdims=True), inputs.shape

    def backward(
        self, parameters: Parameters, cache: tuple[int, ...], output_gradient: _Means
    ) -> tuple[_Images, dict[str, Array]]:
        """Return G / HW at every pixel."""
        share = output_gradient / (cache[2] * cache[3])
        return np.broadcast_to(share, cache).copy(), {}


def _geometry(layer: MaxPooling | AveragePooling) -> tuple[Sides, Sides, Sides]:
    kernel = as_pair(layer.kernel)
    return kernel, kernel if layer.stride is None else as_pair(layer.stride), as_pair(layer.padding)


def _zeros_with_border(shape: tuple[int, ...], padding: Sides, like: _Maps) -> _Images:
    batch, channel, height, width = shape
    return np.zeros((batch, channel, height + 2 * padding[0], width + 2 * padding[1]), like.dtype)
