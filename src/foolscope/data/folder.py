"""A folder of class folders: the user's own images, resized once."""

from pathlib import Path
from typing import Literal

import torch
from pydantic import Field

from foolscope.core.errors import DataError
from foolscope.data.dataset import LabeledImages
from foolscope.data.decoded import decode_in_memory
from foolscope.data.image_files import Decoding, ImageFiles
from foolscope.data.location import own_path
from foolscope.data.settings import DatasetSettings, OwnValidation
from foolscope.data.source import DataSource, Facts
from foolscope.data.splits import Parts, carve_test

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


def _read(settings: FolderSettings, root: Path) -> Parts[LabeledImages]:
    return decode_in_memory(_list(settings, root))


def _list(settings: FolderSettings, root: Path) -> Parts[ImageFiles]:
    """Find the files; their labels are the names of their folders, so no image is read for the splits."""
    top = own_path(settings.path, root)
    if not top.is_dir():
        raise DataError(f"{top} is not a folder of class folders")
    decoding = Decoding(settings.height, settings.width, settings.color)
    if not _is_split(top):
        classes = _class_names(top)
        everything = _image_files(top, classes, decoding)
        train, test = carve_test(everything, settings.test_fraction, settings.split_seed)
        return Parts(classes, train, None, test)
    classes = _class_names(top / "train")
    own = [top / name for name in _VALIDATION if (top / name).is_dir()]
    if len(own) > 1:
        raise DataError(f"{top} has both {own[0].name}/ and {own[1].name}/; it can have one validation set")
    for part in (top / "test", *own):
        unknown = sorted(set(_class_names(part)) - set(classes))
        if unknown:
            raise DataError(f"{part} has the class {unknown[0]!r}, which is not in {top / 'train'}")
    return Parts(
        classes,
        _image_files(top / "train", classes, decoding),
        _image_files(own[0], classes, decoding) if own else None,
        _image_files(top / "test", classes, decoding),
    )


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


def _image_files(folder: Path, classes: tuple[str, ...], decoding: Decoding) -> ImageFiles:
    paths: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        if not (folder / name).is_dir():
            continue
        found = sorted(path for path in (folder / name).iterdir() if path.suffix.lower() in _SUFFIXES)
        if not found:
            raise DataError(f"{folder / name} has no images; known kinds: {', '.join(sorted(_SUFFIXES))}")
        for path in found:
            if path.exists() and not path.is_file():  # a pipe would be waited for
                raise DataError(f"{path} is not a file; remove it from the folder")
        paths.extend(found)
        labels.extend([label] * len(found))
    return ImageFiles(tuple(paths), torch.tensor(labels, dtype=torch.int64), decoding)


FOLDER = DataSource(
    settings=FolderSettings,
    read=_read,
    facts=Facts("your own images, in a folder of class folders"),
    listing=_list,
)
