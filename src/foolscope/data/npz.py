"""A NumPy archive: the user's own arrays of images and labels."""

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from numpy.typing import NDArray
from pydantic import Field

from foolscope.core.errors import DataError
from foolscope.data.dataset import LabeledImages
from foolscope.data.location import own_path
from foolscope.data.settings import DatasetSettings, OwnValidation
from foolscope.data.source import DataSource, Facts
from foolscope.data.splits import Parts, carve_test

__all__ = ["NPZ", "NpzSettings", "images_from_array", "labels_from_array"]

_MOST_CLASSES = 65_536
_KEYS = {
    "train": (("train_images", "train_labels"), ("x_train", "y_train")),
    "test": (("test_images", "test_labels"), ("x_test", "y_test")),
    "validation": (
        ("validation_images", "validation_labels"),
        ("val_images", "val_labels"),
        ("x_validation", "y_validation"),
        ("x_val", "y_val"),
    ),
    "all": (("images", "labels"), ("x", "y")),
}


class NpzSettings(DatasetSettings):
    """Arrays in one ``.npz``: ``train_images``, ``train_labels`` and so on, or ``images``, ``labels``."""

    name: Literal["npz"] = "npz"
    path: str = Field(
        min_length=1, description="the file; a relative one is also looked for in the data folder"
    )
    layout: Literal["auto", "channels-first", "channels-last"] = Field(
        default="auto",
        description="position of the channels in arrays of four dimensions; 'auto' looks for a 1 or 3",
    )
    validation: OwnValidation = "auto"
    test_fraction: float = Field(
        default=0.2, gt=0, lt=1, description="fraction of images in the test set, if the file has none"
    )


def _read(settings: NpzSettings, root: Path) -> Parts[LabeledImages]:
    path = own_path(settings.path, root)
    arrays = _load(path)
    found = {split: _labeled(arrays, split, settings, path) for split in _KEYS}
    train, test, validation, everything = found["train"], found["test"], found["validation"], found["all"]
    if train is None and everything is None:
        raise DataError(
            f"{path} has the keys {', '.join(sorted(arrays)) or '(none)'}; it needs train_images and "
            "train_labels (or x_train and y_train), or images and labels"
        )
    if train is None:
        train = everything
    assert train is not None
    if test is None:
        train, test = carve_test(train, settings.test_fraction, settings.split_seed)
    count = 1 + max(
        int(part.labels.max()) for part in (train, test, validation) if part is not None and len(part)
    )
    if count > _MOST_CLASSES:
        raise DataError(
            f"{path} has the label {count - 1}; labels must be class indices below {_MOST_CLASSES}"
        )
    return Parts(_class_names(arrays, count, path), train, validation, test)


def _load(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with path.open("rb") as stream:
            loaded = np.load(stream, allow_pickle=False)
            if not isinstance(loaded, np.lib.npyio.NpzFile):
                raise DataError(f"{path} is a single array, not an .npz with images and labels")
            with loaded:
                return {key: loaded[key] for key in loaded.files}
    except (
        ValueError,
        OSError,
        EOFError,
        KeyError,
        zipfile.BadZipFile,
        zlib.error,
        RuntimeError,  # an encrypted member, or a compression that zipfile does not know
    ) as error:
        if isinstance(error, DataError):
            raise
        reason = str(error).split("\n")[0]
        raise DataError(f"cannot read {path}: {reason}; save it again with numpy.savez") from error


def _labeled(
    arrays: Mapping[str, NDArray[Any]], split: str, settings: NpzSettings, path: Path
) -> LabeledImages | None:
    for image_key, label_key in _KEYS[split]:
        if image_key not in arrays and label_key not in arrays:
            continue
        if image_key not in arrays or label_key not in arrays:
            present, absent = (image_key, label_key) if image_key in arrays else (label_key, image_key)
            raise DataError(f"{path} has {present} but no {absent}")
        images = images_from_array(arrays[image_key], settings.layout, f"{path}: {image_key}")
        labels = labels_from_array(arrays[label_key], f"{path}: {label_key}")
        if len(images) != len(labels):
            raise DataError(f"{path}: {image_key} has {len(images)} images, {label_key} {len(labels)} labels")
        return LabeledImages(torch.from_numpy(images), torch.from_numpy(labels))
    return None


def images_from_array(
    array: NDArray[Any], layout: Literal["auto", "channels-first", "channels-last"], what: str
) -> UInt8[np.ndarray, "count channel height width"]:
    """Convert an array of images to the shape and type of a data set.

    Args:
        array: (N, H, W), (N, H, W, C) or (N, C, H, W), uint8 in [0, 255] or floats in [0, 1]; floats are
            rounded to the nearest of 256 levels.
        layout: where the channels are; ``"auto"`` takes the axis that has 1 or 3 entries.
        what: what to call the array in an error.

    Raises:
        DataError: the shape, the type or the range is another, or both axes could hold the channels.
    """
    if array.ndim not in (3, 4) or 0 in array.shape:
        raise DataError(f"{what} must have shape (N, H, W), (N, H, W, C) or (N, C, H, W); got {array.shape}")
    if array.ndim == 3:
        array = array[:, None]
    elif _channels_last(array.shape, layout, what):
        array = array.transpose(0, 3, 1, 2)
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if array.dtype.kind != "f":
        raise DataError(f"{what} must be uint8 in [0, 255] or floats in [0, 1]; got {array.dtype}")
    lowest, highest = float(array.min()), float(array.max())
    if not (lowest >= 0 and highest <= 1):
        raise DataError(f"{what} holds floats, which must be in [0, 1]; got {lowest:g} to {highest:g}")
    return np.ascontiguousarray(np.rint(array.astype(np.float32) * 255).astype(np.uint8))


def _channels_last(shape: tuple[int, ...], layout: str, what: str) -> bool:
    if layout != "auto":
        return layout == "channels-last"
    first, last = shape[1] in (1, 3), shape[3] in (1, 3)
    if first == last:
        problem = "could be either" if first else "is unclear: neither axis 1 nor axis 3 has 1 or 3"
        raise DataError(f"{what} has shape {shape}; where its channels are {problem}; set layout")
    return last


def labels_from_array(array: NDArray[Any], what: str) -> Int64[np.ndarray, " count"]:
    """Convert an array of labels, (N,) or (N, 1) of any integer type, to the type of a data set.

    Raises:
        DataError: the shape or the type is another, or a label is negative.
    """
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise DataError(f"{what} must be integers of shape (N,); got {array.dtype} {array.shape}")
    if array.size and int(array.min()) < 0:
        raise DataError(f"{what} must be class indices from 0; got {int(array.min())}")
    return array.astype(np.int64)


def _class_names(arrays: Mapping[str, NDArray[Any]], count: int, path: Path) -> tuple[str, ...]:
    names = arrays.get("classes", arrays.get("class_names"))
    if names is None:
        return tuple(str(index) for index in range(count))
    if names.ndim != 1 or names.dtype.kind != "U" or len(names) < count:
        raise DataError(f"{path}: classes must be at least {count} strings; got {names.dtype} {names.shape}")
    return tuple(str(name) for name in names)


NPZ = DataSource(settings=NpzSettings, read=_read, facts=Facts("your own arrays, in an .npz"))
