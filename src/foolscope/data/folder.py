"""A folder of class folders: the user's own images, resized once."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from jaxtyping import UInt8
from pydantic import Field

from foolscope.core.errors import DataError
from foolscope.data.dataset import LabeledImages
from foolscope.data.location import own_path
from foolscope.data.settings import DatasetSettings, OwnValidation
from foolscope.data.source import DataSource, Facts
from foolscope.data.splits import Parts, carve_test

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["FOLDER", "FolderSettings"]

_SPLIT = ("train", "test")
_VALIDATION = ("validation", "val", "valid")
_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})


class FolderSettings(DatasetSettings):
    """Images in class folders: ``path/{train,test[,validation]}/CLASS/*.png``, or ``path/CLASS/*.png``."""

    name: Literal["folder"] = "folder"
    path: str = Field(
        min_length=1, description="the folder; a relative one is also looked for in the data folder"
    )
    height: int = Field(
        default=32, ge=1, le=4096, description="height in pixels to which every image is resized"
    )
    width: int = Field(
        default=32, ge=1, le=4096, description="width in pixels to which every image is resized"
    )
    color: Literal["rgb", "grayscale"] = Field(default="rgb", description="three channels or one")
    validation: OwnValidation = "auto"
    test_fraction: float = Field(
        default=0.2, gt=0, lt=1, description="fraction of images in the test set, without train/ and test/"
    )


def _read(settings: FolderSettings, root: Path) -> Parts:
    top = own_path(settings.path, root)
    if not top.is_dir():
        raise DataError(f"{top} is not a folder of class folders")
    read = partial(_read_images, settings=settings)
    if not _is_split(top):
        classes = _class_names(top)
        train, test = carve_test(read(top, classes), settings.test_fraction, settings.split_seed)
        return Parts(classes, train, None, test)
    classes = _class_names(top / "train")
    own = [top / name for name in _VALIDATION if (top / name).is_dir()]
    if len(own) > 1:
        raise DataError(f"{top} has both {own[0].name}/ and {own[1].name}/; it can have one validation set")
    for part in (top / "test", *own):
        unknown = sorted(set(_class_names(part)) - set(classes))
        if unknown:
            raise DataError(f"{part} has the class {unknown[0]!r}, which is not in {top / 'train'}")
    validation = read(own[0], classes) if own else None
    return Parts(classes, read(top / "train", classes), validation, read(top / "test", classes))


def _is_split(top: Path) -> bool:
    """Return whether the folder has the splits train/ and test/, rather than classes of those names."""
    halves = [
        (top / name).is_dir() and any(path.is_dir() for path in (top / name).iterdir()) for name in _SPLIT
    ]
    if any(halves) and not all(halves):
        present, absent = _SPLIT if halves[0] else _SPLIT[::-1]
        raise DataError(
            f"{top} has {present}/ with class folders, but no {absent}/; it needs both, or neither"
        )
    return all(halves)


def _class_names(folder: Path) -> tuple[str, ...]:
    names = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not names:
        raise DataError(f"{folder} has no class folders; it needs one folder of images for each class")
    return tuple(names)


def _read_images(folder: Path, classes: tuple[str, ...], *, settings: FolderSettings) -> LabeledImages:
    paths, labels = [], []
    for label, name in enumerate(classes):
        if not (folder / name).is_dir():
            continue
        found = sorted(path for path in (folder / name).iterdir() if path.suffix.lower() in _SUFFIXES)
        if not found:
            raise DataError(f"{folder / name} has no images; known kinds: {', '.join(sorted(_SUFFIXES))}")
        paths.extend(found)
        labels.extend([label] * len(found))
    decode: Callable[[Path], UInt8[np.ndarray, "channel height width"]] = partial(_decode, settings=settings)
    # Pillow releases the interpreter while it decodes, so threads use all cores.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        images = np.stack(list(pool.map(decode, paths)))
    return LabeledImages(torch.from_numpy(images), torch.tensor(labels, dtype=torch.int64))


def _decode(path: Path, *, settings: FolderSettings) -> UInt8[np.ndarray, "channel height width"]:
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as opened:
            image = _eight_bits(ImageOps.exif_transpose(opened)).convert(
                "RGB" if settings.color == "rgb" else "L"
            )
            if image.size != (settings.width, settings.height):
                image = image.resize((settings.width, settings.height), Image.Resampling.BILINEAR)
    # Image decoders raise anything on damaged files: OSError, SyntaxError, ValueError, struct.error and more.
    except Exception as error:
        raise DataError(
            f"cannot read the image {path}: {error}; repair the file or remove it from the folder"
        ) from error
    pixels = np.asarray(image)
    return np.ascontiguousarray(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1))


def _eight_bits(image: "Image.Image") -> "Image.Image":
    """Scale 16-bit gray values to 8 bits, where Pillow's own conversion would clip them."""
    from PIL import Image

    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image).astype(np.int64)
    return Image.fromarray(np.clip(np.rint(values / 257), 0, 255).astype(np.uint8))


FOLDER = DataSource(
    settings=FolderSettings, read=_read, facts=Facts("your own images, in a folder of class folders")
)
