"""Galleries of a study: pictures by their keys, perturbations magnified, what the model makes of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foolscope.experiments.parts.pictures import GalleryRecord, PictureRecord
from foolscope.reports import document as doc
from foolscope.reports.images import magnified_perturbation

__all__ = ["Arrays", "gallery_of", "viewable"]

Arrays = Mapping[str, NDArray[Any]]

_CLASSES = 4
_TRIPLES = (
    " From left to right in each triple: the image, the perturbation (mid-gray is zero), and their sum. "
    "Below: the predicted class"
)
_CAPTIONS = {
    "fooling": f"{_TRIPLES} and its probability.",
    "worst": " Above each: its label. Below: the predicted class and its probability, and the probability "
    "of the label.",
}
_WITH_BARS = f"{_TRIPLES}, and the probabilities of the likeliest classes, the same for both images."


def gallery_of(
    record: GalleryRecord, arrays: Arrays, key: str, classes: Sequence[str] = ()
) -> doc.Gallery | None:
    """Build a gallery from pixels by key, (channel, height, width) in [0, 1]; None if there are none.

    With the names of the classes it shows whole distributions.
    """
    rows = [panels for row in record.rows if (panels := _row(row, record, arrays, classes))]
    if not rows:
        return None
    with_bars = any(panel.bars for row in rows for panel in row)
    return doc.Gallery(rows, record.caption + (_WITH_BARS if with_bars else _CAPTIONS[record.kind]), key=key)


def _row(
    row: list[PictureRecord], record: GalleryRecord, arrays: Arrays, classes: Sequence[str]
) -> list[doc.Panel]:
    panels = []
    shown = _likeliest(row, classes)
    for picture in row:
        title = f"label {picture.title}" if record.kind == "worst" else picture.title
        lines = list(picture.lines)
        if picture.key in arrays:
            bars = _bars(picture, shown, classes)
            panels.append(doc.Panel(viewable(arrays[picture.key]), title, lines[:1] if bars else lines, bars))
        elif picture.title == "perturbation" and all(end.key in arrays for end in (row[0], row[-1])):
            magnified = magnified_perturbation(arrays[row[0].key], arrays[row[-1].key])
            panels.append(doc.Panel(viewable(magnified.image), title, [*lines, magnified.label]))
    return panels


def _likeliest(row: Sequence[PictureRecord], classes: Sequence[str]) -> list[int]:
    """Choose the classes of the highest probability in any picture of a row, sorted by the first picture."""
    known = [
        picture.probabilities for picture in row if classes and len(picture.probabilities) == len(classes)
    ]
    if not known:
        return []
    order = np.argsort(-np.max(known, axis=0), kind="stable")[:_CLASSES].tolist()
    return sorted(order, key=lambda place: -known[0][place])


def _bars(picture: PictureRecord, shown: Sequence[int], classes: Sequence[str]) -> list[tuple[str, float]]:
    """Return a picture's probabilities of some classes, and the sum over all others."""
    if not shown or len(picture.probabilities) != len(classes):
        return []
    bars = [(classes[place], picture.probabilities[place]) for place in shown]
    rest = max(0.0, sum(picture.probabilities) - sum(fraction for _, fraction in bars))
    return bars if len(shown) == len(classes) else [*bars, ("others", rest)]


def viewable(image: NDArray[Any]) -> NDArray[Any]:
    """Average the channels of an image unless it has one or three."""
    if image.ndim == 3 and image.shape[0] not in (1, 3):
        return np.asarray(image.mean(axis=0))
    return image
