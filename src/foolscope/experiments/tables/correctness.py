"""Which test images each run classified correctly, from an ``.npz`` file of named arrays."""

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from foolscope.core.errors import DataError, RecipeError
from foolscope.experiments.tables.designs import Cells
from foolscope.experiments.tables.naming import find_setting, setting_words

__all__ = ["read_correct"]

_NAME = re.compile(
    r"(?P<setting>.+?)(?:[/|:@]|[-_, ]+(?=seed))\s*(?:seed[-_=: ]*)?(?P<seed>[^/|:@]+)", re.IGNORECASE
)
_ROUNDING = 0.00051  # a table with percent to one decimal


def read_correct(
    path: Path, cells: Cells, *, factor: float, is_error: bool
) -> Bool[np.ndarray, "cell block image"]:
    """Read the correctness of every run and compare its mean with the table.

    Arrays are named by setting and seed (``A/0``, ``lr=0.1/seed=0``) with a value for each image, or by
    setting with a row for each of its seeds, in ascending order.

    Args:
        path: of the file; True or 1 where an image was classified correctly.
        cells: of the table.
        factor: that turns the table's values into shares.
        is_error: whether the metric is the share of wrong images.

    Raises:
        DataError: the file or an array cannot be used, a run has none, or its mean is not the table's value.
    """
    arrays = _arrays(path)
    found: dict[tuple[int, int], tuple[str, np.ndarray]] = {}
    for name, array in arrays.items():
        for place, bits in _places(path, name, array, cells).items():
            if place in found:
                raise DataError(f"{path.name}: arrays {found[place][0]!r} and {name!r} are of the same run")
            found[place] = (name, bits)
    images = {len(bits) for _, bits in found.values()}
    if len(images) != 1:
        raise DataError(f"{path.name}: all runs need the same images; got {sorted(images)} images")
    correct = np.zeros((*cells.values.shape, images.pop()), dtype=bool)
    labels = list(cells.settings.values())
    for row, column in zip(*np.nonzero(~cells.absent), strict=True):
        value = cells.values[row, column] * factor
        if (row, column) not in found:
            if not np.isfinite(value):
                continue
            words = setting_words(cells.columns, labels[row])
            raise DataError(f"{path.name} has no array for {words}, {_block(cells, int(column))}")
        name, bits = found[row, column]
        correct[row, column] = bits
        share = 1 - bits.mean() if is_error else bits.mean()
        if np.isfinite(value) and abs(share - value) > _ROUNDING + 0.5 / len(bits):
            raise DataError(
                f"{path.name}: array {name!r} says {share:.4f} where the table says {value:.4f}; they must "
                "be about the same run and the same images"
            )
    return correct


def _arrays(path: Path) -> Mapping[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except FileNotFoundError as error:
        raise DataError(f"no such file: {path}") from error
    except (OSError, ValueError, zipfile.BadZipFile, AttributeError, TypeError) as error:
        raise DataError(f"{path} is no .npz file of plain arrays; write it with numpy.savez") from error


def _places(path: Path, name: str, array: np.ndarray, cells: Cells) -> dict[tuple[int, int], np.ndarray]:
    """Return cell and block of each run in an array."""
    if array.dtype != bool and not np.isin(array, (0, 1)).all():
        raise DataError(f"{path.name}: array {name!r} must be True and False, or 1 and 0; got {array.dtype}")
    settings = list(cells.settings.values())
    bits = array.astype(bool)
    if bits.ndim == 2:
        row = settings.index(_setting(path, name, cells))
        own = np.nonzero(~cells.absent[row])[0]
        if len(own) != len(bits):
            raise DataError(
                f"{path.name}: array {name!r} has {len(bits)} rows for the {len(own)} runs of its setting"
            )
        return {(row, int(column)): each for column, each in zip(own, bits, strict=True)}
    parts = _NAME.fullmatch(name)
    if bits.ndim != 1 or parts is None:
        raise DataError(
            f"{path.name}: array {name!r} of shape {array.shape} must be named SETTING/SEED with a value for "
            "each image, or SETTING with shape (seed, image)"
        )
    row = settings.index(_setting(path, parts["setting"], cells))
    known = cells.seeds or tuple(map(str, cells.blocks))
    if parts["seed"] not in known:
        raise DataError(
            f"{path.name}: array {name!r} names seed {parts['seed']}; known are {', '.join(known)}"
        )
    return {(row, known.index(parts["seed"])): bits}


def _setting(path: Path, name: str, cells: Cells) -> tuple[str, ...]:
    try:
        return find_setting(name, cells.columns, list(cells.settings.values()), option="array")
    except RecipeError as error:
        raise DataError(f"{path.name}: {error}") from error


def _block(cells: Cells, column: int) -> str:
    return f"seed {cells.seeds[column]}" if cells.seeds else f"run {column}"
