"""Seeded splits: disjoint, covering all images, and stratified by class."""

from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from foolscope.core.randomness import numpy_generator
from foolscope.data.settings import DatasetSettings

__all__ = ["Labeled", "Parts", "carve_test", "divide", "halve", "stratified_choice", "stratified_split"]


Images = TypeVar("Images", bound="Labeled")


@runtime_checkable
class Labeled(Protocol):
    """Anything with labels of which some can be taken: images in memory, or files not decoded yet."""

    @property
    def labels(self) -> Int64[Tensor, " count"]:
        """Class indices."""
        ...

    def __len__(self) -> int: ...

    def take(self: Images, indices: Int64[Tensor, " some"]) -> Images:
        """Return those at these positions, in this order."""
        ...


@dataclass(frozen=True)
class Parts(Generic[Images]):
    """The splits of a data set: as distributed, or with the validation set that its settings ask for.

    Args:
        classes: one name per class, by class index.
        train: the training images as distributed.
        validation: the distributor's own validation images, if any.
        test: the test images.
    """

    classes: tuple[str, ...]
    train: Images
    validation: Images | None
    test: Images


def stratified_choice(
    labels: Int64[Tensor, " count"], size: int, generator: np.random.Generator
) -> Int64[Tensor, " size"]:
    r"""Choose images at random so that every class keeps its share, within one image.

    Class :math:`c` with :math:`n_c` of :math:`n` images is due :math:`q_c = s\,n_c/n`; it gets
    :math:`\lfloor q_c \rfloor`, and the images still missing from :math:`s` go to the classes with the
    largest remainders (Hamilton's apportionment), ties broken at random.

    Returns:
        Distinct positions in ascending order.
    """
    values, inverse, counts = np.unique(labels.cpu().numpy(), return_inverse=True, return_counts=True)
    assert 0 <= size <= len(inverse)
    whole, remainders = np.divmod(size * counts, max(len(inverse), 1))
    # Sorting by remainder after a shuffle breaks ties at random; integers keep it exact.
    order = generator.permutation(len(values))
    favored = order[np.argsort(-remainders[order], kind="stable")][: size - int(whole.sum())]
    whole[favored] += 1
    chosen = [
        generator.permutation(np.flatnonzero(inverse == index))[:share]
        for index, share in enumerate(whole.tolist())
    ]
    return torch.from_numpy(np.sort(np.concatenate([np.empty(0, np.int64), *chosen])).astype(np.int64))


def stratified_split(
    images: Images, fraction: float, generator: np.random.Generator
) -> tuple[Images, Images]:
    """Split images in two, stratified by class, each part in the original order.

    Returns:
        The rest, and the part carved out: ``round(fraction * count)`` images, each class within one image
        of its share.
    """
    carved = stratified_choice(images.labels, round(fraction * len(images)), generator)
    return images.take(_others(carved, len(images))), images.take(carved)


def halve(images: Images, generator: np.random.Generator) -> tuple[Images, Images]:
    """Split images at random into two halves, ignoring their classes; the second gets the odd one."""
    order = torch.from_numpy(generator.permutation(len(images)).astype(np.int64))
    middle = len(images) // 2
    return images.take(order[:middle].sort().values), images.take(order[middle:].sort().values)


def carve_test(images: Images, fraction: float, seed: int) -> tuple[Images, Images]:
    """Set a stratified test set aside, for data that come without one; returns training and test images."""
    return stratified_split(images, fraction, numpy_generator(seed, "split", "test"))


def divide(parts: Parts[Images], settings: DatasetSettings) -> Parts[Images]:
    """Make the validation set the settings ask for, then apply their limit to the training set.

    The split depends on ``split_seed`` alone: neither on a trial's seed nor on ``limit``.
    """
    mode = settings.validation
    if mode == "auto":
        mode = "stratified" if parts.validation is None else "official"
    generator = numpy_generator(settings.split_seed, "split", "validation")
    if mode == "stratified":
        train, validation = stratified_split(parts.train, settings.validation_fraction, generator)
        parts = replace(parts, train=train, validation=validation)
    elif mode == "test-half":
        validation, test = halve(parts.test, generator)
        parts = replace(parts, validation=validation, test=test)
    elif mode == "none":
        parts = replace(parts, validation=None)
    else:
        assert mode == "official", mode
    if settings.limit is None or settings.limit >= len(parts.train):
        return parts
    generator = numpy_generator(settings.split_seed, "split", "limit")
    return replace(
        parts, train=parts.train.take(stratified_choice(parts.train.labels, settings.limit, generator))
    )


def _others(chosen: Int64[Tensor, " some"], count: int) -> Int64[Tensor, " rest"]:
    mask = torch.ones(count, dtype=torch.bool)
    mask[chosen] = False
    return mask.nonzero().squeeze(1)
