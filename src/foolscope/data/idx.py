"""The idx format of the MNIST family: a magic number, the sizes, then bytes; gzip-compressed or plain."""

import gzip
import io
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

from foolscope.core.errors import DataError
from foolscope.data.dataset import LabeledImages
from foolscope.data.location import missing, read_failure
from foolscope.data.source import Content, DistributedFile
from foolscope.data.splits import Parts

__all__ = ["IDX_FILES", "idx_files", "read_idx", "read_idx_folder"]

IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_UNSIGNED_BYTE = 0x08


def read_idx(path: Path) -> UInt8[np.ndarray, "..."]:
    """Read an idx file of unsigned bytes.

    The format: two zero bytes, the type (``0x08`` for unsigned bytes), the number of dimensions, each size as
    a big-endian 32-bit integer, then the values in row-major order (LeCun et al. 1998,
    http://yann.lecun.com/exdb/mnist/). A file whose name ends in ``.gz`` is gzip-compressed.

    Returns:
        A writable array of the file's shape, values in [0, 255].

    Raises:
        DataError: the file cannot be read, is no idx file of unsigned bytes, or is not as long as it says.
    """
    try:
        with path.open("rb") as stream:
            if path.suffix != ".gz":
                return _parse(stream)
            with gzip.GzipFile(fileobj=stream) as unpacked:
                return _parse(unpacked)
    except EOFError as error:
        raise DataError(f"cannot read {path}: the gzip stream is cut short") from error
    except (OSError, zlib.error) as error:
        raise DataError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    except (ValueError, MemoryError, OverflowError) as error:
        raise DataError(f"cannot read {path}: {error}") from error


def _parse(stream: io.BufferedIOBase) -> UInt8[np.ndarray, "..."]:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise ValueError(
            f"not an idx file: it must begin with 00 00 08, begins with {magic.hex(' ') or 'nothing'}"
        )
    if magic[2] != _UNSIGNED_BYTE:
        raise ValueError(f"the idx type must be 0x08 (unsigned bytes); got 0x{magic[2]:02x}")
    dimensions = magic[3]
    header = stream.read(4 * dimensions)
    if len(header) < 4 * dimensions:
        raise ValueError("the idx header is cut short")
    shape = struct.unpack(f">{dimensions}I", header)
    size = math.prod(shape)
    values = stream.read(size)
    if len(values) < size:
        raise ValueError(f"cut short: {len(values)} of {size} bytes for shape {shape}")
    if stream.read(1):
        raise ValueError(f"it goes on after the {size} bytes of shape {shape}")
    return np.frombuffer(values, np.uint8).reshape(shape).copy()


def read_idx_folder(folder: Path, name: str, classes: tuple[str, ...]) -> Parts[LabeledImages]:
    """Read the four files of an MNIST-like data set.

    Each may lie in the folder plain or with ``.gz``.

    Raises:
        DataError: a file is missing or damaged, or images and labels do not match.
    """
    arrays = []
    for file in IDX_FILES:
        plain, packed = folder / file, folder / f"{file}.gz"
        path = plain if plain.is_file() else packed
        if not path.is_file():
            raise missing(name, packed, plain)
        try:
            array = read_idx(path)
        except DataError as error:
            raise DataError(f"{error}; delete it and run 'foolscope data get {name}'") from error
        expected = 3 if "images" in file else 1
        if array.ndim != expected:
            raise read_failure(path, f"it must have {expected} dimensions; got shape {array.shape}", name)
        arrays.append(array)
    return Parts(
        classes,
        train=_labeled(arrays[0], arrays[1], f"{name} training"),
        validation=None,
        test=_labeled(arrays[2], arrays[3], f"{name} test"),
    )


def _labeled(
    images: UInt8[np.ndarray, "images height width"], labels: UInt8[np.ndarray, " labels"], what: str
) -> LabeledImages:
    if len(images) != len(labels):
        raise DataError(f"{what} files do not belong together: {len(images)} images, {len(labels)} labels")
    return LabeledImages(torch.from_numpy(images).unsqueeze(1), torch.from_numpy(labels.astype(np.int64)))


def idx_files(
    folder: str, mirrors: tuple[str, ...], digests: dict[str, tuple[int, str, str]]
) -> tuple[DistributedFile, ...]:
    """Describe the four official files.

    Each idx file has the size and SHA-256 of its ``.gz`` and the SHA-256 unpacked; addresses end in a slash.
    """
    return tuple(
        DistributedFile(
            path=f"{folder}/{file}.gz",
            size=size,
            sha256=packed,
            mirrors=tuple(f"{mirror}{file}.gz" for mirror in mirrors),
            contents=(Content(f"{folder}/{file}", "sha256", unpacked),),
        )
        for file, (size, packed, unpacked) in digests.items()
    )
