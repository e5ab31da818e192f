"""What a prototype tree does after training: projection onto training patches, pruning, hard decisions."""

import copy
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Bool, Int64, UInt8
from torch import Tensor, nn

from foolscope.core.modes import frozen
from foolscope.models.prototype_layers import (
    Decide,
    NearestPrototypes,
    SoftTree,
    patches_at,
    squared_distances,
)

__all__ = ["TreeParts", "deciding", "project", "prune", "pruned_decisions", "tree_parts"]

_BATCH_NUMBERS = 2**24  # squared distances in a batch


@dataclass(frozen=True)
class TreeParts:
    """A model that is a prototype tree: from images to the latent map, and the layers after it."""

    features: nn.Sequential
    nearest: NearestPrototypes
    tree: SoftTree


def tree_parts(model: nn.Module) -> TreeParts | None:
    """Return the parts of a prototype tree with its normalization in front; None for any other model."""
    body = getattr(model, "body", None)
    names = [name for name, _ in body.named_children()] if isinstance(body, nn.Sequential) else []
    if names != ["features", "nearest", "tree"]:
        return None
    features = nn.Sequential(model.get_submodule("normalization"), model.get_submodule("body.features"))
    nearest, tree = model.get_submodule("body.nearest"), model.get_submodule("body.tree")
    return TreeParts(features, cast(NearestPrototypes, nearest), cast(SoftTree, tree))


@torch.no_grad()
def project(
    model: nn.Module,
    images: UInt8[Tensor, "count channel height width"],
    labels: Int64[Tensor, " count"],
) -> nn.Module:
    """Return a copy in which every prototype is its nearest latent patch of any training image.

    The images are not augmented; the copy remembers of each prototype the image, its class and pixels, and
    the patch. Of patches equally near, the first counts.

    References:
        Nauta et al. 2021, arXiv:2012.02046, section 4.3.
    """
    concluded = copy.deepcopy(model)
    parts = tree_parts(concluded)
    assert parts is not None
    layer, prototypes = parts.nearest, parts.nearest.prototypes
    nodes = len(prototypes)
    best = prototypes.new_full((nodes,), torch.inf)
    found, row, column = (torch.zeros_like(layer.source_image) for _ in range(3))
    replacement = prototypes.clone()
    size = torch.zeros_like(layer.latent_size)
    with frozen(parts.features):
        step = max(1, _BATCH_NUMBERS // (nodes * images[0, 0].numel()))
        for start in range(0, len(images), min(step, 1024)):
            pixels = images[start : start + min(step, 1024)].to(prototypes.dtype) / 255
            latent = parts.features(pixels)
            squares = squared_distances(latent, prototypes)
            rows, columns = squares.shape[2:]
            least, place = squares.transpose(0, 1).flatten(1).min(dim=1)
            image, position = place // (rows * columns), place % (rows * columns)
            patches = patches_at(latent[image], position[:, None], layer.patch)[:, 0]
            nearer = least < best
            best = torch.where(nearer, least, best)
            found = torch.where(nearer, start + image, found)
            row = torch.where(nearer, position // columns, row)
            column = torch.where(nearer, position % columns, column)
            replacement = torch.where(nearer[:, None, None, None], patches, replacement)
            size = torch.tensor(latent.shape[2:], device=size.device)
    prototypes.copy_(replacement)
    layer.source_image.copy_(found)
    layer.source_label.copy_(labels[found])
    layer.source_pixels.copy_(images[found])
    layer.source_row.copy_(row)
    layer.source_column.copy_(column)
    layer.latent_size.copy_(size)
    return concluded


@torch.no_grad()
def prune(model: nn.Module, margin: float) -> nn.Module:
    """Return a copy without the leaves whose largest probability is at most 1/K + ``margin``.

    References:
        Nauta et al. 2021, arXiv:2012.02046, section 4.2.
    """
    concluded = copy.deepcopy(model)
    parts = tree_parts(concluded)
    assert parts is not None
    distributions = parts.tree.leaves().exp()
    says_something = distributions.amax(dim=1) > 1 / distributions.shape[1] + margin
    parts.tree.forced.copy_(pruned_decisions(says_something))
    return concluded


def pruned_decisions(kept: Bool[Tensor, " leaves"]) -> Int64[Tensor, " nodes"]:
    """Return where each node sends images once subtrees without a kept leaf are gone.

    The node above such a subtree decides nothing any more, and its other child takes its place. A tree
    without any kept leaf stays as it is.

    Returns:
        −1 left, 1 right, 0 by its prototype; nodes level by level from the root.

    Example:
        >>> pruned_decisions(torch.tensor([True, False, True, True]))
        tensor([ 0, -1,  0])
    """
    decisions: list[Tensor] = []
    alive = kept
    while len(alive) > 1:
        left, right = alive[0::2].long(), alive[1::2].long()
        decisions.insert(0, right - left)
        alive = alive[0::2] | alive[1::2]
    return torch.cat(decisions)


def deciding(model: nn.Module, decide: Decide) -> nn.Module:
    """Return a copy that decides otherwise in evaluation."""
    concluded = copy.deepcopy(model)
    parts = tree_parts(concluded)
    assert parts is not None
    parts.tree.decide = decide
    return concluded
