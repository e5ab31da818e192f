"""Sanity checks of a recipe, which must pass before its results mean anything, and its learning rates."""

import math
from collections.abc import Sequence

from foolscope.experiments.parts.checks import ChecksRecord
from foolscope.inspection.check import Check
from foolscope.inspection.checks.learning_rate_range import LearningRateRange
from foolscope.reports import document as doc
from foolscope.reports import figures as draw
from foolscope.reports.parts.gradients import gradient_blocks
from foolscope.reports.parts.part import PartReport
from foolscope.reports.phrases import full_stop

__all__ = ["REPORT", "check_document", "check_section"]


def check_document(checks: Sequence[Check], range_test: LearningRateRange, classes: int) -> doc.Document:
    """Build the report of the checks of one recipe, whose data have so many classes."""
    failed = sum(not check.passed for check in checks) + (not range_test.passed)
    return doc.Document(
        f"Checks of {range_test.recipe}",
        "Is it implemented correctly, and which learning rates suit it?",
        sections=[check_section(checks, [range_test], classes)],
        facts=[("Checks", str(len(checks) + 1)), ("Failed", str(failed))],
    )


def check_section(
    checks: Sequence[Check], range_tests: Sequence[LearningRateRange], classes: int
) -> doc.Section:
    """Build the section about checks; failed ones are also listed on top."""
    blocks: list[doc.Block] = [doc.Notice(words, tone="bad") for words in _failures(checks)]
    if checks:
        blocks = [_explanation(classes), *blocks, _table(checks)]
    for recipe in dict.fromkeys(check.recipe for check in checks if check.tensors):
        own = [check for check in checks if check.recipe == recipe and check.tensors]
        blocks.append(doc.Section(f"Gradients of {recipe}", gradient_blocks(recipe, own)))
    for record in range_tests:
        blocks.append(doc.Section(f"Learning rates of {record.recipe}", _range_test_blocks(record)))
    return doc.Section("Sanity checks" if checks else "Learning rates", blocks)


def _failures(checks: Sequence[Check]) -> list[str]:
    return [
        f"{check.recipe} failed a check ({check.check}): {check.sentence}"
        for check in checks
        if not check.passed
    ]


def _explanation(classes: int) -> doc.Paragraph:
    return doc.Paragraph(
        f"An untrained classifier should give each of the {classes} classes about the same probability, "
        f"which makes the loss ln {classes} = {math.log(classes):.3f}. Without regularization, a classifier "
        "that is implemented correctly can fit a few images perfectly; whether it generalizes is another "
        "matter."
    )


def _table(checks: Sequence[Check]) -> doc.Table:
    rows: list[list[doc.Cell | doc.CellValue]] = [
        [check.recipe, check.check, _result(check), check.sentence] for check in checks
    ]
    return doc.Table(
        ["recipe", "check", "result", "finding"],
        rows,
        "Sanity checks of each recipe, with its first seed.",
        key="checks",
    )


def _result(check: Check) -> doc.Cell:
    if check.left_out:
        return doc.Cell("skipped")
    return doc.Cell("passed", tone="good") if check.passed else doc.Cell("failed", tone="bad", emphasis=True)


def _range_test_blocks(record: LearningRateRange) -> list[doc.Block]:
    key = f"learning-rates-{record.recipe}"
    verdict: doc.Block = doc.Paragraph((doc.Strong(record.sentence),))
    if record.standing != "in the range":
        verdict = doc.Notice(record.sentence, tone="caution" if record.passed else "bad")
    return [
        doc.Paragraph(
            (
                f"The network was trained {len(record.rates)} times from the same initial weights on the "
                f"same minibatches, {record.steps} steps each, at a different constant learning rate each "
                "time; ",
                doc.Reference(key),
                " shows the final loss of each run. The suggested range, for a cyclical schedule, goes from "
                "the rate at which the loss falls by 10 % of the largest fall to the last one at which it "
                "falls by 90 % of it. Rates are stable until the loss diverges or falls by less than 10 % of "
                "the largest fall.",
            )
        ),
        verdict,
        _figure(record, key),
        doc.Details(
            "Loss and accuracy at each learning rate",
            [
                doc.Table(
                    [
                        doc.Column("learning rate", align="right"),
                        doc.Column("training loss", align="right", format=".4f"),
                        doc.Column("training accuracy", align="right", format=".1%"),
                    ],
                    _rows(record),
                    f"Training loss and accuracy, mean over the last fifth of {record.steps} steps; the "
                    f"initial weights have a loss of {record.initial_loss:.4f} on the same images.",
                    key=f"rates-{record.recipe}",
                )
            ],
        ),
    ]


def _rows(record: LearningRateRange) -> list[list[doc.Cell | doc.CellValue]]:
    rows: list[list[doc.Cell | doc.CellValue]] = []
    for rate, loss, accuracy in zip(record.rates, record.losses, record.accuracies, strict=True):
        own = rate == record.own_rate
        rows.append(
            [
                doc.Cell(f"{rate:.3g}" + (" (this recipe)" if own else ""), emphasis=own),
                doc.Cell("diverged", tone="bad") if loss is None else loss,
                accuracy,
            ]
        )
    return rows


def _figure(record: LearningRateRange, key: str) -> doc.Figure:
    return doc.Figure(
        draw.later(draw.learning_rate_range, record),
        f"Training loss by learning rate, {record.recipe}. Dashed: a single run whose rate grows from the "
        "lowest to the highest, the test as first published; at each rate it continues from the weights that "
        "the smaller rates led to.",
        f"Loss against learning rate. {record.sentence}",
        key=key,
    )


REPORT = PartReport[ChecksRecord](
    sections=lambda records, shown: [
        check_section(each.checks, each.range_tests, len(shown.record.classes)) for each in records
    ],
    doubts=lambda records: [full_stop(words) for each in records for words in _failures(each.checks)],
)
