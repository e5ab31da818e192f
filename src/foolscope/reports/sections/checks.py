"""Sanity checks: what a classifier must pass before its numbers mean anything."""

import math
from collections.abc import Sequence

from foolscope.experiments.records import CheckRecord
from foolscope.reports.document import Block, Cell, CellValue, Column, Notice, Paragraph, Section, Table

__all__ = ["check_section"]


def check_section(checks: Sequence[CheckRecord], classes: int) -> Section:
    """Build the section about sanity checks; failed ones are said twice."""
    rows: list[list[Cell | CellValue]] = [
        [
            check.recipe,
            check.check,
            Cell("passed", tone="good") if check.passed else Cell("failed", tone="bad", emphasis=True),
            check.sentence,
        ]
        for check in checks
    ]
    blocks: list[Block] = [
        Paragraph(
            "Before training, a classifier knows nothing: it should give each of the "
            f"{classes} classes about the same probability, which makes the loss "
            f"ln {classes} = {math.log(classes):.3f}. And one that is put together rightly can learn a "
            "single batch by heart."
        ),
        *[
            Notice(f"{check.recipe} failed a check ({check.check}): {check.sentence}", tone="bad")
            for check in checks
            if not check.passed
        ],
        Table(
            [Column("recipe"), Column("check"), Column("result"), Column("what was measured")],
            rows,
            "Sanity checks of each recipe, with its first seed.",
            key="checks",
        ),
    ]
    return Section("Sanity checks", blocks)
