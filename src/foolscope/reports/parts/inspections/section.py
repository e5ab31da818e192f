"""A study's inspections of its models: measures over the seeds, and the model of the first seed."""

import math

from foolscope.experiments.parts.inspections.records import StudyInspection
from foolscope.experiments.wording.sentences import PLAIN, POINTS, number
from foolscope.inspection.attribution.means import Mean
from foolscope.reports import document as doc
from foolscope.reports.numbering import prefixed
from foolscope.reports.parts.inspections.answers import edge_words
from foolscope.reports.parts.inspections.inspection import inspection_sections
from foolscope.reports.parts.part import PartReport, doubt_notices, doubt_sentences
from foolscope.reports.parts.pictures import Arrays
from foolscope.reports.phrases import one_or_many, with_interval

__all__ = ["REPORT", "inspected_section", "inspected_sentence"]


def inspected_section(record: StudyInspection, arrays: Arrays) -> doc.Section:
    """Build the section of one inspection: measures over the seeds, then the parts of the first model."""
    several = len(record.seeds) > 1
    images = one_or_many(record.first.images, "test image")
    models = f"The models of {len(record.seeds)} seeds were" if several else "One model was"
    said = inspected_sentence(record)
    blocks: list[doc.Block] = [
        doc.Paragraph(
            (
                f"{models} inspected on the first {images}. {f'{said} ' if said else ''}",
                doc.Reference(f"{record.prefix}measures"),
                " lists the measures" + (", means over the seeds." if several else "."),
            )
        ),
        _table(record),
        *doubt_notices(record.doubts, record.recipe),
    ]
    prefix = record.prefix
    own = {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}
    parts = inspection_sections(record.first, own)
    if several and parts:
        blocks.append(
            doc.Paragraph(
                f"The rest is about the model of seed {record.seeds[0]}; intervals are over its images."
            )
        )
    blocks += prefixed(parts, record.prefix)
    if record.first.notes:
        blocks.append(doc.Bullets(record.first.notes))
    return doc.Section(f"Inside {record.recipe}: {record.name}", blocks)


def inspected_sentence(record: StudyInspection) -> str:
    """Summarize edges and calibration over the seeds; empty where neither was inspected."""
    own, other, difference = (_mean(record, f"edge_{whose}") for whose in ("own", "other", "difference"))
    error, chance = (_mean(record, f"calibration_{which}") for which in ("error", "by_chance"))
    said = []
    if own is not None:
        gradient = f"The gradient of {record.recipe} with respect to the pixels"
        said.append(edge_words(gradient, own, other, difference, one_or_many(len(record.seeds), "seed")))
    if error is not None and chance is not None:
        points = with_interval(error.mean, error.low, error.high, POINTS, (0.0, 1.0))
        said.append(
            f"The expected calibration error of {record.recipe} is {points} points; "
            f"with perfect calibration it would be {number(chance.mean, POINTS)}."
        )
    return " ".join(said)


def _mean(record: StudyInspection, name: str) -> Mean | None:
    found = record.measure(name)
    if found is None or found.mean is None:
        return None
    return Mean(mean=found.mean, low=found.low, high=found.high)


def _table(record: StudyInspection) -> doc.Table:
    rows: list[list[doc.CellValue]] = []
    for each in record.measures:
        bounds = (-1.0, 1.0) if each.name.startswith(("edge_", "attribution_")) else (0.0, math.inf)
        low, high = (None, None) if each.same else (each.low, each.high)
        rows.append([each.words, each.name, with_interval(each.mean, low, high, PLAIN, bounds)])
    seeds = one_or_many(len(record.seeds), "seed")
    in_brackets = "In brackets: 95 % intervals of the means over the seeds. " if len(record.seeds) > 1 else ""
    return doc.Table(
        ["measure", "name", doc.Column("mean", align="right")],
        rows,
        f"Measures of the inspection {record.name} of {record.recipe}, {seeds}.",
        note=f"{in_brackets}A claim refers to a measure by its name: "
        f'metric = "inspection:{record.name}.{record.measures[-1].name}".',
        key=f"{record.prefix}measures",
    )


REPORT = PartReport[StudyInspection](
    sections=lambda records, shown: [inspected_section(each, shown.arrays) for each in records],
    sentences=lambda records, shown: [inspected_sentence(each) for each in records],
    doubts=doubt_sentences,
)
