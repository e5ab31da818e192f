"""How a report shows robust accuracy: the part ``[[attacks]]``, and the page of one attack."""

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from foolscope.experiments.parts.attacks.records import CurveRecord
from foolscope.experiments.parts.pictures import GalleryRecord
from foolscope.reports import document as doc
from foolscope.reports.parts.attacks.section import attack_blocks
from foolscope.reports.parts.galleries import fooling_images
from foolscope.reports.parts.part import PartReport, doubt_sentences
from foolscope.reports.phrases import join_words, threat_words, with_unit

__all__ = ["REPORT", "TITLE", "attack_document"]

TITLE = "Robustness"
"""Of the section that attacks, followed attacks and fooling images share."""


def attack_document(
    curve: CurveRecord, gallery: GalleryRecord, arrays: Mapping[str, NDArray[Any]], classes: int
) -> doc.Document:
    """Build the report of an attack on one model, with a gallery of images that fool it."""
    subject = curve.attacked
    known: list[tuple[str, str | None]] = []
    if subject is not None:
        run = subject.run and subject.run[:10]
        known = [("Run", run), ("Data", subject.dataset), ("Split", subject.split)]
    names = [] if curve.details is None else curve.details.classes
    return doc.Document(
        f"Attack on {curve.recipe}",
        "How accurate is it under attack?",
        sections=[
            doc.Section(TITLE, [*attack_blocks([curve], classes), *fooling_images([gallery], arrays, names)])
        ],
        facts=[
            *[(name, value) for name, value in known if value],
            ("Images", f"{curve.images:,}"),
            ("Attacks", "full evaluation" if curve.checks else ", ".join(curve.attacks)),
        ],
    )


def _robustness_sentence(curves: Sequence[CurveRecord]) -> str:
    """Report the first budget that costs some model half of its images, else the largest."""
    first = curves[0]
    place = next(
        (
            index
            for index, epsilon in enumerate(first.epsilons)
            if epsilon > 0 and min(curve.mean[index] for curve in curves) < 0.5
        ),
        len(first.epsilons) - 1,
    )
    left = [(f"for {curve.recipe}", with_unit(curve.mean[place])) for curve in curves]
    words = [f"{accuracy} {whose}" for whose, accuracy in left]
    threat = threat_words(first.norm, first.epsilons[place])
    return f"An attack that {threat} reduces the test accuracy to {join_words(words)}."


REPORT = PartReport[CurveRecord](
    sections=lambda curves, shown: [doc.Section(TITLE, attack_blocks(curves, len(shown.record.classes)))],
    sentences=lambda curves, shown: [
        _robustness_sentence([curve for curve in curves if curve.attack == attack])
        for attack in dict.fromkeys(curve.attack for curve in curves)
    ],
    doubts=doubt_sentences,
    tables=("robust-table-*",),
)
