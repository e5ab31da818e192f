"""Tiny files in the official formats, byte by byte, so that readers are not tested on their own writers."""

import gzip
import io
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from foolscope.data import DatasetSettings, DigitsSettings, FolderSettings, NpzSettings, source


def _string(value: bytes) -> bytes:
    return b"T" + struct.pack("<i", len(value)) + value


def _python2(value: Any) -> bytes:
    """Pickle as Python 2 and the NumPy of 2009 did: protocol 2, str as bytes, dtype flags as integers."""
    if isinstance(value, bytes):
        return _string(value)
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    if isinstance(value, list):
        return b"](" + b"".join(map(_python2, value)) + b"e"
    if isinstance(value, dict):
        return b"}(" + b"".join(_python2(key) + _python2(item) for key, item in value.items()) + b"u"
    assert isinstance(value, np.ndarray)
    assert value.dtype == np.uint8
    shape = b"(" + b"".join(map(_python2, value.shape)) + b"t"
    empty = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\0t" + _string(b"b") + b"tR"
    dtype = (
        b"cnumpy\ndtype\n(" + _string(b"u1") + b"K\0K\x01tR(K\x03" + _string(b"|") + b"NNNJ\xff\xff\xff\xff"
    )
    dtype += b"J\xff\xff\xff\xffK\0tb"
    return empty + b"(K\x01" + shape + dtype + b"I00\n" + _string(value.tobytes()) + b"tb"


def python2_pickle(value: Any) -> bytes:
    return b"\x80\x02" + _python2(value) + b"."


def idx_bytes(array: NDArray[np.uint8]) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_tar(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def balanced(count: int, classes: int) -> list[int]:
    return [index % classes for index in range(count)]


def pixels(seed: int, *shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def cifar10_files(per_batch: int = 20) -> dict[str, bytes]:
    files = {}
    for seed, name in enumerate([*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]):
        labels = balanced(per_batch, 10)
        files[name] = python2_pickle(
            {
                b"batch_label": name.encode(),
                b"labels": labels,
                b"data": pixels(seed, per_batch, 3072),
                b"filenames": [b"x.png"] * per_batch,
            }
        )
    names = [f"class {index}".encode() for index in range(10)]
    files["batches.meta"] = python2_pickle({b"num_cases_per_batch": per_batch, b"label_names": names})
    return files


def write_cifar10(root: Path) -> DatasetSettings:
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for name, content in cifar10_files().items():
        (folder / name).write_bytes(content)
    return source("cifar10").settings(name="cifar10")


def cifar100_files() -> dict[str, bytes]:
    files = {}
    for seed, (name, count) in enumerate({"train": 400, "test": 200}.items()):
        fine = balanced(count, 100)
        files[name] = python2_pickle(
            {
                b"data": pixels(seed, count, 3072),
                b"fine_labels": fine,
                b"coarse_labels": [label // 5 for label in fine],
            }
        )
    files["meta"] = python2_pickle(
        {
            b"fine_label_names": [f"fine {index}".encode() for index in range(100)],
            b"coarse_label_names": [f"coarse {index}".encode() for index in range(20)],
        }
    )
    return files


def write_cifar100(root: Path) -> DatasetSettings:
    root.mkdir(parents=True, exist_ok=True)
    write_tar(
        root / "cifar-100-python.tar.gz",
        {f"cifar-100-python/{name}": content for name, content in cifar100_files().items()},
    )
    return source("cifar100").settings(name="cifar100")


def write_idx_folder(folder: Path, packed: bool) -> None:
    folder.mkdir(parents=True)
    for seed, (part, count) in enumerate({"train": 40, "t10k": 20}.items()):
        arrays = {
            "images-idx3": pixels(seed, count, 28, 28),
            "labels-idx1": np.array(balanced(count, 10), np.uint8),
        }
        for kind, array in arrays.items():
            content = idx_bytes(array)
            name = f"{part}-{kind}-ubyte"
            if packed:
                (folder / f"{name}.gz").write_bytes(gzip.compress(content))
            else:
                (folder / name).write_bytes(content)


def write_mnist(root: Path) -> DatasetSettings:
    write_idx_folder(root / "MNIST" / "raw", packed=False)
    return source("mnist").settings(name="mnist")


def write_fashion_mnist(root: Path) -> DatasetSettings:
    write_idx_folder(root / "FashionMNIST" / "raw", packed=True)
    return source("fashion-mnist").settings(name="fashion-mnist")


def write_folder(root: Path) -> DatasetSettings:
    for label in ("cat", "dog"):
        folder = root / "pets" / label
        folder.mkdir(parents=True)
        for index in range(10):
            Image.fromarray(pixels(index, 9 + index, 7, 3)).save(folder / f"{index}.png")
    return FolderSettings(path="pets", height=6, width=5)


def write_npz(root: Path) -> DatasetSettings:
    root.mkdir(parents=True, exist_ok=True)
    labels = np.array(balanced(20, 2))
    np.savez(root / "own.npz", images=pixels(0, 20, 6, 5), labels=labels)
    return NpzSettings(path="own.npz")


def write_digits(root: Path) -> DatasetSettings:
    return DigitsSettings()


Writer = Callable[[Path], DatasetSettings]


@pytest.fixture(scope="session")
def writers() -> dict[str, Writer]:
    """For every data set, a function that writes tiny files under a root and returns their settings."""
    return {
        "digits": write_digits,
        "mnist": write_mnist,
        "fashion-mnist": write_fashion_mnist,
        "cifar10": write_cifar10,
        "cifar100": write_cifar100,
        "folder": write_folder,
        "npz": write_npz,
    }


@pytest.fixture(scope="session", name="python2_pickle")
def _python2_pickle() -> Callable[[Any], bytes]:
    return python2_pickle


@pytest.fixture(scope="session", name="idx_bytes")
def _idx_bytes() -> Callable[[NDArray[np.uint8]], bytes]:
    return idx_bytes


@pytest.fixture(scope="session", name="write_tar")
def _write_tar() -> Callable[[Path, dict[str, bytes]], None]:
    return write_tar


@pytest.fixture(scope="session", name="cifar10_files")
def _cifar10_files() -> Callable[[int], dict[str, bytes]]:
    return cifar10_files


@pytest.fixture(scope="session", name="write_idx_folder")
def _write_idx_folder() -> Callable[[Path, bool], None]:
    return write_idx_folder


@pytest.fixture(scope="session", name="pixels")
def _pixels() -> Callable[..., NDArray[np.uint8]]:
    return pixels
