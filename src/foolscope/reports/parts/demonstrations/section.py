"""Demonstrations: what each is about, its figures, and a table of what it measures."""

from collections.abc import Callable

from foolscope.experiments.parts.demonstrations.records import DemonstrationRecord, MeasureRecord
from foolscope.reports.document import Block, CellValue, Column, Section, Table
from foolscope.reports.parts.demonstrations.constructions import construction_blocks, construction_sentence
from foolscope.reports.parts.demonstrations.factorization import factorization_blocks, factorization_sentence
from foolscope.reports.parts.demonstrations.fits import (
    curve_fit_blocks,
    curve_fit_sentence,
    regression_blocks,
    regression_sentence,
)
from foolscope.reports.parts.demonstrations.flows import flow_blocks, flow_sentence
from foolscope.reports.parts.demonstrations.measures import measure_text, over_seeds
from foolscope.reports.parts.demonstrations.rectifiers import rectifier_blocks, rectifier_sentence
from foolscope.reports.phrases import one_or_many

__all__ = ["demonstration_section", "demonstration_sentence"]

_Writer = Callable[[DemonstrationRecord], list[Block]]

_WRITERS: dict[str, tuple[str, _Writer, Callable[[DemonstrationRecord], str]]] = {
    "constructive-approximation": (
        "Constructive approximation",
        construction_blocks,
        construction_sentence,
    ),
    "curve-fit": ("Fitting a curve", curve_fit_blocks, curve_fit_sentence),
    "gradient-flow": ("Gradients through time", flow_blocks, flow_sentence),
    "linear-regression": ("Linear regression", regression_blocks, regression_sentence),
    "low-rank": ("Low-rank factorization", factorization_blocks, factorization_sentence),
    "shifted-relu": ("The shifted ReLU", rectifier_blocks, rectifier_sentence),
}
"""Kind to a title, and what says it in full and in a sentence."""


def demonstration_section(record: DemonstrationRecord) -> Section:
    """Build the section of one demonstration: the mathematics in words, figures, a table of measures."""
    title, write, _ = _WRITERS[record.kind]
    return Section(f"{title}: {record.name}", [*write(record), _table(record)])


def demonstration_sentence(record: DemonstrationRecord) -> str:
    """Say in one sentence what a demonstration showed."""
    return _WRITERS[record.kind][2](record)


def _table(record: DemonstrationRecord) -> Table:
    seeds = one_or_many(len(record.seeds), "seed")
    return Table(
        [
            Column("measure"),
            Column("name", align="left"),
            Column("mean", align="right"),
            Column("over the seeds", align="right"),
        ],
        [_row(measure) for measure in record.measures],
        f"What {record.name} measures, with {seeds}.",
        note="By its name a claim is about a measure: "
        f'metric = "measure:{record.name}.{record.measures[0].name}".',
        key=f"measures-{record.name}",
    )


def _row(measure: MeasureRecord) -> list[CellValue]:
    mean = None if measure.mean is None else measure_text(measure.mean)
    return [measure.words, measure.name, mean, over_seeds(measure)]
