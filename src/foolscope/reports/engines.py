"""The report of a recipe trained in NumPy and by PyTorch."""

import math

import numpy as np

from foolscope.experiments.engines.records import EnginesRecord
from foolscope.reports import document as doc
from foolscope.reports import figures as draw
from foolscope.reports.parts.training import training_sections

__all__ = ["engines_document"]


def engines_document(record: EnginesRecord) -> doc.Document:
    """Build the report of a recipe that was trained by both engines."""
    in_numpy = record.in_numpy
    comparison = doc.Section("Comparison with PyTorch", _comparison(record))
    return doc.Document(
        f"Training of {in_numpy.model} in NumPy",
        "How accurate is a model trained with hand-derived gradients, and does PyTorch agree?",
        sections=training_sections([in_numpy, record.in_torch], [comparison]),
        facts=[
            ("Model", in_numpy.model),
            ("Parameters", f"{in_numpy.parameter_count:,}"),
            ("Data type", record.precision),
        ],
    )


def _comparison(record: EnginesRecord) -> list[doc.Block]:
    verdict: doc.Block = (
        doc.Paragraph((doc.Strong(record.sentence),))
        if record.agrees
        else doc.Notice(record.sentence, tone="bad")
    )
    if record.agrees and record.magnified:
        verdict = doc.Notice(record.sentence)
    if not record.differences:
        return [verdict]
    blocks: list[doc.Block] = [
        doc.Paragraph(
            (
                "The reference layers are written in NumPy, with hand-derived gradients. Both runs use the "
                "same initial weights, minibatches and learning rates; they may differ only by rounding, "
                "because they sum in a different order. ",
                doc.Reference("differences"),
                " shows the differences.",
            )
        ),
        verdict,
        _table(record),
    ]
    figure = _figure(record)
    return [*blocks, figure] if figure is not None else blocks


def _table(record: EnginesRecord) -> doc.Table:
    tried = any(each.last_digit for each in record.differences)
    rows: list[list[doc.Cell | doc.CellValue]] = [
        [
            each.quantity,
            doc.Cell(_amount(each.largest), tone="plain" if each.agrees else "bad", emphasis=not each.agrees),
            None if each.largest == 0 else each.where,
            _amount(each.goal, decimals=0),
            *[_amount(each.largest_of_last_digit)] * tried,
        ]
        for each in record.differences
    ]
    return doc.Table(
        [
            "quantity",
            doc.Column("largest difference", align="right"),
            "where",
            doc.Column("goal", align="right"),
            *[doc.Column("last digit changed", align="right")] * tried,
        ],
        rows,
        "Largest difference between the NumPy run and the PyTorch run, divided by the largest value of the "
        "curve or tensor.",
        note="Weights are those of the kept checkpoint, which is stored in float32."
        + " Last digit changed: the difference between two NumPy runs, one of which starts from weights with "
        "the last digit changed." * tried,
        key="differences",
    )


def _amount(value: float | None, decimals: int = 1) -> str:
    """Write a small number: ``2.4e−16``, ``1e−9``."""
    if value is None:
        return "not finite"
    return f"{value:.{decimals}e}".replace("e-0", "e-").replace("-", "\N{MINUS SIGN}") if value else "0"


def _figure(record: EnginesRecord) -> doc.Figure | None:
    """Draw the differences by epoch; None if all are zero."""
    drawn = [each for each in record.differences if any(each.by_epoch)]
    if not drawn:
        return None
    floor = float(np.finfo(record.precision).eps) / 10
    curves = {
        each.quantity: draw.Band(
            [None if value is None else math.log10(max(value, floor)) for value in each.by_epoch]
        )
        for each in drawn
    }
    return doc.Figure(
        draw.later(
            draw.line_panels,
            range(1, len(drawn[0].by_epoch) + 1),
            {"Difference, log10": curves},
            x_label="epoch",
            levels={"goal": math.log10(drawn[0].goal)},
            width=640,
        ),
        "Differences between the two runs by epoch, on a log scale that ends at a tenth of the last digit.",
        f"Differences by epoch. {record.sentence}",
        key="differences-by-epoch",
    )
