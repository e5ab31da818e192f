"""The layers of a prototype tree: the nearest patch to each prototype, and the soft tree over them."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from foolscope.models.settings import ImageShape

__all__ = [
    "CountedLeaves",
    "Decide",
    "GradientLeaves",
    "NearestPrototypes",
    "SoftTree",
    "counted",
    "hard_decisions",
    "patches_at",
    "reached",
    "soft_decisions",
    "squared_distances",
]

_PerNode = Float[Tensor, "batch nodes"]
_PerLeaf = Float[Tensor, "batch leaves"]


class NearestPrototypes(nn.Module):
    """The distance of each prototype to the nearest patch of an image: d_nk = min_j ‖z_nj − P_k‖.

    All squared distances come from one convolution, ‖z‖² − 2 z·P + ‖P‖², which only finds the nearest patch:
    where patch and prototype agree its terms cancel. The distance itself is the norm of their difference,
    so that it is exact near zero; at zero its gradient is zero.

    The buffers say where a projected prototype comes from: training image (−1 before projection), its class
    and pixels, and the row and column of the patch on the latent map, of ``latent_size``.

    Args:
        nodes: number of prototypes.
        features: channels D of the latent map.
        patch: side of a prototype on the latent map.
        image_shape: of the images, whose pixels are kept with the prototypes.

    References:
        Nauta et al. 2021, *Neural prototype trees*, arXiv:2012.02046, section 3.1.
    """

    source_image: Tensor
    source_label: Tensor
    source_row: Tensor
    source_column: Tensor
    source_pixels: Tensor
    latent_size: Tensor

    def __init__(self, nodes: int, features: int, patch: int, image_shape: ImageShape) -> None:
        super().__init__()
        self.prototypes = nn.Parameter(torch.empty(nodes, features, patch, patch))
        for name in ("image", "label", "row", "column"):
            self.register_buffer(f"source_{name}", torch.full((nodes,), -1))
        self.register_buffer("source_pixels", torch.zeros(nodes, *image_shape, dtype=torch.uint8))
        self.register_buffer("latent_size", torch.zeros(2, dtype=torch.int64))

    def forward(self, latent: Float[Tensor, "batch features height width"]) -> _PerNode:
        """Return the distances, in float32 or better: bfloat16 keeps three digits of a difference."""
        with torch.autocast(latent.device.type, enabled=False):
            latent, prototypes = _at_least_single(latent), _at_least_single(self.prototypes)
            differences = patches_at(latent, self.positions(latent), self.patch) - prototypes
            distances: Tensor = torch.linalg.vector_norm(differences, dim=(2, 3, 4))
            return distances

    @torch.no_grad()
    def positions(self, latent: Float[Tensor, "batch features height width"]) -> Int64[Tensor, "batch nodes"]:
        """Return the position of the nearest patch to each prototype, the first of several, row by row."""
        prototypes = _at_least_single(self.prototypes)
        return squared_distances(_at_least_single(latent), prototypes).flatten(2).argmin(dim=2)

    @property
    def patch(self) -> int:
        """The side of a prototype on the latent map."""
        return self.prototypes.shape[-1]


def _at_least_single(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))


def squared_distances(
    latent: Float[Tensor, "batch features height width"],
    prototypes: Float[Tensor, "nodes features patch patch"],
) -> Float[Tensor, "batch nodes rows columns"]:
    """Return ‖z_nj − P_k‖² at every position, at least zero: ‖z‖² − 2 z·P + ‖P‖².

    Example:
        >>> squared_distances(torch.tensor([[[[1.0, 3.0]]]]), torch.ones(1, 1, 1, 1)).tolist()
        [[[[0.0, 4.0]]]]
    """
    ones = torch.ones_like(prototypes[:1])
    sizes = functional.conv2d(latent.square(), ones)
    products = functional.conv2d(latent, prototypes)
    own = prototypes.square().sum(dim=(1, 2, 3))[:, None, None]
    return (sizes - 2 * products + own).clamp_(min=0)


def patches_at(
    latent: Float[Tensor, "batch features height width"], positions: Int64[Tensor, "batch nodes"], patch: int
) -> Float[Tensor, "batch nodes features patch patch"]:
    """Return the patches of a side at positions, which count patches row by row."""
    batch, features, _, width = latent.shape
    columns = width - patch + 1
    corner = positions // columns * width + positions % columns
    steps = torch.arange(patch, device=latent.device)
    places = corner[:, :, None, None] + width * steps[:, None] + steps  # batch nodes patch patch
    index = places.flatten(1)[:, None].expand(batch, features, -1)
    chosen = latent.flatten(2).gather(2, index)
    return chosen.view(batch, features, *places.shape[1:]).transpose(1, 2)


class GradientLeaves(nn.Module):
    """Class distributions of the leaves, softmax(θ), with θ learned by gradient descent."""

    def __init__(self, leaves: int, classes: int) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.empty(leaves, classes))

    def forward(self) -> Float[Tensor, "leaves classes"]:
        """Return log p."""
        return functional.log_softmax(_at_least_single(self.scores), dim=1)


class CountedLeaves(nn.Module):
    """Class distributions of the leaves, softmax(c), with c counted instead of learned by gradient.

    c_l is the number of images of each class for which leaf l is responsible (equation 7 of the paper):
    c_l ← Σ_n (softmax(c_l) ⊙ y_n ⊙ π_nl) ⊘ ŷ_n. Over an epoch of B minibatches, each takes away 1/B of the
    counts at its start and adds its own images (algorithm 1), so that half an epoch counts half of the old
    and half of the new. As in the authors' program p_l, π and ŷ are the current ones, and rounding below
    zero is cut off.

    References:
        Nauta et al. 2021, arXiv:2012.02046, section 4.1 and algorithm 1.
    """

    scores: Tensor
    scores_before: Tensor

    def __init__(self, leaves: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("scores", torch.zeros(leaves, classes))
        self.register_buffer("scores_before", torch.zeros(leaves, classes))

    def forward(self) -> Float[Tensor, "leaves classes"]:
        """Return log p."""
        return functional.log_softmax(self.scores, dim=1)


@torch.no_grad()
def counted(
    scores: Float[Tensor, "leaves classes"], log_reached: _PerLeaf, labels: Int64[Tensor, " batch"]
) -> Float[Tensor, "leaves classes"]:
    """Return Σ_n (p_l ⊙ y_n ⊙ π_nl) ⊘ ŷ_n: each image is divided among the leaves that explain its class.

    Example:
        >>> even = torch.zeros(2, 2)
        >>> counted(even, torch.tensor([[0.25, 0.75]]).log(), torch.tensor([1]))
        tensor([[0.0000, 0.2500],
                [0.0000, 0.7500]])
    """
    log_distributions = functional.log_softmax(scores, dim=1)
    joint = log_reached.to(scores.dtype) + log_distributions[:, labels].T
    shares = functional.softmax(joint, dim=1)
    return shares.T @ functional.one_hot(labels, scores.shape[1]).to(shares.dtype)


Decide = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Distances -> logarithms of the probabilities of the left and of the right child."""


