"""Gradient checks: the relative errors of a model's gradients, layer by layer."""

from collections.abc import Sequence

from foolscope.experiments.records import CheckRecord, TensorErrorRecord
from foolscope.reports import figures as draw
from foolscope.reports.document import (
    Block,
    Cell,
    CellValue,
    Column,
    Details,
    Figure,
    Paragraph,
    Reference,
    Table,
)

__all__ = ["gradient_blocks"]

# The checks' names as they are stored; where they come from needs torch, which reports do without.
BY_HAND, BY_DIFFERENCES = "gradients by hand", "gradients by differences"

_WORDS = {
    BY_HAND: "derived by hand against automatic",
    BY_DIFFERENCES: "automatic against differences",
}
_MOST_ROWS = 16  # of the table on the page; a longer one is folded up


def gradient_blocks(recipe: str, checks: Sequence[CheckRecord]) -> list[Block]:
    """Build the part about the gradients of one recipe.

    Args:
        recipe: how it is called.
        checks: of its gradients, with their tensors.
    """
    key = f"gradients-{recipe}"
    found = {check.check: check for check in checks}
    weights = "after training" if checks[0].weights == "trained" else "at its initial weights"
    images = int(checks[0].numbers["images"])
    table = _table(recipe, found)
    folded = len(table.rows) > _MOST_ROWS
    return [
        Paragraph(
            (
                "The gradient of the loss, with its penalties, by every parameter and by the images, "
                f"{weights}, "
                f"on {images} training images in float64 and in training mode: as automatic differentiation "
                "gives it, as layers whose backward passes are derived by hand give it, and as central "
                "differences estimate it at some numbers of each tensor. ",
                Reference(key),
                " shows the largest relative error of each layer: the largest difference in units of the "
                "tensor\u2019s largest gradient. Numbers for which a rectifier or a maximum switches within "
                "the step of the differences are left out.",
            )
        ),
        _figure(recipe, found, key),
        Details("The errors of every parameter", [table]) if folded else table,
    ]


def _layers(checks: Sequence[CheckRecord]) -> list[str]:
    return list(dict.fromkeys(_layer(each) for check in checks for each in check.tensors))


def _layer(tensor: TensorErrorRecord) -> str:
    return tensor.tensor.rpartition(".")[0] or tensor.tensor


def _figure(recipe: str, checks: dict[str, CheckRecord], key: str) -> Figure:
    layers = _layers(list(checks.values()))
    errors = {
        _WORDS[name]: [
            max((each.error for each in check.tensors if _layer(each) == layer), default=None)
            for layer in layers
        ]
        for name, check in checks.items()
    }
    goals = {_WORDS[name]: check.numbers["goal"] for name, check in checks.items()}
    worst = ", ".join(
        f"{_WORDS[name]} {_scientific(check.numbers['error'])}" for name, check in checks.items()
    )
    return Figure(
        draw.gradient_errors(layers, errors, goals),
        f"Relative errors of the gradients of {recipe}, layer by layer. Dashed: what may be at most.",
        f"Relative error of the gradient by layer; at most {worst}.",
        key=key,
    )


def _table(recipe: str, checks: dict[str, CheckRecord]) -> Table:
    by_name = {name: {each.tensor: each for each in check.tensors} for name, check in checks.items()}
    tensors = dict.fromkeys(each.tensor for check in checks.values() for each in check.tensors)
    columns = [Column("tensor")]
    if BY_HAND in checks:
        columns += [Column("numbers", align="right", format=","), Column("by hand", align="right")]
    if BY_DIFFERENCES in checks:
        columns += [
            Column("by differences", align="right"),
            Column("at numbers", align="right", format=","),
            Column("kinks", align="right"),
        ]
    rows: list[list[Cell | CellValue]] = []
    for tensor in tensors:
        row: list[Cell | CellValue] = [tensor]
        if BY_HAND in checks:
            each = by_name[BY_HAND][tensor]
            row += [each.coordinates, _error(each, checks[BY_HAND])]
        if BY_DIFFERENCES in checks:
            each = by_name[BY_DIFFERENCES][tensor]
            row += [_error(each, checks[BY_DIFFERENCES]), each.coordinates, each.kinks]
        rows.append(row)
    return Table(
        columns,
        rows,
        f"Relative errors of automatic gradients of {recipe}, against derivations by hand and against "
        "central differences; kinks are numbers that were left out.",
        key=f"gradient-errors-{recipe}",
    )


def _error(tensor: TensorErrorRecord, check: CheckRecord) -> Cell:
    failed = tensor.error > check.numbers["goal"]
    return Cell(_scientific(tensor.error), tone="bad" if failed else "plain", emphasis=failed)


def _scientific(value: float) -> str:
    return f"{value:.1e}".replace("-", "\N{MINUS SIGN}") if value else "0"
