"""Decoded images, kept in a folder: decoded once, and read from then on by mapping the file into memory.

A file holds the pixels of a data set, split after split, and then the fingerprint of the data set. Its name
is a hash of everything that the pixels follow from: the contents of the image files in the order of the
splits, their labels, the size and colors they are given, and the versions of the decoders. So it cannot be
out of date, and every process that reads it shares its memory. It is written whole or not at all, and may be
deleted at any time; what is found damaged is decoded again.
"""

import hashlib
import math
import os
import shutil
import threading
import time
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from foolscope.core.errors import DataError, StoreError
from foolscope.core.files import whole_file
from foolscope.data.dataset import Dataset, LabeledImages
from foolscope.data.image_files import (
    ImageFiles,
    ReadCallback,
    decode_images,
    decoder_versions,
    digest_files,
)
from foolscope.data.splits import Parts

__all__ = ["DECODED_FOLDER", "decode_in_memory", "decoded_dataset"]

DECODED_FOLDER = "decoded-images"
"""Where decoded images are kept, in the data folder."""

_FINGERPRINT_BYTES = 64  # SHA-256 as hexadecimal digits
_UNUSED_SECONDS = 30 * 24 * 3600.0  # after which a file that nobody has read is deleted
_ABANDONED_SECONDS = 3600.0  # after which an unfinished file that nobody has written to is deleted
_FREE_SHARE = 0.5  # the most that a file may take of the free space


def decoded_dataset(
    name: str, parts: Parts[ImageFiles], folder: Path, progress: ReadCallback | None = None
) -> Dataset:
    """Return the data set of image files, from the decoded images in a folder if they are there.

    If they are not, they are decoded and kept there; in memory, where nothing can be written or where they
    would take more than half of the free space.

    Args:
        name: how a recipe calls the data set.
        parts: the files of its splits.
        folder: of the decoded images.
        progress: called as files are read and decoded.

    Raises:
        DataError: a file cannot be read or decoded, has changed meanwhile, or the splits do not fit together.
    """
    paths = _paths(parts)
    digests = digest_files(paths, progress)
    path = folder / f"{_key(name, parts, digests)}.pixels"
    _clean(folder)
    kept = _kept(path, name, parts)
    if kept is not None:
        return kept
    try:
        return _decode_and_keep(path, name, parts, digests, progress)
    except StoreError:  # no space, or no permission
        return _build(name, parts, _in_memory(paths, parts, progress))


def decode_in_memory(parts: Parts[ImageFiles]) -> Parts[LabeledImages]:
    """Decode image files and keep nothing.

    Raises:
        DataError: a file cannot be read or decoded.
    """
    return _labeled(parts, _in_memory(_paths(parts), parts, None))


def _splits(parts: Parts[ImageFiles]) -> list[ImageFiles]:
    return [part for part in (parts.train, parts.validation, parts.test) if part is not None]


def _paths(parts: Parts[ImageFiles]) -> list[Path]:
    return [path for part in _splits(parts) for path in part.paths]


def _shape(parts: Parts[ImageFiles]) -> tuple[int, int, int, int]:
    return len(_paths(parts)), *parts.train.decoding.image_shape


def _key(name: str, parts: Parts[ImageFiles], digests: Sequence[bytes]) -> str:
    """Return the hash of everything that the pixels and the fingerprint of the data set follow from."""
    counts = [None if part is None else len(part) for part in (parts.train, parts.validation, parts.test)]
    said = (name, parts.classes, parts.train.decoding, counts, decoder_versions())
    digest = hashlib.sha256(repr(said).encode())
    for part in _splits(parts):
        digest.update(part.labels.numpy().data)
    for each in digests:
        digest.update(each)
    return digest.hexdigest()[:32]


