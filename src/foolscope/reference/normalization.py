"""Normalization: of pixels by fixed statistics, of channels by those of the batch or by running ones."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from foolscope.core.errors import RecipeError
from foolscope.reference.layer import Array, Parameters

__all__ = ["BatchNormalization", "FrozenBatchNormalization", "Normalize"]

_Maps = Float[np.ndarray, "batch channel *space"]
_PerChannel = Float[np.ndarray, " channel"]


def _along_channels(values: _PerChannel, maps: _Maps) -> Float[np.ndarray, "..."]:
    return values.reshape(-1, *(1,) * (maps.ndim - 2))


def _all_but_channels(maps: _Maps) -> tuple[int, ...]:
    return (0, *range(2, maps.ndim))


@dataclass(frozen=True)
class Normalize:
    """Shift and scale each channel of the images: y_nc = (x_nc − m_c) / d_c.

    It mirrors :class:`foolscope.models.Normalize`, whose buffers are ``mean`` m and ``deviation`` d; they are
    not learned.

    Derivation: each pixel acts on itself alone, with slope 1 / d_c, so ∂L/∂x_nc = G_nc / d_c.

    Example:
        >>> buffers = {"mean": np.array([0.5]), "deviation": np.array([0.25])}
        >>> Normalize().forward(buffers, np.array([[[[0.0, 1.0]]]]))[0]
        array([[[[-2.,  2.]]]])
    """

    def forward(self, parameters: Parameters, inputs: _Maps) -> tuple[_Maps, None]:
        """Return (x − m) / d."""
        outputs = inputs - _along_channels(parameters["mean"], inputs)
        outputs /= _along_channels(parameters["deviation"], inputs)
        return outputs, None

    def backward(
        self, parameters: Parameters, cache: None, output_gradient: _Maps
    ) -> tuple[_Maps, dict[str, Array]]:
        """Return G / d."""
        return output_gradient / _along_channels(parameters["deviation"], output_gradient), {}


@dataclass(frozen=True)
class _BatchCache:
    normalized: _Maps
    scale: _PerChannel
    mean: _PerChannel
    variance: _PerChannel


@dataclass(frozen=True)
class BatchNormalization:
    """Normalize each channel by the batch's own mean and variance: y = γ x̂ + β, x̂ = (x − μ) / √(v + ε).

    It is the layer in training. Parameters are ``weight`` γ and ``bias`` β (channel); the buffers
    ``running_mean`` and ``running_var`` are renewed by :meth:`running_statistics`. Channels are independent;
    in each, i runs over the m numbers of all images and positions, μ = (1/m) Σ_i x_i and
    v = (1/m) Σ_i (x_i − μ)².

    Derivation, with r = 1 / √(v + ε), so x̂_i = r (x_i − μ):

    * γ meets every x̂_i: ∂L/∂γ = Σ_i G_i x̂_i, and β every y_i: ∂L/∂β = Σ_i G_i;
    * ∂L/∂x̂_i = γ G_i. The rest is one function x ↦ x̂, in which x_j acts on every x̂_i: directly, through μ
      and through v;
    * ∂μ/∂x_j = 1/m. ∂v/∂x_j = (2/m) (x_j − μ) + (2/m) Σ_i (x_i − μ) (−1/m) = (2/m) (x_j − μ), for deviations
      from the mean sum to zero. Then ∂r/∂x_j = −½ r³ ∂v/∂x_j = −(r³/m) (x_j − μ) = −(r²/m) x̂_j;
    * ∂x̂_i/∂x_j = r ([i = j] − 1/m) + (x_i − μ) ∂r/∂x_j = r ([i = j] − 1/m − x̂_i x̂_j / m);
    * ∂L/∂x_j = Σ_i γ G_i ∂x̂_i/∂x_j = γ r (G_j − (1/m) Σ_i G_i − x̂_j (1/m) Σ_i G_i x̂_i).

    The two sums are ∂L/∂β and ∂L/∂γ again: what would only shift or scale the channel is taken out of G.

    Args:
        epsilon: ε, positive.
        momentum: share of the batch in the new running statistics.

    Example:
        >>> parameters = {"weight": np.array([2.0]), "bias": np.array([1.0])}
        >>> BatchNormalization(epsilon=0.0).forward(parameters, np.array([[3.0], [5.0]]))[0].T
        array([[-1.,  3.]])

    References:
        Ioffe and Szegedy 2015, arXiv:1502.03167, algorithm 1; the derivation is our own.
    """

    epsilon: float = 1e-5
    momentum: float = 0.1

    def forward(self, parameters: Parameters, inputs: _Maps) -> tuple[_Maps, _BatchCache]:
        """Return γ x̂ + β; remembered are x̂, r, μ and v.

        Raises:
            RecipeError: there are fewer than two numbers in a channel, which have no variance.
        """
        axes = _all_but_channels(inputs)
        if inputs.size < 2 * inputs.shape[1]:
            raise RecipeError(
                "batch normalization in training needs at least 2 numbers per channel; got inputs of shape "
                f"{inputs.shape}. Choose another batch_size, so that no minibatch is a single image"
            )
        mean = inputs.mean(axis=axes)
        normalized = inputs - _along_channels(mean, inputs)
        variance = np.square(normalized).mean(axis=axes)
        scale = 1 / np.sqrt(variance + self.epsilon)
        normalized *= _along_channels(scale, inputs)
        outputs = normalized * _along_channels(parameters["weight"], inputs)
        outputs += _along_channels(parameters["bias"], inputs)
        return outputs, _BatchCache(normalized, scale, mean, variance)

    def backward(
        self, parameters: Parameters, cache: _BatchCache, output_gradient: _Maps
    ) -> tuple[_Maps, dict[str, Array]]:
        """Return γ r (G − mean(G) − x̂ mean(G x̂)); Σ G x̂ and Σ G."""
        axes = _all_but_channels(output_gradient)
        by_bias = output_gradient.sum(axis=axes)
        by_weight = (output_gradient * cache.normalized).sum(axis=axes)
        count = output_gradient.size // output_gradient.shape[1]
        gradient = output_gradient - _along_channels(by_bias / count, output_gradient)
        gradient -= cache.normalized * _along_channels(by_weight / count, output_gradient)
        gradient *= _along_channels(parameters["weight"] * cache.scale, output_gradient)
        return gradient, {"weight": by_weight, "bias": by_bias}

    def running_statistics(self, parameters: Parameters, cache: _BatchCache) -> dict[str, Array]:
        """Return the running statistics after the batch: (1 − a) old + a new, a the momentum.

        As in PyTorch the new variance is the unbiased one, m / (m − 1) · v.
        """
        count = cache.normalized.size // cache.normalized.shape[1]
        kept = 1 - self.momentum
        variance = cache.variance * (count / (count - 1))
        return {
            "running_mean": kept * parameters["running_mean"] + self.momentum * cache.mean,
            "running_var": kept * parameters["running_var"] + self.momentum * variance,
        }


@dataclass(frozen=True)
class FrozenBatchNormalization:
    """Batch normalization in evaluation: y = γ x̂ + β, x̂ = (x − μ) / √(v + ε) with running μ and v.

    Parameters are ``weight`` γ, ``bias`` β, and the buffers ``running_mean`` μ and ``running_var`` v.

    Derivation: μ and v are constants now, so the layer is affine in each number. With r = 1 / √(v + ε):
    ∂L/∂x = γ r G, ∂L/∂γ = Σ_i G_i x̂_i, ∂L/∂β = Σ_i G_i.

    Args:
        epsilon: ε, positive.

    Example:
        >>> one, zero = np.ones(1), np.zeros(1)
        >>> parameters = {"weight": 2 * one, "bias": zero, "running_mean": 3 * one, "running_var": one}
        >>> FrozenBatchNormalization(epsilon=0.0).forward(parameters, np.array([[3.0], [5.0]]))[0].T
        array([[0., 4.]])
    """

    epsilon: float = 1e-5

    def forward(self, parameters: Parameters, inputs: _Maps) -> tuple[_Maps, _Maps]:
        """Return γ x̂ + β; remembered is x̂."""
        normalized = inputs - _along_channels(parameters["running_mean"], inputs)
        normalized *= _along_channels(self._scale(parameters), inputs)
        outputs = normalized * _along_channels(parameters["weight"], inputs)
        outputs += _along_channels(parameters["bias"], inputs)
        return outputs, normalized

    def backward(
        self, parameters: Parameters, cache: _Maps, output_gradient: _Maps
    ) -> tuple[_Maps, dict[str, Array]]:
        """Return γ r G; Σ G x̂ and Σ G."""
        axes = _all_but_channels(output_gradient)
        factor = _along_channels(parameters["weight"] * self._scale(parameters), output_gradient)
        gradients: dict[str, Array] = {
            "weight": (output_gradient * cache).sum(axis=axes),
            "bias": output_gradient.sum(axis=axes),
        }
        return output_gradient * factor, gradients

    def _scale(self, parameters: Parameters) -> _PerChannel:
        scale: _PerChannel = 1 / np.sqrt(parameters["running_var"] + self.epsilon)
        return scale
