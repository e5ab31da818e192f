"""A data set in memory: uint8 images, labels and class names."""

import hashlib
from dataclasses import dataclass, replace

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from foolscope.core.errors import DataError

__all__ = ["Dataset", "LabeledImages"]


@dataclass(frozen=True)
class LabeledImages:
    """Images with their labels, held whole in memory on one device.

    Args:
        images: pixel values in [0, 255].
        labels: class indices in [0, classes).
    """

    images: UInt8[Tensor, "count channel height width"]
    labels: Int64[Tensor, " count"]

    def __len__(self) -> int:
        return self.labels.shape[0]

    def take(self, indices: Int64[Tensor, " some"]) -> "LabeledImages":
        """Return the images at these positions, in this order."""
        return LabeledImages(self.images[indices], self.labels[indices])

    def to(self, device: torch.device) -> "LabeledImages":
        """Return the same images on another device."""
        return LabeledImages(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Dataset:
    """A data set with its splits.

    Args:
        name: how a recipe calls it.
        classes: one name per class, by class index.
        train: what training sees.
        validation: what selection sees; ``None`` where the settings keep none.
        test: what only the final report sees.
        fingerprint: SHA-256 over names, shapes, pixels and labels of all splits; part of every trial's
            identity, so that the same recipe on other pixels is another trial.
    """

    name: str
    classes: tuple[str, ...]
    train: LabeledImages
    validation: LabeledImages | None
    test: LabeledImages
    fingerprint: str

    @classmethod
    def build(
        cls,
        name: str,
        classes: tuple[str, ...],
        train: LabeledImages,
        validation: LabeledImages | None,
        test: LabeledImages,
    ) -> "Dataset":
        """Check that the splits agree with each other, and compute the fingerprint.

        Raises:
            DataError: a split is empty, shapes differ between splits, or a label has no class.
        """
        digest = hashlib.sha256(repr((name, classes)).encode())
        for split, part in (("training", train), ("validation", validation), ("test", test)):
            if part is None:
                digest.update(b"none")
                continue
            if len(part) == 0:
                raise DataError(f"{name}: the {split} set is empty; it needs at least one image")
            if part.images.shape[1:] != train.images.shape[1:]:
                raise DataError(
                    f"{name}: {split} images have shape {tuple(part.images.shape[1:])}, "
                    f"training images {tuple(train.images.shape[1:])}; they must agree"
                )
            lowest, highest = int(part.labels.min()), int(part.labels.max())
            if lowest < 0 or highest >= len(classes):
                raise DataError(
                    f"{name}: {split} labels must be in [0, {len(classes) - 1}]; got {lowest} to {highest}"
                )
            digest.update(repr(tuple(part.images.shape)).encode())
            digest.update(part.images.cpu().reshape(-1).numpy().data)
            digest.update(part.labels.cpu().contiguous().numpy().data)
        return cls(name, classes, train, validation, test, digest.hexdigest())

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channel, height, width."""
        channel, height, width = self.train.images.shape[1:]
        return channel, height, width

    def split(self, name: str) -> LabeledImages:
        """Return the split called ``train``, ``validation`` or ``test``.

        Raises:
            DataError: there is no such split.
        """
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        part = parts.get(name)
        if part is None:
            present = ", ".join(key for key, value in parts.items() if value is not None)
            raise DataError(f"{self.name} has no split {name!r}; it has {present}")
        return part

    def to(self, device: torch.device) -> "Dataset":
        """Return the same data set with its pixels on another device."""
        validation = None if self.validation is None else self.validation.to(device)
        return replace(self, train=self.train.to(device), validation=validation, test=self.test.to(device))
