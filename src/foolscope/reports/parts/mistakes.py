"""Mistakes: which classes are taken for which, and the images that are classified worst."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from foolscope.experiments.parts.mistakes import MistakesRecord
from foolscope.experiments.parts.training import ClassRecord, TrainingRecord
from foolscope.experiments.wording.sentences import POINTS, number
from foolscope.reports import document as doc
from foolscope.reports import figures as draw
from foolscope.reports.parts.part import PartReport, Shown
from foolscope.reports.parts.pictures import gallery_of
from foolscope.reports.phrases import one_or_many, with_interval

__all__ = ["REPORT", "class_blocks", "confusion_blocks", "matrix_blocks"]

_PAIRS = 5
_CLASSES = 20
_BY_CLASS = ("recall", "precision", "F1", "AUC")


def _sections(records: Sequence[MistakesRecord], shown: Shown) -> list[doc.Section]:
    blocks: list[doc.Block] = []
    for record in records:
        for training in shown.record.of("training"):
            if training.confusion and training.recipe in record.confusion:
                blocks += confusion_blocks(training)
        for position, gallery in enumerate(record.worst):
            drawn = gallery_of(gallery, shown.arrays, f"worst-{position}")
            if drawn is not None:
                blocks.append(drawn)
    return [doc.Section("Mistakes", blocks)]


def confusion_blocks(training: TrainingRecord) -> list[doc.Block]:
    """Say and show what one recipe takes for what, summed over its seeds."""
    finished = len(training.seeds) - training.diverged
    seeds = f", summed over {finished} seeds" if finished > 1 else ""
    blocks = matrix_blocks(training.recipe, training.classes, training.confusion, "test image", seeds)
    return [*blocks, *class_blocks(training.recipe, training.by_class, "test image", finished)]


def class_blocks(name: str, classes: Sequence[ClassRecord], image: str, seeds: int = 1) -> list[doc.Block]:
    """Tabulate how well each class is recognized; folded away where there are many."""
    if not classes:
        return []
    rows: list[list[doc.CellValue]] = [
        [
            each.name,
            each.images,
            *(
                with_interval(*value, bounds=(0.0, 1.0))
                for value in (each.recall, each.precision, each.f1, each.auc)
            ),
        ]
        for each in classes
    ]
    means = f"Means over {seeds} seeds, with 95 % intervals in brackets. " if seeds > 1 else ""
    table = doc.Table(
        ["class", doc.Column("images", align="right", format=","), *doc.right(*_BY_CLASS)],
        rows,
        f"How well {name} recognizes each class of the {image}s, in %.",
        note=f"{means}Recall: share of the class that is recognized. Precision: share of what is predicted "
        "as the class that belongs to it, 0 if nothing is. F1: their harmonic mean. AUC: area under the ROC "
        "curve of the class against the rest, 50 without any skill.",
        key=f"classes-{name}",
    )
    return [table] if len(classes) <= _CLASSES else [doc.Details("Every class", [table])]


def matrix_blocks(
    name: str, classes: Sequence[str], counts: Sequence[Sequence[int]], image: str, summed: str = ""
) -> list[doc.Block]:
    """Say and show what a model takes for what, counts[true, predicted]; nothing without images."""
    matrix, key = np.array(counts), f"confusion-{name}"
    totals = matrix.sum(axis=1)
    known = np.flatnonzero(totals)
    if not known.size:
        return []
    recall = np.diag(matrix)[known] / totals[known]
    worst, best = classes[known[recall.argmin()]], classes[known[recall.argmax()]]
    lowest, highest = (f"{number(float(end), POINTS)} %" for end in (recall.min(), recall.max()))
    sentence = (
        f"is equally accurate on every class, {lowest} ("
        if lowest == highest
        else f"is most accurate on “{best}”, {highest}, and least accurate on “{worst}”, {lowest} ("
    )
    blocks: list[doc.Block] = [
        doc.Paragraph((f"The classifier {name} {sentence}", doc.Reference(key), ").")),
        doc.Figure(
            draw.later(draw.confusion_matrix, matrix, classes),
            f"Predictions of {name} for the {image}s of each class, in % of the class"
            f"{' and in images' if len(classes) <= 10 else ''}{summed}. The diagonal is correct.",
            f"Confusion matrix of {name} over {len(classes)} classes.",
            key=key,
        ),
    ]
    pairs = _pairs(name, classes, matrix, image)
    return [*blocks, pairs] if pairs is not None else blocks


def _pairs(name: str, classes: Sequence[str], matrix: NDArray[np.int_], image: str) -> doc.Table | None:
    """Tabulate the most frequent mistakes; None where there is none."""
    wrong = matrix - np.diag(np.diag(matrix))
    order = np.argsort(-wrong, axis=None, kind="stable")[:_PAIRS]
    rows: list[list[doc.CellValue]] = []
    for place in order:
        true, predicted = (int(index) for index in np.unravel_index(place, wrong.shape))
        count = int(wrong[true, predicted])
        if count:
            share = number(count / float(matrix[true].sum()), POINTS)
            rows.append([classes[true], classes[predicted], count, share])
    if not rows:
        return None
    total, every = int(wrong.sum()), int(matrix.sum())
    return doc.Table(
        [
            "true class",
            "predicted class",
            doc.Column("images", align="right", format=","),
            doc.Column("% of the class", align="right"),
        ],
        rows,
        f"The most frequent of the {one_or_many(total, 'mistake')} that {name} makes on "
        f"{one_or_many(every, image)}.",
        key=f"mistakes-{name}",
    )


REPORT = PartReport(sections=_sections)
