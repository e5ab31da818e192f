"""The Python version of the CIFAR format: pickled batches, in a folder or in the official archive."""

import gzip
import io
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from foolscope.core.errors import DataError
from foolscope.data.dataset import LabeledImages
from foolscope.data.location import missing, read_failure
from foolscope.data.pickles import load_arrays

__all__ = ["class_names", "labeled_batches", "read_batches"]

_PIXELS = 3 * 32 * 32


def read_batches(folder: Path, archive: Path, files: Sequence[str], name: str) -> list[dict[bytes, Any]]:
    """Read pickled files from the unpacked folder or, where there is none, straight from the archive.

    Args:
        folder: such as ``cifar-10-batches-py``.
        archive: the official ``.tar.gz`` whose top folder has the same name.
        files: which files of the folder, in the order wanted.
        name: the data set, for errors.

    Returns:
        One dictionary per file.

    Raises:
        DataError: a file is missing or damaged, or its pickle asks for anything but arrays.
    """
    absent = [folder / file for file in files if not (folder / file).is_file()]
    if not absent:
        return [_read_file(folder / file, name) for file in files]
    if archive.is_file():
        return _read_archive(archive, [f"{folder.name}/{file}" for file in files], name)
    raise missing(name, absent[0] if folder.is_dir() else folder, archive)


def _read_file(path: Path, name: str) -> dict[bytes, Any]:
    try:
        with path.open("rb") as stream:
            return load_arrays(stream, str(path))
    except OSError as error:
        raise read_failure(path, error.strerror or str(error), name) from error


def _read_archive(path: Path, members: Sequence[str], name: str) -> list[dict[bytes, Any]]:
    found: dict[str, dict[bytes, Any]] = {}
    try:
        with gzip.open(path, "rb") as unpacked, tarfile.open(fileobj=unpacked, mode="r:") as archive:
            for member in archive:
                inside = member.name.removeprefix("./")
                stream = archive.extractfile(member) if inside in members and member.isreg() else None
                if stream is not None:
                    found[inside] = load_arrays(io.BytesIO(stream.read()), f"{inside} in {path}")
            # The checksum comes last; tarfile stops before it.
            while unpacked.read(1 << 20):
                pass
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise read_failure(path, f"the archive is damaged or cut short ({error})", name) from error
    except OSError as error:
        raise read_failure(path, error.strerror or str(error), name) from error
    absent = [member for member in members if member not in found]
    if absent:
        raise read_failure(path, f"{absent[0]} is not in it", name)
    return [found[member] for member in members]


def labeled_batches(batches: Sequence[dict[bytes, Any]], label_key: bytes, what: str) -> LabeledImages:
    """Join batches into one tensor of images.

    The format: ``data`` is uint8 of shape (count, 3072), each row the red, green and blue plane of one 32×32
    image in row-major order; labels are a list of integers (Krizhevsky 2009, "Learning Multiple Layers of
    Features from Tiny Images"; https://www.cs.toronto.edu/~kriz/cifar.html).

    Args:
        batches: what :func:`read_batches` returned.
        label_key: ``b"labels"``, ``b"fine_labels"`` or ``b"coarse_labels"``.
        what: which files these are, for errors.

    Returns:
        Images of shape (count, 3, 32, 32).

    Raises:
        DataError: a batch lacks pixels or labels, or they have the wrong type or shape.
    """
    pixels, labels = [], []
    for batch in batches:
        rows, values = batch.get(b"data"), batch.get(label_key)
        if not isinstance(rows, np.ndarray) or rows.dtype != np.uint8 or rows.shape[1:] != (_PIXELS,):
            got = f"{rows.dtype} {rows.shape}" if isinstance(rows, np.ndarray) else type(rows).__name__
            raise DataError(f"{what}: 'data' must be uint8 of shape (count, {_PIXELS}); got {got}")
        pixels.append(rows)
        labels.append(_labels(values, len(rows), f"{what}: {label_key.decode()!r}"))
    images = np.concatenate(pixels).reshape(-1, 3, 32, 32)
    return LabeledImages(torch.from_numpy(images), torch.from_numpy(np.concatenate(labels)))


def _labels(values: object, count: int, what: str) -> NDArray[np.int64]:
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise DataError(f"{what} must be {count} integers; got an uneven list") from error
    if array.shape != (count,) or array.dtype.kind not in "iu":
        raise DataError(f"{what} must be {count} integers; got {array.dtype} {array.shape}")
    return array.astype(np.int64)


def class_names(meta: dict[bytes, Any], key: bytes, what: str) -> tuple[str, ...]:
    """Read the names of the classes from the file that lists them.

    Raises:
        DataError: the list is not there or is not a list of names.
    """
    names = meta.get(key)
    if not isinstance(names, list) or not names or not all(isinstance(name, bytes | str) for name in names):
        raise DataError(f"{what}: {key.decode()!r} must be a list of names; got {type(names).__name__}")
    return tuple(name.decode("utf-8", "replace") if isinstance(name, bytes) else name for name in names)
