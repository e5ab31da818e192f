"""Convolution over images, as one matrix product per image."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

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

__all__ = ["Convolution"]

_Images = Float[np.ndarray, "batch channel height width"]
_Maps = Float[np.ndarray, "batch maps rows columns"]


@dataclass(frozen=True)
class _Cache:
    columns: Float[np.ndarray, "batch patch positions"]
    image_shape: tuple[int, ...]
    kernel_shape: tuple[int, ...]
    outputs: Sides
    has_bias: bool


@dataclass(frozen=True)
class Convolution:
    """Every output is a weighted sum of a patch: y_nop = Σ_cu W_ocu x̃_n,c,sp+u + b_o.

    Here p runs over positions of the window (pairs of row and column), u over places in the window, s is the
    stride, and x̃ is x with a border of zeros. It is cross-correlation, as in PyTorch: the kernel is not
    mirrored. Parameters are ``weight`` W (maps, channel, kernel rows, kernel columns) and, where there is
    one, ``bias`` b (maps).

    Derivation. Let the matrix X_n hold patch p as its column: X_n,cu,p = x̃_n,c,sp+u. With (c, u) as one index
    the layer is affine in each patch, Y_n = W X_n + b, and so

    * ∂L/∂W = Σ_n G_n X_nᵀ: a weight meets every image at every position;
    * ∂L/∂b_o = Σ_np G_nop, for the same reason;
    * ∂L/∂X_n = Wᵀ G_n. A pixel is in as many columns as windows cover it, and acts through all of them, so
      ∂L/∂x̃_ncq = Σ_{p, u: sp+u = q} (∂L/∂X)_n,cu,p. What falls on the border is dropped, for zeros are not
      inputs.

    Args:
        stride: from one window to the next, at least 1.
        padding: width of the border of zeros, in pixels.

    Example:
        >>> layer, parameters = Convolution(padding=1), {"weight": np.ones((1, 1, 3, 3))}
        >>> outputs, cache = layer.forward(parameters, np.ones((1, 1, 2, 3)))
        >>> outputs[0, 0]
        array([[4., 6., 4.],
               [4., 6., 4.]])
        >>> layer.backward(parameters, cache, np.ones((1, 1, 2, 3)))[1]["weight"][0, 0]
        array([[2., 3., 2.],
               [4., 6., 4.],
               [2., 3., 2.]])
    """

    stride: Pair = 1
    padding: Pair = 0

    def forward(self, parameters: Parameters, inputs: _Images) -> tuple[_Maps, _Cache]:
        """Return Y; remembered are the patches X."""
        weight = parameters["weight"]
        kernel, stride = (weight.shape[2], weight.shape[3]), as_pair(self.stride)
        padded = border_added(inputs, as_pair(self.padding), 0.0)
        outputs = output_sides(padded.shape, kernel, stride)
        windows = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=(2, 3))
        patches = windows[:, :, :: stride[0], :: stride[1]].transpose(0, 1, 4, 5, 2, 3)
        columns = patches.reshape(len(inputs), weight[0].size, outputs[0] * outputs[1])
        maps = np.matmul(weight.reshape(len(weight), -1), columns)
        if "bias" in parameters:
            maps += parameters["bias"][:, None]
        cache = _Cache(columns, inputs.shape, weight.shape, outputs, "bias" in parameters)
        return maps.reshape(len(inputs), len(weight), *outputs), cache

    def backward(
        self, parameters: Parameters, cache: _Cache, output_gradient: _Maps
    ) -> tuple[_Images, dict[str, Array]]:
        """Return Wᵀ G put back in place; Σ_n G_n X_nᵀ and Σ_np G_np."""
        weight = parameters["weight"]
        batch, channel, height, width = cache.image_shape
        kernel, (rows, columns) = (weight.shape[2], weight.shape[3]), as_pair(self.padding)
        by_position = _by_position(output_gradient)
        patches = np.matmul(weight.reshape(len(weight), -1).T, by_position)
        patches = patches.reshape(batch, channel, kernel[0] * kernel[1], *cache.outputs)
        padded = np.zeros((batch, channel, height + 2 * rows, width + 2 * columns), patches.dtype)
        places = window_positions(kernel, as_pair(self.stride), cache.outputs)
        for place, (down, across) in enumerate(places):
            padded[:, :, down, across] += patches[:, :, place]
        return border_removed(padded, (rows, columns)), self.parameter_gradients(cache, output_gradient)

    def parameter_gradients(self, cache: _Cache, output_gradient: _Maps) -> dict[str, Array]:
        """Return Σ_n G_n X_nᵀ and Σ_np G_np alone, all that the first layer in training needs."""
        by_position = _by_position(output_gradient)
        products = np.matmul(by_position, cache.columns.transpose(0, 2, 1))
        gradients: dict[str, Array] = {"weight": products.sum(axis=0).reshape(cache.kernel_shape)}
        if cache.has_bias:
            gradients["bias"] = by_position.sum(axis=(0, 2))
        return gradients


def _by_position(maps: _Maps) -> Float[np.ndarray, "batch maps positions"]:
    batch, count, rows, columns = maps.shape
    return maps.reshape(batch, count, rows * columns)
