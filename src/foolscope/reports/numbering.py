"""Numbers for tables and figures in reading order, and the labels by which text refers to them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from foolscope.core.errors import did_you_mean
from foolscope.reports import document as doc
from foolscope.reports.text import format_number

__all__ = [
    "Label",
    "alignments",
    "bar_words",
    "cell_words",
    "columns_of",
    "labels_of",
    "numbered",
    "prefixed",
    "resolve",
    "walk",
]


Alignment = Literal["left", "right", "center"]


@dataclass(frozen=True)
class Label:
    """What a reference says ("Table 3") and where it leads ("table-3")."""

    text: str
    anchor: str


def walk(document: doc.Document) -> Iterator[doc.Block]:
    """Yield every block of a document in reading order, containers before their contents."""
    yield from _walk(document.lead)
    yield from _walk(document.sections)
    yield from _walk(document.colophon)


def numbered(document: doc.Document) -> doc.Document:
    """Return the document with every table, figure and gallery numbered from 1 in reading order."""
    counts = {"Table": 0, "Figure": 0}
    return replace(
        document,
        lead=_number(document.lead, counts),
        sections=[replace(section, blocks=_number(section.blocks, counts)) for section in document.sections],
        colophon=_number(document.colophon, counts),
    )


def prefixed(blocks: Sequence[doc.Block], prefix: str) -> list[doc.Block]:
    """Put a prefix before the keys of blocks and of the references to them.

    So blocks with equal keys, of several models, can stand in one document.
    """
    result: list[doc.Block] = []
    for block in blocks:
        if isinstance(block, doc.Section | doc.Details):
            result.append(replace(block, blocks=prefixed(block.blocks, prefix)))
        elif isinstance(block, doc.Table | doc.Figure | doc.Gallery):
            key = block.key and prefix + block.key
            result.append(replace(block, key=key, caption=_with_prefix(block.caption, prefix)))
        elif isinstance(block, doc.Paragraph | doc.Notice):
            result.append(replace(block, text=_with_prefix(block.text, prefix)))
        else:
            result.append(block)
    return result


def _with_prefix(text: doc.Text, prefix: str) -> doc.Text:
    if isinstance(text, str):
        return text
    return tuple(
        doc.Reference(prefix + each.key) if isinstance(each, doc.Reference) else each for each in text
    )


def labels_of(document: doc.Document) -> dict[str, Label]:
    """Map each key in a numbered document to its label.

    Raises:
        ValueError: a key is used twice.
    """
    labels: dict[str, Label] = {}
    for block in walk(document):
        if isinstance(block, doc.Table | doc.Figure | doc.Gallery) and block.key:
            if block.key in labels:
                raise ValueError(f"two blocks have the key {block.key!r}; keys must be unique in a document")
            labels[block.key] = label_of(block)
    return labels


def label_of(block: doc.Table | doc.Figure | doc.Gallery) -> Label:
    """Label a numbered block; galleries count as figures."""
    kind = _kind(block)
    return Label(f"{kind} {block.number}", f"{kind.lower()}-{block.number}")


def resolve(labels: Mapping[str, Label], key: str) -> Label:
    """Look up a reference.

    Raises:
        ValueError: nothing in the document has that key.
    """
    if key not in labels:
        raise ValueError(
            f"a text refers to {key!r}, which no table or figure has as key. {did_you_mean(key, labels)}"
        )
    return labels[key]


def columns_of(table: doc.Table) -> list[doc.Column]:
    """Return a table's columns, plain titles turned into columns."""
    return [doc.Column(column) if isinstance(column, str) else column for column in table.columns]


def alignments(table: doc.Table) -> list[Alignment]:
    """Return each column's alignment: as given, else right for numbers and left for words."""
    decided: list[Alignment] = []
    for position, column in enumerate(columns_of(table)):
        values = [_value(row[position]) for row in table.rows]
        numbers = any(value is not None for value in values) and not any(isinstance(v, str) for v in values)
        decided.append(column.align if column.align != "auto" else "right" if numbers else "left")
    return decided


def cell_words(cell: doc.Cell | doc.CellValue, column: doc.Column) -> str:
    """Write one cell's value as text."""
    value = _value(cell)
    if value is None:
        return "–"
    return value if isinstance(value, str) else format_number(value, column.format)


def bar_words(fraction: float) -> str:
    """Write the fraction that a bar shows."""
    return format_number(fraction, ".1%")


def _value(cell: doc.Cell | doc.CellValue) -> doc.CellValue:
    return cell.value if isinstance(cell, doc.Cell) else cell


def _kind(block: doc.Table | doc.Figure | doc.Gallery) -> str:
    return "Table" if isinstance(block, doc.Table) else "Figure"


def _walk(blocks: Sequence[doc.Block]) -> Iterator[doc.Block]:
    for block in blocks:
        yield block
        if isinstance(block, doc.Section | doc.Details):
            yield from _walk(block.blocks)


def _number(blocks: Sequence[doc.Block], counts: dict[str, int]) -> list[doc.Block]:
    result: list[doc.Block] = []
    for block in blocks:
        if isinstance(block, doc.Section | doc.Details):
            result.append(replace(block, blocks=_number(block.blocks, counts)))
        elif isinstance(block, doc.Table | doc.Figure | doc.Gallery):
            counts[_kind(block)] += 1
            result.append(replace(block, number=counts[_kind(block)]))
        else:
            result.append(block)
    return result
