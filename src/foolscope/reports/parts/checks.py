"""Checks: what a classifier must pass before its numbers mean anything, and its range of learning rates."""

import math
from collections.abc import Sequence

from foolscope.experiments.records import CheckRecord, RangeTestRecord
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

__all__ = ["check_document", "check_section"]


def check_document(
    checks: Sequence[CheckRecord], range_test: RangeTestRecord, classes: int, title: str = ""
) -> Document:
    """Build the report of the checks of one recipe.

    Args:
        checks: what the sanity checks said.
        range_test: what the learning-rate range test said.
        classes: how many there are.
        title: its heading; by default the recipe's name.
    """
    failed = sum(not check.passed for check in checks) + (not range_test.passed)
    return Document(
        title or f"Checks of {range_test.recipe}",
        "Is it put together rightly, and which learning rates suit it?",
        sections=[check_section(checks, [range_test], classes)],
        facts=[("Checks", str(len(checks) + 1)), ("Failed", str(failed))],
    )


def check_section(
    checks: Sequence[CheckRecord], range_tests: Sequence[RangeTestRecord], classes: int
) -> Section:
    """Build the section about checks; failed ones are said twice."""
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
        "Before training, a classifier knows nothing: it should give each of the "
        f"{classes} classes about the same probability, which makes the loss "
        f"ln {classes} = {math.log(classes):.3f}. And one that is put together rightly can learn a few "
        "images by heart when no regularization holds it back; what it then knows of other images is "
        "another matter."
    )


def _table(checks: Sequence[CheckRecord]) -> Table:
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
        [Column("recipe"), Column("check"), Column("result"), Column("what was measured")],
        rows,
        "Sanity checks of each recipe, with its first seed.",
        key="checks",
    )


def _result(check: CheckRecord) -> Cell:
    if check.left_out:
        return Cell("left out")
    return Cell("passed", tone="good") if check.passed else Cell("failed", tone="bad", emphasis=True)


def _range_test_blocks(record: RangeTestRecord) -> list[Block]:
    key = f"learning-rates-{record.recipe}"
    verdict: Block = Paragraph((Strong(record.sentence),))
    if record.standing != "in the range":
        verdict = Notice(record.sentence, tone="caution" if record.passed else "bad")
    return [
        Paragraph(
            (
                f"The network was trained {len(record.rates)} times from the same initial weights on the "
                f"same minibatches, {record.steps} steps each, at another constant learning rate each time; ",
                Reference(key),
                " shows where each run ended. The suggested range, for a schedule that goes up and down, is "
                "from where the loss falls by a tenth of the greatest fall to where it still falls by nine "
                "tenths of it. Rates are stable up to where the loss diverges, or falls by less than a tenth "
                "of that.",
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
                    f"Training after {record.steps} steps, over the last fifth of them; the initial weights "
                    f"have a loss of {record.initial_loss:.4f} on the same images.",
                )
            ],
        ),
    ]


def _rows(record: RangeTestRecord) -> list[list[Cell | CellValue]]:
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


def _figure(record: RangeTestRecord, key: str) -> Figure:
    return Figure(
        draw.learning_rate_range(
            record.rates,
            record.losses,
            initial_loss=record.initial_loss,
            sweep=record.sweep,
            suggestion=record.suggestion,
            own_rate=record.own_rate,
            title=f"Training loss after {record.steps} steps",
        ),
        f"Training loss by learning rate, {record.recipe}. Dashed: one run whose rate grows from the lowest "
        "to the highest, the test as it was first published; at each rate it starts from where the smaller "
        "ones have brought it.",
        f"Loss against learning rate. {record.sentence}",
        key=key,
    )
