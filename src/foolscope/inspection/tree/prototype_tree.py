"""Reads a prototype tree: which patch each node asks for, and how images find their way."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from numpy.typing import NDArray
from torch import Tensor, nn

from foolscope.core.modes import frozen
from foolscope.inspection.tree.records import Box, TreeInspection, TreeLeaf, TreeNode, TreePath, TreeStep
from foolscope.models.prototype_layers import hard_decisions, reached, soft_decisions
from foolscope.models.prototype_projection import TreeParts, tree_parts

__all__ = ["inspect_tree", "patch_box"]

_DRAWN_LEVELS = 5
_PATHS = 3  # rightly and as many wrongly classified images


def patch_box(row: int, column: int, patch: int, latent: Sequence[int], image: Sequence[int]) -> Box:
    """Return the part of an image under a latent patch when the latent map is stretched over the image.

    So do the authors (Nauta et al. 2021, arXiv:2012.02046, section 4.3, who stretch a map of similarities);
    convolutions see more, up to their receptive field.

    Example:
        >>> box = patch_box(1, 0, 1, (4, 4), (32, 28))
        >>> box.top, box.left, box.height, box.width
        (8.0, 0.0, 8.0, 7.0)
    """
    height, width = image[0] / latent[0], image[1] / latent[1]
    return Box(top=row * height, left=column * width, height=patch * height, width=patch * width)


@dataclass(frozen=True)
class _Reading:
    """What a tree makes of images.

    Args:
        parts: of the model.
        latent: height and width of the latent map.
        distances: of the nearest patches.
        positions: of the nearest patches, row by row.
        shares: probability of reaching each node and leaf, by its number.
        log_predictions: log ŷ.
    """

    parts: TreeParts
    latent: tuple[int, int]
    distances: Float[Tensor, "image node"]
    positions: Int64[Tensor, "image node"]
    shares: Float[Tensor, "image all"]
    hard: Float[Tensor, "image all"]
    log_predictions: Float[Tensor, "image class"]

    @classmethod
    def of(
        cls, parts: TreeParts, images: Float[Tensor, "image channel height width"], batch_size: int
    ) -> "_Reading":
        distances, positions, latent = [], [], images.new_zeros(1, 1, 1, 1)
        for part in torch.split(images, batch_size):
            latent = parts.features(part)
            distances.append(parts.nearest(latent))
            positions.append(parts.nearest.positions(latent))
        all_distances, forced = torch.cat(distances), parts.tree.forced
        shares, hard = (
            torch.cat(reached(*decide(all_distances), forced), dim=1).exp()
            for decide in (soft_decisions, hard_decisions)
        )
        size = (latent.shape[2], latent.shape[3])
        return cls(parts, size, all_distances, torch.cat(positions), shares, hard, parts.tree(all_distances))

    @property
    def node_count(self) -> int:
        """The number of nodes of the complete tree."""
        return self.distances.shape[1]

    def next(self, number: int) -> int:
        """Return the node or leaf that stands in a place, past nodes that decide nothing any more."""
        while number < self.node_count and (way := int(self.parts.tree.forced[number])):
            number = 2 * number + (1 if way < 0 else 2)
        return number

    def children(self, number: int) -> tuple[int, int]:
        """Return who comes after yes and after no."""
        return self.next(2 * number + 2), self.next(2 * number + 1)

    def below(self, number: int) -> Iterator[int]:
        """Yield a node and everything below it."""
        yield number
        if number < self.node_count:
            for child in self.children(number):
                yield from self.below(child)

    def depth(self, number: int) -> int:
        """Return the number of decisions on the longest way down."""
        if number >= self.node_count:
            return 0
        return 1 + max(self.depth(child) for child in self.children(number))

    def box(self, image: int, node: int, shape: Sequence[int]) -> Box:
        """Return where the nearest patch of an image is."""
        patch = self.parts.nearest.patch
        row, column = divmod(int(self.positions[image, node]), self.latent[1] - patch + 1)
        return patch_box(row, column, patch, self.latent, shape)


def inspect_tree(
    model: nn.Module,
    images: Float[Tensor, "image channel height width"],
    labels: Int64[Tensor, " image"],
    classes: Sequence[str],
    generator: np.random.Generator,
    *,
    batch_size: int,
) -> tuple[TreeInspection, dict[str, NDArray[Any]]] | None:
    """Read the tree of a model; None if it is no prototype tree.

    The generator chooses images whose paths are shown, of different classes as far as there are any.

    Returns:
        The tree, and the pixels in [0, 1] that it names by key.
    """
    parts = tree_parts(model)
    if parts is None:
        return None
    with frozen(model), torch.no_grad():
        reading = _Reading.of(parts, images, batch_size)
        predicted = reading.log_predictions.argmax(dim=1)
        right = predicted == labels
        shown = [_chosen(labels, which, generator) for which in (right, ~right)]
        paths = [[_path(reading, image, images, labels, classes) for image in some] for some in shown]
        drawn, leaves = _top(reading)
        on_paths = {step.node for some in paths for path in some for step in path.steps}
        arrays: dict[str, NDArray[Any]] = {}
        nodes = [
            _node(reading, node, images, labels, classes, arrays) for node in sorted({*drawn, *on_paths})
        ]
        for image in (image for some in shown for image in some):
            arrays[f"tree-image-{image}"] = images[image].float().cpu().numpy()
        root = reading.next(0)
        decisions = sum(number < reading.node_count for number in reading.below(root))
        ends = reading.hard[:, reading.node_count :].argmax(dim=1)
        ended = parts.tree.leaves()[ends].argmax(dim=1)
    record = TreeInspection(
        classes=list(classes),
        depth=reading.depth(root),
        nodes=nodes,
        leaves=leaves,
        decisions=decisions,
        pruned=reading.node_count - decisions,
        projected=_is_projected(parts),
        agreement=float((ended == predicted).double().mean()),
        right=paths[0],
        wrong=paths[1],
    )
    return record, arrays


def _is_projected(parts: TreeParts) -> bool:
    return bool((parts.nearest.source_image >= 0).all())


def _chosen(labels: Tensor, among: Tensor, generator: np.random.Generator) -> list[int]:
    """Draw some images, of different classes first."""
    order = generator.permutation(np.flatnonzero(among.cpu().numpy()))
    classes = labels.cpu().numpy()[order]
    _, first = np.unique(classes, return_index=True)
    firsts = np.sort(first)
    rest = np.setdiff1d(np.arange(len(order)), firsts)
    return [int(each) for each in order[np.concatenate([firsts, rest])][:_PATHS]]


def _top(reading: _Reading) -> tuple[list[int], list[TreeLeaf]]:
    """Return the nodes of the first levels, and what comes after them from the yes side to the no side."""
    nodes: list[int] = []
    leaves: list[TreeLeaf] = []

    def visit(number: int, level: int) -> None:
        if number < reading.node_count and level < _DRAWN_LEVELS:
            nodes.append(number)
            for child in reading.children(number):
                visit(child, level + 1)
        else:
            leaves.append(_leaf(reading, number))

    visit(reading.next(0), 0)
    return nodes, leaves


def _leaf(reading: _Reading, number: int) -> TreeLeaf:
    below = list(reading.below(number))
    ends = [each for each in below if each >= reading.node_count]
    weights = reading.shares[:, ends].double().mean(dim=0)
    distributions = reading.parts.tree.leaves().exp().double()[[end - reading.node_count for end in ends]]
    total = weights.sum()
    even = torch.full_like(weights, 1 / len(ends))
    mixture = (weights / total if total > 0 else even) @ distributions
    return TreeLeaf(
        node=number, share=float(total), distribution=mixture.tolist(), decisions=len(below) - len(ends)
    )


def _node(
    reading: _Reading,
    number: int,
    images: Tensor,
    labels: Tensor,
    classes: Sequence[str],
    arrays: dict[str, NDArray[Any]],
) -> TreeNode:
    """Describe a node with its training patch; before projection with the nearest patch of the images."""
    nearest, key = reading.parts.nearest, f"tree-node-{number}"
    if _is_projected(reading.parts):
        arrays[key] = nearest.source_pixels[number].cpu().numpy() / np.float32(255)
        label = int(nearest.source_label[number])
        place = (int(nearest.source_row[number]), int(nearest.source_column[number]))
        box = patch_box(*place, nearest.patch, nearest.latent_size.tolist(), images.shape[2:])
    else:
        image = int(reading.distances[:, number].argmin())
        arrays[key] = images[image].float().cpu().numpy()
        label, box = int(labels[image]), reading.box(image, number, images.shape[2:])
    yes, no = reading.children(number)
    return TreeNode(
        node=number,
        yes=yes,
        no=no,
        share=float(reading.shares[:, number].double().mean()),
        similarity=float(torch.exp(-reading.distances[:, number]).double().mean()),
        image=key,
        label=classes[label],
        box=box,
    )


def _path(reading: _Reading, image: int, images: Tensor, labels: Tensor, classes: Sequence[str]) -> TreePath:
    """Follow one image along the more likely decisions."""
    steps = []
    number = reading.next(0)
    while number < reading.node_count:
        similarity = float(torch.exp(-reading.distances[image, number]))
        box = reading.box(image, number, images.shape[2:])
        steps.append(TreeStep(node=number, similarity=similarity, box=box))
        yes, no = reading.children(number)
        number = yes if similarity > 0.5 else no
    prediction: Float64[Tensor, " class"] = reading.log_predictions[image].double().exp()
    best = int(prediction.argmax())
    distribution = reading.parts.tree.leaves()[number - reading.node_count].double().exp()
    return TreePath(
        image=f"tree-image-{image}",
        label=classes[int(labels[image])],
        predicted=classes[best],
        probability=float(prediction[best]),
        steps=steps,
        way=float(reading.shares[image, number]),
        leaf=distribution.tolist(),
    )
