"""Fooling images: galleries of what an attack made of images that the model gets right."""

from collections.abc import Sequence

from foolscope.experiments.parts.pictures import GalleryRecord
from foolscope.reports import document as doc
from foolscope.reports.parts.part import PartReport
from foolscope.reports.parts.pictures import Arrays, gallery_of

__all__ = ["REPORT", "fooling_images"]


def fooling_images(
    galleries: Sequence[GalleryRecord], arrays: Arrays, names: Sequence[str]
) -> list[doc.Block]:
    """Show galleries of fooling images in a subsection; nothing where no pixels are left of them."""
    drawn: list[doc.Block] = [
        gallery
        for position, record in enumerate(galleries)
        if (gallery := gallery_of(record, arrays, f"fooling-{position}", names)) is not None
    ]
    return [doc.Section("Fooling images", drawn)] if drawn else []


REPORT = PartReport[GalleryRecord](
    sections=lambda records, shown: [
        doc.Section("Robustness", fooling_images(records, shown.arrays, shown.record.classes))
    ]
)
