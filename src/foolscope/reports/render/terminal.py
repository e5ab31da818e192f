"""The opening of a document as text for a terminal: what was found, doubts, and chosen tables.

Figures and galleries are not printed: the report has them.
"""

import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from textwrap import fill

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table as Grid
from rich.text import Text as Words

from foolscope.reports import document as doc
from foolscope.reports.numbering import Label, alignments, cell_words, columns_of, labels_of, numbered
from foolscope.reports.phrases import one_or_many
from foolscope.reports.render.inline import Style, written
from foolscope.reports.text import clean_text

__all__ = ["render_terminal"]

_COLORS: dict[doc.Tone, str] = {
    "plain": "",
    "good": "green",
    "bad": "red",
    "caution": "yellow",
    "quiet": "dim",
    "odd": "magenta",
    "notable": "cyan",
}
_UNBROKEN = 10_000
_GAP = 2
_ROWS = 24
_TITLE = 12


def render_terminal(
    document: doc.Document, *, tables: Collection[str] = (), width: int | None = None, color: bool = False
) -> str:
    """Write the opening of a document as lines of text.

    That is its title, question and lead, then from its sections in reading order: notices, paragraphs that
    are a single strong sentence, and the tables that are asked for.

    Args:
        document: as built; numbering is done here, so that tables have the numbers of the report.
        tables: keys of the tables to print; one that ends with "*" stands for all that begin like it.
        width: of the terminal, in characters; without it no line is broken.
        color: whether to repeat in color what the words say.

    Raises:
        ValueError: a reference leads nowhere, or a key is used twice.
    """
    ready = numbered(document)
    labels = labels_of(ready)
    stream = io.StringIO()
    console = Console(
        file=stream, force_terminal=color, width=width or _UNBROKEN, highlight=False, markup=False
    )
    console.print(Words(clean_text(ready.title), style="bold"))
    if ready.question:
        console.print(Words(clean_text(ready.question)))
    if ready.facts:
        facts = " · ".join(f"{name}: {value}" for name, value in ready.facts)
        console.print(Words(clean_text(facts), style="dim"))
    for block in (*ready.lead, *_findings(ready.sections, tables)):
        for part in _block(block, labels, console.width):
            console.print()
            console.print(part)
    text = stream.getvalue().replace("\N{NO-BREAK SPACE}", " ")
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def _findings(blocks: Sequence[doc.Block], tables: Collection[str]) -> Iterator[doc.Block]:
    """Choose what a reader must not miss from sections whose other prose explains and illustrates."""
    for block in blocks:
        match block:
            case doc.Section():
                yield from _findings(block.blocks, tables)
            case doc.Details():
                yield from (each for each in _findings(block.blocks, tables) if isinstance(each, doc.Table))
            case doc.Notice() | doc.Verdicts() | doc.Paragraph(text=(doc.Strong(),)):
                yield block
            case doc.Table() if any(_is_named(block.key, wanted) for wanted in tables):
                yield block


def _is_named(key: str, wanted: str) -> bool:
    return key.startswith(wanted[:-1]) if wanted.endswith("*") else key == wanted


def _block(block: doc.Block, labels: Mapping[str, Label], width: int) -> list[RenderableType]:
    """Return what to print, with an empty line before each."""
    match block:
        case doc.Paragraph():
            return [_rich(block.text, labels)]
        case doc.Notice():
            return [_listed([(Words("!", style=_COLORS[block.tone]), _rich(block.text, labels))])]
        case doc.Bullets():
            return [_listed([(Words("-"), _rich(item, labels)) for item in block.items])]
        case doc.Verdicts():
            return [_listed([_verdict(item, labels) for item in block.items])]
        case doc.Table():
            return [_table(block, labels, width)]
        case doc.Code():
            return [Words(clean_text(block.text))]
        case doc.Section():
            title = Words(clean_text(block.title), style="bold")
            return [title, *(part for each in block.blocks for part in _block(each, labels, width))]
        case _:
            return []