def soft_decisions(distances: _PerNode) -> tuple[_PerNode, _PerNode]:
    """Return log(1 − s) and log s with s = e^−d: −d is exact, and so is 1 − s near either end.

    At d = 0 the left child has probability zero; its logarithm is that of the smallest positive number, so
    that gradients stay finite, and has gradient zero.
    """
    half = math.log(2.0)
    smallest = torch.finfo(distances.dtype).tiny
    near = torch.log(-torch.expm1(-distances.clamp(smallest, half)))
    far = torch.log1p(-torch.exp(-distances.clamp(min=half)))
    return torch.where(distances < half, near, far), -distances


def hard_decisions(distances: _PerNode) -> tuple[_PerNode, _PerNode]:
    """Return log 1 for the more likely child, right where s > 1/2, and log 0 for the other."""
    certain, never = 0 * distances, torch.full_like(distances, -math.inf)  # certain keeps the graph
    right = distances < math.log(2.0)
    return torch.where(right, never, certain), torch.where(right, certain, never)


def reached(
    log_left: _PerNode, log_right: _PerNode, forced: Int64[Tensor, " nodes"]
) -> list[Float[Tensor, "batch _"]]:
    """Return the log probability of reaching each node, level by level; the last level are the leaves.

    Nodes count level by level from the root: the children of node k are 2k + 1 (left) and 2k + 2 (right).

    Args:
        log_left: of the left child.
        log_right: of the right child.
        forced: −1 where every image goes left, 1 where every image goes right, 0 where the node decides.

    Example:
        >>> half = torch.full((1, 3), 0.5).log()
        >>> levels = reached(half, half, torch.tensor([0, 0, 1]))
        >>> [level.exp().tolist() for level in levels]
        [[[1.0]], [[0.5, 0.5]], [[0.25, 0.25, 0.0, 0.5]]]
    """
    left = torch.where(forced == 0, log_left, torch.where(forced < 0, 0.0, -math.inf))
    right = torch.where(forced == 0, log_right, torch.where(forced > 0, 0.0, -math.inf))
    levels = [log_left.new_zeros(len(log_left), 1)]
    while (first := levels[-1].shape[1]) <= log_left.shape[1]:
        level = slice(first - 1, 2 * first - 1)
        children = (levels[-1] + left[:, level], levels[-1] + right[:, level])
        levels.append(torch.stack(children, dim=2).flatten(1))
    return levels


class SoftTree(nn.Module):
    """The mixture of the leaves: log ŷ_n = log Σ_l π_nl p_l, π_nl the product of decisions on the way.

    A node sends an image right, "it contains this patch", with probability s = e^−d. All levels are computed
    at once for all images, as logarithms; what comes out is log ŷ, of which the cross-entropy is −log ŷ_y.

    Args:
        leaves: gives log p.
        depth: decisions on each way.
        decide: how evaluation decides; training is soft.

    References:
        Nauta et al. 2021, arXiv:2012.02046, section 3.2.
    """

    forced: Tensor

    def __init__(self, leaves: GradientLeaves | CountedLeaves, depth: int, decide: Decide) -> None:
        super().__init__()
        self.leaves = leaves
        self.decide = decide
        self.log_reached: Tensor | None = None  # of the last minibatch in training, for counted leaves
        self.register_buffer("forced", torch.zeros(2**depth - 1, dtype=torch.int64))

    def forward(self, distances: _PerNode) -> Float[Tensor, "batch classes"]:
        """Return log ŷ."""
        with torch.autocast(distances.device.type, enabled=False):
            decide = soft_decisions if self.training else self.decide
            at_leaves = reached(*decide(distances), self.forced)[-1]
            if self.training:
                self.log_reached = at_leaves.detach()
            return torch.logsumexp(at_leaves[:, :, None] + self.leaves(), dim=1)
