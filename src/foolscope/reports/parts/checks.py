"""Sanity checks of a recipe, which must pass before its results mean anything, and its learning rates."""

import math
from collections.abc import Sequence

from foolscope.experiments.parts.checks import ChecksRecord
from foolscope.inspection.check import Check
from foolscope.inspection.checks.learning_rate_range import LearningRateRange
from foolscope.reports import figures as draw
from foolscope.reports.document import (
    Block,
    Cell,
    CellValue,
    Column,
    Details,
    Document,
    Figure,
    Notice,
    Paragraph,
    Reference,
    Section,
    Strong,
    Table,
)
from foolscope.reports.parts.gradients import gradient_blocks
from foolscope.reports.parts.part import PartReport
from foolscope.reports.phrases import full_stop

__all__ = ["REPORT", "check_document", "check_section"]


def check_document(
    checks: Sequence[Check], range_test: LearningRateRange, classes: int, title: str = ""
) -> Document:
    """Build the report of the checks of one recipe.

    Args:
        checks: sanity checks and gradient checks.
        range_test: the learning-rate range test.
        classes: number of classes.
        title: heading; by default with the recipe's name.
    """
    failed = sum(not check.passed for check in checks) + (not range_test.passed)
    return Document(
        title or f"Checks of {range_test.recipe}",
        "Is it implemented correctly, and which learning rates suit it?",
        sections=[check_section(checks, [range_test], classes)],
        facts=[("Checks", str(len(checks) + 1)), ("Failed", str(failed))],
    )


def check_section(checks: Sequence[Check], range_tests: Sequence[LearningRateRange], classes: int) -> Section:
    """Build the section about checks; failed ones are also listed on top."""
    blocks: list[Block] = [
        Notice(f"{check.recipe} failed a check ({check.check}): {check.sentence}", tone="bad")
        for check in checks
        if not check.passed
    ]
    if checks:
        blocks = [_explanation(classes), *blocks, _table(checks)]
    for recipe in dict.fromkeys(check.recipe for check in checks if check.tensors):
        own = [check for check in checks if check.recipe == recipe and check.tensors]
        blocks.append(Section(f"Gradients of {recipe}", gradient_blocks(recipe, own)))
    for record in range_tests:
        blocks.append(Section(f"Learning rates of {record.recipe}", _range_test_blocks(record)))
    return Section("Sanity checks" if checks else "Learning rates", blocks)


def _explanation(classes: int) -> Paragraph:
    return Paragraph(
        f"An untrained classifier should give each of the {classes} classes about the same probability, "
        f"which makes the loss ln {classes} = {math.log(classes):.3f}. Without regularization, a classifier "
        "that is implemented correctly can fit a few images perfectly; whether it generalizes is another "
        "matter."
    )


def _table(checks: Sequence[Check]) -> Table:
    rows: list[list[Cell | CellValue]] = [
        [
            check.recipe,
            check.check,
            _result(check),
            check.sentence,
        ]
        for check in checks
    ]
    return Table(
        [Column("recipe"), Column("check"), Column("result"), Column("finding")],
        rows,
        "Sanity checks of each recipe, with its first seed.",
        key="checks",
    )


def _result(check: Check) -> Cell:
    if check.left_out:
        return Cell("skipped")
    return Cell("passed", tone="good") if check.passed else Cell("failed", tone="bad", emphasis=True)


def _range_test_blocks(record: LearningRateRange) -> list[Block]:
    key = f"learning-rates-{record.recipe}"
    verdict: Block = Paragraph((Strong(record.sentence),))
    if record.standing != "in the range":
        verdict = Notice(record.sentence, tone="caution" if record.passed else "bad")
    return [
        Paragraph(
            (
                f"The network was trained {len(record.rates)} times from the same initial weights on the "
                f"same minibatches, {record.steps} steps each, at a different constant learning rate each "
                "time; ",
                Reference(key),
                " shows the final loss of each run. The suggested range, for a cyclical schedule, goes from "
                "the rate at which the loss falls by 10 % of the largest fall to the last one at which it "
                "falls by 90 % of it. Rates are stable until the loss diverges or falls by less than 10 % of "
                "the largest fall.",
            )
        ),
        verdict,
        _figure(record, key),
        Details(
            "Loss and accuracy at each learning rate",
            [
                Table(
                    [
                        Column("learning rate", align="right"),
                        Column("training loss", align="right", format=".4f"),
                        Column("training accuracy", align="right", format=".1%"),
                    ],
                    _rows(record),
                    f"Training loss and accuracy, mean over the last fifth of {record.steps} steps; the "
                    f"initial weights have a loss of {record.initial_loss:.4f} on the same images.",
                    key=f"rates-{record.recipe}",
                )
            ],
        ),
    ]


def _rows(record: LearningRateRange) -> list[list[Cell | CellValue]]:
    rows: list[list[Cell | CellValue]] = []
    for rate, loss, accuracy in zip(record.rates, record.losses, record.accuracies, strict=True):
        own = rate == record.own_rate
        rows.append(
            [
                Cell(f"{rate:.3g}" + (" (this recipe)" if own else ""), emphasis=own),
                Cell("diverged", tone="bad") if loss is None else loss,
                accuracy,
            ]
        )
    return rows


def _figure(record: LearningRateRange, key: str) -> Figure:
    return Figure(
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
    doubts=lambda records: [
        f"{check.recipe} failed a check ({check.check}): {full_stop(check.sentence)}"
        for each in records
        for check in each.checks
        if not check.passed
    ],
)