def _kept(path: Path, name: str, parts: Parts[ImageFiles]) -> Dataset | None:
    """Return the data set whose pixels are kept in a file; ``None`` if there is none, or it is damaged."""
    shape = _shape(parts)
    size = math.prod(shape)
    try:
        with path.open("rb") as stream:
            if stream.seek(0, os.SEEK_END) != size + _FINGERPRINT_BYTES:
                return None
            stream.seek(size)
            fingerprint = stream.read().decode("ascii", "replace")
        dataset = _build(name, parts, _mapped(path, shape))
    except OSError:
        return None
    if dataset.fingerprint != fingerprint:
        return None
    with suppress(OSError):
        os.utime(path)  # so that it counts as used
    return dataset


def _decode_and_keep(
    path: Path,
    name: str,
    parts: Parts[ImageFiles],
    digests: Sequence[bytes],
    progress: ReadCallback | None,
) -> Dataset:
    """Decode images into a file and map it.

    Raises:
        DataError: a file cannot be read or decoded, or has changed since its digest was taken.
        StoreError: nothing can be written there, or there is too little space.
    """
    paths, shape = _paths(parts), _shape(parts)
    image_size = math.prod(shape[1:])
    with whole_file(path) as stream:
        if math.prod(shape) > _FREE_SHARE * shutil.disk_usage(path.parent).free:
            raise StoreError(f"too little space in {path.parent}")
        lock = threading.Lock()

        def write(position: int, pixels: UInt8[np.ndarray, "channel height width"]) -> None:
            with lock:
                stream.seek(position * image_size)
                stream.write(pixels.data)

        found = decode_images(paths, parts.train.decoding, write, progress)
        for source, before, now in zip(paths, digests, found, strict=True):
            if before != now:
                raise DataError(f"{source} has changed while it was read; run the same command again")
        stream.flush()
        dataset = _build(name, parts, _mapped(Path(stream.name), shape))
        stream.seek(math.prod(shape))
        stream.write(dataset.fingerprint.encode())
    return dataset


def _in_memory(
    paths: Sequence[Path], parts: Parts[ImageFiles], progress: ReadCallback | None
) -> UInt8[Tensor, "count channel height width"]:
    images = torch.empty(_shape(parts), dtype=torch.uint8)
    array = images.numpy()

    def write(position: int, pixels: UInt8[np.ndarray, "channel height width"]) -> None:
        array[position] = pixels

    decode_images(paths, parts.train.decoding, write, progress, "decoded, but cannot be kept")
    return images


def _mapped(path: Path, shape: tuple[int, ...]) -> UInt8[Tensor, "count channel height width"]:
    """Map the pixels of a file into memory; what is written to the tensor stays in this process.

    The system refuses a map that could become larger than the memory, so such a one is for reading only.
    """
    try:
        array = np.memmap(path, np.uint8, "c", shape=shape)
    except OSError:
        array = np.memmap(path, np.uint8, "r", shape=shape)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not writable")
        return torch.from_numpy(array)


def _labeled(
    parts: Parts[ImageFiles], images: UInt8[Tensor, "count channel height width"]
) -> Parts[LabeledImages]:
    """Return the splits as views of all images, which lie one split after another."""
    counts = [len(part) for part in _splits(parts)]
    views = iter(torch.split_with_sizes(images, counts))
    train, validation, test = (
        None if part is None else LabeledImages(next(views), part.labels)
        for part in (parts.train, parts.validation, parts.test)
    )
    assert train is not None
    assert test is not None
    return Parts(parts.classes, train, validation, test)


def _build(
    name: str, parts: Parts[ImageFiles], images: UInt8[Tensor, "count channel height width"]
) -> Dataset:
    labeled = _labeled(parts, images)
    return Dataset.build(name, labeled.classes, labeled.train, labeled.validation, labeled.test)


def _clean(folder: Path) -> None:
    """Delete what nobody has used for long, and what processes that were killed have left unfinished."""
    now = time.time()
    with suppress(OSError):
        for path in folder.iterdir():
            patience = {".pixels": _UNUSED_SECONDS, ".partial": _ABANDONED_SECONDS}.get(path.suffix)
            with suppress(OSError):
                if patience is not None and now - path.stat().st_mtime > patience:
                    path.unlink()
