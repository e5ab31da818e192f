"""How a report shows robust accuracy: the part ``[[attacks]]``, and the page of one attack."""

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from foolscope.experiments.parts.attacks.records import CurveRecord
from foolscope.experiments.parts.pictures import GalleryRecord
from foolscope.reports.document import Document, Section
from foolscope.reports.parts.attacks.section import attack_blocks
from foolscope.reports.parts.galleries import fooling_images
from foolscope.reports.parts.part import PartReport, Shown
from foolscope.reports.phrases import full_stop, join_words, threat_words, with_unit

__all__ = ["REPORT", "TITLE", "attack_document"]

TITLE = "Robustness"
"""Of the section that attacks, followed attacks and fooling images share."""


def attack_document(
    curve: CurveRecord, gallery: GalleryRecord, arrays: Mapping[str, NDArray[Any]], classes: int
) -> Document:
    """Build the report of an attack on one model.

    Args:
        curve: the accuracy that the attack left, by budget.
        gallery: images that fool.
        arrays: their pixels by key.
        classes: how many there are.
    """
    subject = curve.attacked
    known = () if subject is None else (("Data", subject.dataset), ("Split", subject.split))
    names = [] if curve.details is None else curve.details.classes
    return Document(
        f"Attack on {curve.recipe}",
        "How accurate is it under attack?",
        sections=[
            Section(TITLE, [*attack_blocks([curve], classes), *fooling_images([gallery], arrays, names)])
        ],
        facts=[
            *[(name, value) for name, value in known if value],
            ("Images", f"{curve.images:,}"),
            ("Attacks", "full evaluation" if curve.checks else ", ".join(curve.attacks)),
        ],
    )


def _sections(curves: Sequence[CurveRecord], shown: Shown) -> list[Section]:
    return [Section(TITLE, attack_blocks(curves, len(shown.record.classes)))]


def _robustness_sentences(curves: Sequence[CurveRecord]) -> list[str]:
    return [
        _robustness_sentence([curve for curve in curves if curve.attack == attack])
        for attack in dict.fromkeys(curve.attack for curve in curves)
    ]


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


def _doubts(curves: Sequence[CurveRecord]) -> list[str]:
    return [f"{curve.recipe}: {full_stop(doubt)}" for curve in curves for doubt in curve.doubts]


REPORT = PartReport(
    sections=_sections, sentences=lambda curves, shown: _robustness_sentences(curves), doubts=_doubts
)
