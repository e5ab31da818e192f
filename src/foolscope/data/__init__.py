"""Data sets: readers, official files, splits. To add one, write its file and add its line to ``DATASETS``."""

from pathlib import Path

import torch

from foolscope.core.errors import DataError, did_you_mean
from foolscope.data.catalog import (
    DatasetStatus,
    Fetched,
    FileCheck,
    SplitCheck,
    Verification,
    fetch_source,
    source_status,
    verify_source,
)
from foolscope.data.cifar import CIFAR10, CIFAR100, Cifar10Settings, Cifar100Settings
from foolscope.data.dataset import Dataset, LabeledImages
from foolscope.data.decoded import DECODED_FOLDER, decoded_dataset
from foolscope.data.digits import DIGITS, DigitsSettings
from foolscope.data.download import DownloadCallback
from foolscope.data.folder import FOLDER, FolderSettings
from foolscope.data.image_files import ReadCallback
from foolscope.data.location import data_root
from foolscope.data.mnist import FASHION_MNIST, MNIST, FashionMnistSettings, MnistSettings
from foolscope.data.npz import NPZ, NpzSettings
from foolscope.data.settings import DatasetSettings
from foolscope.data.source import Content, DataSource, DistributedFile, Facts
from foolscope.data.splits import Parts, divide

__all__ = [
    "DATASETS",
    "Cifar10Settings",
    "Cifar100Settings",
    "Content",
    "DataSource",
    "Dataset",
    "DatasetSettings",
    "DatasetStatus",
    "DigitsSettings",
    "DistributedFile",
    "DownloadCallback",
    "Facts",
    "FashionMnistSettings",
    "Fetched",
    "FileCheck",
    "FolderSettings",
    "LabeledImages",
    "MnistSettings",
    "NpzSettings",
    "Parts",
    "ReadCallback",
    "SplitCheck",
    "Verification",
    "data_root",
    "get",
    "load",
    "source",
    "status",
    "verify",
]

DATASETS: dict[str, DataSource] = {
    "digits": DIGITS,
    "mnist": MNIST,
    "fashion-mnist": FASHION_MNIST,
    "cifar10": CIFAR10,
    "cifar100": CIFAR100,
    "folder": FOLDER,
    "npz": NPZ,
}


def source(name: str) -> DataSource:
    """Return the data source of a name in :data:`DATASETS`.

    Raises:
        DataError: there is no such data set.
    """
    if name not in DATASETS:
        raise DataError(f"unknown data set {name!r}. {did_you_mean(name, DATASETS)}")
    return DATASETS[name]


def load(
    settings: DatasetSettings,
    root: Path | None = None,
    device: torch.device | str | None = None,
    progress: ReadCallback | None = None,
) -> Dataset:
    """Read a data set and split it as its settings say.

    Args:
        settings: which data set and how it is split.
        root: the data folder; see :func:`data_root`.
        device: where the pixels go; the CPU if not given.
        progress: where images are files, called with what was done, to how many of them, and their number.

    Returns:
        Images of shape (count, channel, height, width) and type uint8, with labels, on the device. Where
        images are files, they are decoded once and kept in the folder ``decoded-images`` of the data folder;
        on the CPU they are mapped into memory from there.

    Raises:
        DataError: files are missing, damaged or do not fit together; the message says what to do.

    Example:
        >>> digits = load(DigitsSettings())
        >>> digits.image_shape, len(digits.train), len(digits.validation), len(digits.test)
        ((1, 8, 8), 1150, 288, 359)
    """
    line, folder = source(settings.name), data_root(root)
    if line.listing is not None:
        files = divide(line.listing(settings, folder), settings)
        dataset = decoded_dataset(settings.name, files, folder / DECODED_FOLDER, progress)
    else:
        parts = divide(line.read(settings, folder), settings)
        dataset = Dataset.build(settings.name, parts.classes, parts.train, parts.validation, parts.test)
    return dataset if device is None else dataset.to(torch.device(device))


def status(root: Path | None = None) -> tuple[DatasetStatus, ...]:
    """Return which data sets have their files in the data folder."""
    return tuple(source_status(name, line, data_root(root)) for name, line in DATASETS.items())


def get(name: str, root: Path | None = None, progress: DownloadCallback | None = None) -> Fetched:
    """Download the official files of a data set that are not there yet.

    Args:
        name: the data set.
        root: the data folder; see :func:`data_root`.
        progress: called with a file's name, the bytes so far and the bytes in all.

    Raises:
        DataError: the name is unknown, the data set is the user's own, or a download failed.
    """
    return fetch_source(name, source(name), data_root(root), progress)


def verify(name: str, root: Path | None = None, settings: DatasetSettings | None = None) -> Verification:
    """Read a data set and compare its files with the published digests.

    Args:
        name: the data set.
        root: the data folder; see :func:`data_root`.
        settings: needed where they name the files (``folder``, ``npz``).

    Raises:
        DataError: the name is unknown, or the settings are needed and not given.
    """
    line = source(name)
    if settings is None:
        if line.own_files:
            raise DataError(f"{name} reads your own files; give path to say which ones to verify")
        settings = line.settings(name=name)
    return verify_source(name, line, settings, data_root(root))
