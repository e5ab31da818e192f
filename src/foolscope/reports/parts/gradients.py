"""Gradient checks: the relative errors of a model's gradients, layer by layer."""

from collections.abc import Sequence

from foolscope.inspection.check import BY_DIFFERENCES, BY_HAND, Check, TensorError
from foolscope.reports import document as doc
from foolscope.reports import figures as draw

__all__ = ["gradient_blocks"]

_WORDS = {
    BY_HAND: "hand-derived against automatic",
    BY_DIFFERENCES: "automatic against central differences",
}
_MOST_ROWS = 16  # of the table on the page; a longer one is collapsed


def gradient_blocks(recipe: str, checks: Sequence[Check]) -> list[doc.Block]:
    """Build the blocks about the gradients of one recipe, from its gradient checks with their tensors."""
    key = f"gradients-{recipe}"
    found = {check.check: check for check in checks}
    weights = "after training" if checks[0].weights == "trained" else "at its initial weights"
    images = int(checks[0].numbers["images"])
    table = _table(recipe, found)
    folded = len(table.rows) > _MOST_ROWS
    return [
        doc.Paragraph(
            (
                "The gradient of the loss, including penalties, with respect to every parameter and the "
                f"images, {weights}, on {images} training images in float64 and in training mode: automatic "
                "differentiation is compared with hand-derived backward passes, and with central differences "
                "at some entries of each tensor. ",
                doc.Reference(key),
                " shows the largest relative error of each layer: the largest difference divided by the "
                "tensor\u2019s largest gradient. Entries are skipped if ReLU, max or the like switches "
                "within the step of the differences.",
            )
        ),
        _figure(recipe, found, key),
        doc.Details("The errors of every parameter", [table]) if folded else table,
    ]


def _figure(recipe: str, checks: dict[str, Check], key: str) -> doc.Figure:
    worst = ", ".join(
        f"{_WORDS[name]} {_scientific(check.numbers['error'])}" for name, check in checks.items()
    )
    return doc.Figure(
        draw.later(draw.gradient_errors, {_WORDS[name]: check for name, check in checks.items()}),
        f"Relative errors of the gradients of {recipe} by layer. Dashed: the largest that passes.",
        f"Relative error of the gradient by layer; largest: {worst}.",
        key=key,
    )


def _table(recipe: str, checks: dict[str, Check]) -> doc.Table:
    by_name = {name: {each.tensor: each for each in check.tensors} for name, check in checks.items()}
    tensors = dict.fromkeys(each.tensor for check in checks.values() for each in check.tensors)
    columns: list[doc.Column | str] = ["tensor"]
    if BY_HAND in checks:
        columns += [doc.Column("entries", align="right", format=","), doc.Column("by hand", align="right")]
    if BY_DIFFERENCES in checks:
        columns += [
            doc.Column("by differences", align="right"),
            doc.Column("at entries", align="right", format=","),
            doc.Column("skipped", align="right"),
        ]
    rows: list[list[doc.Cell | doc.CellValue]] = []
    for tensor in tensors:
        row: list[doc.Cell | doc.CellValue] = [tensor]
        if BY_HAND in checks:
            each = by_name[BY_HAND][tensor]
            row += [each.coordinates, _error(each, checks[BY_HAND])]
        if BY_DIFFERENCES in checks:
            each = by_name[BY_DIFFERENCES][tensor]
            row += [_error(each, checks[BY_DIFFERENCES]), each.coordinates, each.kinks]
        rows.append(row)
    return doc.Table(
        columns,
        rows,
        f"Relative errors of the automatic gradients of {recipe}, against hand-derived gradients and against "
        "central differences; entries are skipped because ReLU or max switches there.",
        key=f"gradient-errors-{recipe}",
    )


def _error(tensor: TensorError, check: Check) -> doc.Cell:
    failed = tensor.error > check.numbers["goal"]
    return doc.Cell(_scientific(tensor.error), tone="bad" if failed else "plain", emphasis=failed)


def _scientific(value: float) -> str:
    return f"{value:.1e}".replace("-", "\N{MINUS SIGN}") if value else "0"
