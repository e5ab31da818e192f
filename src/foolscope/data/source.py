"""A data set before it is read: its facts, its official files and their mirrors."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foolscope.data.dataset import LabeledImages
from foolscope.data.image_files import ImageFiles
from foolscope.data.settings import DatasetSettings
from foolscope.data.splits import Parts

__all__ = ["Content", "DataSource", "DistributedFile", "Facts"]


@dataclass(frozen=True)
class Content:
    """One file inside a distributed file, as ``gunzip`` or ``tar -x`` writes it.

    Args:
        path: where people have it, relative to the data folder.
        algorithm: ``"sha256"``, or ``"md5"`` where only that digest is published.
        digest: hexadecimal digest of its official bytes.
    """

    path: str
    algorithm: str
    digest: str


@dataclass(frozen=True)
class DistributedFile:
    """One file as its distributor offers it for download.

    Args:
        path: where it lies, relative to the data folder.
        size: length in bytes.
        sha256: hexadecimal digest.
        mirrors: addresses, in the order in which they are tried.
        contents: the files inside, any of which may lie there unpacked instead.
    """

    path: str
    size: int
    sha256: str
    mirrors: tuple[str, ...]
    contents: tuple[Content, ...]

    def present(self, root: Path) -> bool:
        """Return whether the file is in the data folder, packed or completely unpacked."""
        return (root / self.path).is_file() or all((root / inside.path).is_file() for inside in self.contents)


@dataclass(frozen=True)
class Facts:
    """The facts of a data set for the catalog; ``None`` where they depend on the user's files.

    Args:
        title: one phrase, with the source in parentheses.
        classes: number of classes.
        image_shape: channel, height, width.
        train_count: training images as distributed.
        test_count: test images as distributed; ``0`` where there is no official test set.
    """

    title: str
    classes: int | None = None
    image_shape: tuple[int, int, int] | None = None
    train_count: int | None = None
    test_count: int | None = None


@dataclass(frozen=True)
class DataSource:
    """How a data set is read, with its settings, facts and official files.

    Args:
        settings: the settings class; its ``name`` is the key in the table.
        read: from settings and data folder to the images as distributed.
        facts: what the catalog says.
        files: the official files; empty where there is nothing to download.
        listing: where images are files to be decoded, from settings and data folder to those files, so that
            each image is decoded to where it belongs after the split, and is kept decoded.
    """

    settings: type[DatasetSettings]
    read: Callable[[Any, Path], Parts[LabeledImages]]
    facts: Facts
    files: tuple[DistributedFile, ...] = ()
    listing: Callable[[Any, Path], Parts[ImageFiles]] | None = None

    @property
    def own_files(self) -> bool:
        """Whether the user names the files in a ``path`` setting."""
        return "path" in self.settings.model_fields
