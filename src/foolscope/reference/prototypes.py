"""Prototype similarity and the soft decision tree over prototypes."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Integer

from foolscope.reference.layer import Array, Parameters
from foolscope.reference.losses import log_softmax

__all__ = ["PrototypeSimilarity", "SoftTree"]

_Outputs = Float[np.ndarray, "batch classes"]
_Latent = Float[np.ndarray, "batch features *space"]
_PerNode = Float[np.ndarray, "batch nodes"]


@dataclass(frozen=True)
class _SimilarityCache:
    latent_shape: tuple[int, ...]
    nearest: Integer[np.ndarray, "batch nodes"]
    differences: Float[np.ndarray, "batch nodes features"]
    distances: _PerNode
    similarities: _PerNode


@dataclass(frozen=True)
class PrototypeSimilarity:
    """How similar the nearest patch of an image is to each prototype: s_nk = e^−d_nk.

    The distance is d_nk = min_j ‖z_nj − P_k‖. Inputs are latent patches z, a vector of features (axis 1) at
    each position j; the parameter is ``prototypes`` P (nodes, features). Outputs lie in (0, 1].

    Derivation, with j* the position of the nearest patch, Δ = z_nj* − P_k and d = ‖Δ‖:

    * d = √(Σ_f Δ_f²), so ∂d/∂Δ_f = ½ (1/d) 2 Δ_f = Δ_f / d, the direction from the prototype to the patch;
    * s = e^−d, so ∂s/∂d = −s;
    * ∂Δ/∂z = 1 and ∂Δ/∂P = −1, so ∂s/∂z_nj* = −s Δ / d and ∂s/∂P_k = s Δ / d: a prototype that moves towards
      the patch becomes more similar;
    * the minimum is the distance of j* alone while no other patch is as near, so the other patches get
      nothing. A patch may be nearest to several prototypes, and a prototype meets every image:
      ∂L/∂P_k = Σ_n G_nk s_nk Δ_nk / d_nk, and ∂L/∂z_nj = −Σ_{k: j*_nk = j} G_nk s_nk Δ_nk / d_nk.

    There are two kinks: of patches equally near, the first in row order counts; a patch that equals the
    prototype gets the subgradient 0.

    Example:
        >>> layer, parameters = PrototypeSimilarity(), {"prototypes": np.array([[0.0, 0.0]])}
        >>> outputs, cache = layer.forward(parameters, np.array([[[0.0, 9.0], [2.0, 9.0]]]))
        >>> bool(np.isclose(outputs[0, 0], np.exp(-2.0)))
        True
        >>> layer.backward(parameters, cache, np.exp([[2.0]]))[1]["prototypes"].round(6)
        array([[0., 1.]])

    References:
        Nauta et al. 2021, *Neural prototype trees*, arXiv:2012.02046, section 3.1; the derivation is our own.
    """

    def forward(self, parameters: Parameters, inputs: _Latent) -> tuple[_PerNode, _SimilarityCache]:
        """Return e^−d; remembered are j*, Δ, d and s."""
        prototypes = parameters["prototypes"]
        patches = _as_patches(inputs)
        squares = np.stack(
            [np.square(patches - prototype).sum(axis=2) for prototype in prototypes], axis=1
        )  # batch nodes patches
        nearest = squares.argmin(axis=2)
        differences = patches[np.arange(len(patches))[:, None], nearest] - prototypes
        distances = np.sqrt(np.square(differences).sum(axis=2))
        similarities = np.exp(-distances)
        return similarities, _SimilarityCache(inputs.shape, nearest, differences, distances, similarities)

    def backward(
        self, parameters: Parameters, cache: _SimilarityCache, output_gradient: _PerNode
    ) -> tuple[_Latent, dict[str, Array]]:
        """Return −Σ G s Δ / d at the nearest patches; Σ_n G s Δ / d."""
        nonzero = np.where(cache.distances > 0, cache.distances, 1)  # Δ is zero there, and so is the product
        pull = (output_gradient * cache.similarities / nonzero)[:, :, None] * cache.differences
        batch, features, *_ = cache.latent_shape
        positions = int(np.prod(cache.latent_shape[2:]))
        by_patch = np.zeros((batch, positions, features), output_gradient.dtype)
        np.subtract.at(by_patch, (np.arange(batch)[:, None], cache.nearest), pull)
        by_latent = by_patch.transpose(0, 2, 1).reshape(cache.latent_shape)
        return by_latent, {"prototypes": pull.sum(axis=0)}


def _as_patches(latent: _Latent) -> Float[np.ndarray, "batch patches features"]:
    positions = int(np.prod(latent.shape[2:]))
    return latent.reshape(latent.shape[0], latent.shape[1], positions).transpose(0, 2, 1)


@dataclass(frozen=True)
class _TreeCache:
    similarities: _PerNode
    reached: tuple[Float[np.ndarray, "batch _"], ...]
    distributions: Float[np.ndarray, "leaves classes"]


@dataclass(frozen=True)
class SoftTree:
    """The prediction of a soft binary decision tree: ŷ_n = Σ_l π_nl p_l, over all leaves l.

    Node k sends image n to its right child with probability s_nk and to its left one with 1 − s_nk; π_nl is
    the product along the way to leaf l. The parameter ``leaves`` is θ (leaves, classes), p_l = softmax(θ_l).
    Inputs are s (batch, nodes), level by level from the root: the children of node k are 2k + 1 (left) and
    2k + 2 (right). A complete tree has one leaf more than nodes. Outputs are probabilities, which sum to 1.

    Derivation. Let ρ_v be the probability of reaching v, node or leaf, and R_v = ∂L/∂ρ_v:

    * ŷ_nc = Σ_l ρ_nl p_lc, so R_nl = Σ_c G_nc p_lc at the leaves;
    * ρ_left = ρ_k (1 − s_k) and ρ_right = ρ_k s_k, so going up R_k = (1 − s_k) R_left + s_k R_right, and
      ∂L/∂s_k = ρ_k (R_right − R_left): what the right side has over the left, as often as k is reached;
    * ∂L/∂p_lc = Σ_n π_nl G_nc =: Q_lc, and through the softmax, where ∂p_c/∂θ_j = p_c ([c = j] − p_j):
      ∂L/∂θ_lj = Σ_c Q_lc p_lc ([c = j] − p_lj) = p_lj (Q_lj − Σ_c Q_lc p_lc).

    Example:
        >>> layer, parameters = SoftTree(), {"leaves": np.log([[0.9, 0.1], [0.2, 0.8]])}
        >>> layer.forward(parameters, np.array([[0.0], [1.0], [0.5]]))[0].round(6)
        array([[0.9 , 0.1 ],
               [0.2 , 0.8 ],
               [0.55, 0.45]])

    References:
        Nauta et al. 2021, *Neural prototype trees*, arXiv:2012.02046, section 3; the derivation is our own.
    """

    def forward(self, parameters: Parameters, inputs: _PerNode) -> tuple[_Outputs, _TreeCache]:
        """Return ŷ; remembered are s, ρ level by level, and the distributions of the leaves.

        Raises:
            ValueError: the number of leaves is no power of two, or not one more than that of nodes.
        """
        leaves = len(parameters["leaves"])
        if leaves & (leaves - 1) or leaves != inputs.shape[1] + 1:
            raise ValueError(
                "a complete tree has 2^depth leaves and one node less; got "
                f"{leaves} leaves and {inputs.shape[1]} nodes"
            )
        reached = [np.ones((len(inputs), 1), inputs.dtype)]
        while reached[-1].shape[1] < leaves:
            above = reached[-1]
            right = above * inputs[:, _level(above)]
            reached.append(np.stack([above - right, right], axis=2).reshape(len(inputs), 2 * above.shape[1]))
        distributions = np.exp(log_softmax(parameters["leaves"]))
        return reached[-1] @ distributions, _TreeCache(inputs, tuple(reached), distributions)

    def backward(
        self, parameters: Parameters, cache: _TreeCache, output_gradient: _Outputs
    ) -> tuple[_PerNode, dict[str, Array]]:
        """Return ρ (R_right − R_left); p (Q − Σ_c Q p)."""
        *above, at_leaves = cache.reached
        by_similarity = np.empty_like(cache.similarities)
        by_reached = output_gradient @ cache.distributions.T
        for reached in reversed(above):
            similarities = cache.similarities[:, _level(reached)]
            left, right = by_reached[:, 0::2], by_reached[:, 1::2]
            by_similarity[:, _level(reached)] = reached * (right - left)
            by_reached = (1 - similarities) * left + similarities * right
        weighted = cache.distributions * (at_leaves.T @ output_gradient)
        by_leaves = weighted - cache.distributions * weighted.sum(axis=1, keepdims=True)
        return by_similarity, {"leaves": by_leaves}


def _level(reached: Float[np.ndarray, "batch level"]) -> slice:
    """Return the slice of one level, of 2^depth nodes, among all nodes."""
    return slice(reached.shape[1] - 1, 2 * reached.shape[1] - 1)