def _rich(text: doc.Text, labels: Mapping[str, Label], base: str = "") -> Words:
    style = Style(
        plain=lambda text: Words(clean_text(text)),
        strong=lambda text: Words(clean_text(text), style="bold"),
        mono=lambda text: Words(clean_text(text)),
        reference=lambda key, label: Words(label.text),
    )
    return Words("", style=base).join(written(text, labels, style))


def _listed(rows: Sequence[tuple[Words, RenderableType]]) -> Grid:
    """Return marks or words with what they are about to the right of them."""
    grid = Grid.grid(padding=(0, _GAP, 0, 0))
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column()
    for mark, text in rows:
        grid.add_row(mark, text)
    return grid


def _verdict(item: doc.Verdict, labels: Mapping[str, Label]) -> tuple[Words, RenderableType]:
    outcome = Words(item.outcome, style=_COLORS[doc.OUTCOME_TONES[item.outcome]])
    sentence = _rich(item.sentence, labels)
    return outcome, Group(sentence, _rich(item.reason, labels, "dim")) if item.reason else sentence


def _table(table: doc.Table, labels: Mapping[str, Label], width: int) -> RenderableType:
    """Return a table; where it is too wide, intervals go below their values, and at last all is wrapped."""
    columns, sides, rows = columns_of(table), alignments(table), table.rows[:_ROWS]
    whole = [[cell_words(cell, column) for cell, column in zip(row, columns, strict=True)] for row in rows]
    below = [[text.replace(" (", "\n(") for text in texts] for texts in whole]
    wordwise = [side == "left" for side in sides]
    tries = ((whole, [False] * len(sides)), (whole, wordwise), (below, wordwise))
    fitting = next((each for each in tries if _width(_rooms(columns, *each)) <= width), None)
    texts, breaks = fitting or (whole, [True] * len(sides))
    grid = Grid(box=box.SIMPLE, padding=(0, _GAP - 1, 0, 0), pad_edge=False, show_edge=False)
    for column, side, room, is_broken in zip(
        columns, sides, _rooms(columns, texts, breaks), breaks, strict=True
    ):
        title = column.title if is_broken else fill(column.title, max(room, 1))
        grid.add_column(Words(title), justify=side, vertical="top", no_wrap=not is_broken, overflow="fold")
    for row, line in zip(rows, texts, strict=True):
        grid.add_row(*(Words(text, style=_cell_style(cell)) for text, cell in zip(line, row, strict=True)))
    remarks = [_rich(table.note, labels, "dim")] if table.note else []
    if len(table.rows) > _ROWS:
        more = one_or_many(len(table.rows) - _ROWS, "more row")
        remarks.append(Words(f"The report has {more}.", style="dim"))
    number = Words(f"Table {table.number}. ", style="bold")
    return Group(number.append_text(_rich(table.caption, labels, "not bold")), Words(), grid, *remarks)


def _rooms(
    columns: Sequence[doc.Column], texts: Sequence[Sequence[str]], breaks: Sequence[bool]
) -> list[int]:
    """Return how wide each column must be at least if its lines, or only its words, are not broken."""
    cells = zip(*texts, strict=True) if texts else [()] * len(columns)
    return [
        max(
            len(part)
            for text in (column.title if is_broken else fill(column.title, _TITLE), *own, "")
            for part in (text.split() or [""] if is_broken else text.split("\n"))
        )
        for column, own, is_broken in zip(columns, cells, breaks, strict=True)
    ]


def _width(rooms: Sequence[int]) -> int:
    return sum(rooms) + _GAP * (len(rooms) - 1)


def _cell_style(cell: doc.Cell | doc.CellValue) -> str:
    if not isinstance(cell, doc.Cell):
        return ""
    return " ".join(filter(None, ["bold" * cell.emphasis, _COLORS[cell.tone]]))
