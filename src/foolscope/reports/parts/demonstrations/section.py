"""The section of a demonstration: text, figures and the table of its measures."""

from collections.abc import Callable

from foolscope.experiments.parts.demonstrations.kind import DemonstrationRecord
from foolscope.experiments.parts.measures import MeasureRecord
from foolscope.reports import document as doc
from foolscope.reports.parts.demonstrations import (
    constructive_approximation,
    curve_fit,
    gradient_flow,
    linear_regression,
    low_rank,
    shifted_relu,
)
from foolscope.reports.parts.demonstrations.measures import measure_text, over_seeds
from foolscope.reports.parts.part import PartReport
from foolscope.reports.phrases import one_or_many

__all__ = ["REPORT", "demonstration_section", "demonstration_sentence"]

_Blocks = Callable[[DemonstrationRecord], list[doc.Block]]
_Sentence = Callable[[DemonstrationRecord], str]

_KINDS: dict[str, tuple[str, _Blocks, _Sentence]] = {
    "constructive-approximation": (
        "Constructive approximation",
        constructive_approximation.blocks,
        constructive_approximation.sentence,
    ),
    "curve-fit": ("Fitting a curve", curve_fit.blocks, curve_fit.sentence),
    "gradient-flow": ("Gradients through time", gradient_flow.blocks, gradient_flow.sentence),
    "linear-regression": ("Linear regression", linear_regression.blocks, linear_regression.sentence),
    "low-rank": ("Low-rank factorization", low_rank.blocks, low_rank.sentence),
    "shifted-relu": ("The shifted ReLU", shifted_relu.blocks, shifted_relu.sentence),
}
"""For each kind of demonstration: its title, the text and figures of its section, its opening sentence."""


def demonstration_section(record: DemonstrationRecord) -> doc.Section:
    """Build the section of one demonstration: the mathematics in words, figures, a table of measures."""
    title, blocks, _ = _KINDS[record.kind]
    return doc.Section(f"{title}: {record.name}", [*blocks(record), _table(record)])


def demonstration_sentence(record: DemonstrationRecord) -> str:
    """Say in one sentence what a demonstration showed."""
    return _KINDS[record.kind][2](record)


def _table(record: DemonstrationRecord) -> doc.Table:
    seeds = one_or_many(len(record.seeds), "seed")
    return doc.Table(
        ["measure", "name", *doc.right("mean", "over the seeds")],
        [_row(measure) for measure in record.measures],
        f"The measures of {record.name}, with {seeds}.",
        note=f'A claim names a measure as in metric = "measure:{record.name}.{record.measures[0].name}".',
        key=f"measures-{record.name}",
    )


def _row(measure: MeasureRecord) -> list[doc.CellValue]:
    mean = None if measure.mean is None else measure_text(measure.mean)
    return [measure.words, measure.name, mean, over_seeds(measure)]


REPORT = PartReport[DemonstrationRecord](
    sections=lambda records, shown: [demonstration_section(each) for each in records],
    sentences=lambda records, shown: [demonstration_sentence(each) for each in records],
)
