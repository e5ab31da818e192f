"""Galleries of a study: pictures by their keys, perturbations magnified."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foolscope.experiments.records import GalleryRecord, PictureRecord
from foolscope.reports.document import Gallery, Panel
from foolscope.reports.images import magnified_perturbation

__all__ = ["Arrays", "gallery_of"]

Arrays = Mapping[str, NDArray[Any]]

_CAPTIONS = {
    "fooling": " From left to right in each triple: the image, the perturbation, which is nothing where it "
    "is mid-gray, and their sum. Below: the class predicted and its probability.",
    "worst": " Above each: its label. Below: the class predicted and its probability, and the probability "
    "left for the label.",
}


def gallery_of(record: GalleryRecord, arrays: Arrays, key: str) -> Gallery | None:
    """Put a gallery's pictures together; None where no pixels are left of them.

    Args:
        record: rows of pictures.
        arrays: pixels by key, (channel, height, width) in [0, 1].
        key: for references.
    """
    rows = [panels for row in record.rows if (panels := _row(row, record, arrays))]
    if not rows:
        return None
    return Gallery(rows, record.caption + _CAPTIONS[record.kind], key=key)


def _row(row: list[PictureRecord], record: GalleryRecord, arrays: Arrays) -> list[Panel]:
    panels = []
    for picture in row:
        title = f"label {picture.title}" if record.kind == "worst" else picture.title
        lines = list(picture.lines)
        if picture.key in arrays:
            panels.append(Panel(_viewable(arrays[picture.key]), title, lines))
        elif picture.title == "perturbation" and all(end.key in arrays for end in (row[0], row[-1])):
            magnified = magnified_perturbation(arrays[row[0].key], arrays[row[-1].key])
            panels.append(Panel(_viewable(magnified.image), title, [*lines, magnified.label]))
    return panels


def _viewable(image: NDArray[Any]) -> NDArray[Any]:
    """Average the channels of an image that has neither one nor three."""
    if image.ndim == 3 and image.shape[0] not in (1, 3):
        return np.asarray(image.mean(axis=0))
    return image
