"""A document as GitHub-flavoured Markdown, its figures and pictures as files beside it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from foolscope.reports import document as doc
from foolscope.reports import numbering
from foolscope.reports.figures.svg import standalone_svg
from foolscope.reports.images import encode_png
from foolscope.reports.render.inline import Style, padded, written
from foolscope.reports.text import clean_text, one_line_text

__all__ = ["escape_markdown", "render_markdown"]

_SPECIAL = re.compile(r"[\\`*\[\]<>|~$]|(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])|&(?=[#0-9A-Za-z])")
_LINE_START = re.compile(r"^(?:(\d+)([.)])(?=\s|$)|([#+=-])(?=[\s#=-]|$))")
_ALIGNMENT = {"left": ":--", "right": "--:", "center": ":-:"}


@dataclass
class _Page:
    """What one rendering knows and collects."""

    labels: dict[str, numbering.Label]
    prefix: str
    files: dict[str, bytes] = field(default_factory=dict)


def render_markdown(document: doc.Document, *, prefix: str = "") -> tuple[str, dict[str, bytes]]:
    """Write a document as Markdown.

    Args:
        document: as built; numbering is done here.
        prefix: put before the file names, such as ``"report-files/"``.

    Returns:
        The text, and name -> bytes of the SVG and PNG files that it shows.

    Raises:
        ValueError: a reference leads nowhere, or a key is used twice.
    """
    ready = numbering.numbered(document)
    page = _Page(numbering.labels_of(ready), prefix)
    parts = [f"# {escape_markdown(ready.title)}", f"*{escape_markdown(ready.question) or '–'}*"]
    parts += [f"- {escape_markdown(name)}: {escape_markdown(value)}" for name, value in ready.facts]
    parts = [*parts[:2], "\n".join(parts[2:])] if ready.facts else parts
    parts += _blocks(ready.lead, page, 2)
    parts += _blocks(ready.sections, page, 2)
    if ready.colophon:
        parts += ["## How this was made", *_blocks(ready.colophon, page, 3)]
    return "\n\n".join(parts) + "\n", page.files


def escape_markdown(text: str) -> str:
    r"""Escape text so that Markdown shows it as it is, on one line.

    Example:
        >>> escape_markdown("a|b *c* learning_rate <b>")
        'a\\|b \\*c\\* learning_rate \\<b\\>'
    """
    escaped = _SPECIAL.sub(lambda match: "\\" + match[0], one_line_text(text))
    return _LINE_START.sub(lambda match: f"{match[1]}\\{match[2]}" if match[1] else f"\\{match[3]}", escaped)


_STYLE = Style(
    plain=lambda text: padded(text, escape_markdown),
    strong=lambda text: f"<b>{escape_markdown(text)}</b>",
    mono=lambda text: f"<code>{escape_markdown(text)}</code>",
    reference=lambda key, label: f"[{label.text}](#{label.anchor})",
)


def _blocks(blocks: Sequence[doc.Block], page: _Page, level: int) -> list[str]:
    return [part for block in blocks for part in _block(block, page, level)]


def _block(block: doc.Block, page: _Page, level: int) -> list[str]:
    match block:
        case doc.Paragraph():
            return [_rich(block.text, page)]
        case doc.Notice():
            return [f"> **Note.** {_rich(block.text, page)}"]
        case doc.Bullets():
            return ["\n".join(f"- {_rich(item, page)}" for item in block.items)]
        case doc.Verdicts():
            return ["\n".join(_verdict(item, page) for item in block.items)]
        case doc.Table():
            return _table(block, page)
        case doc.Figure():
            return _figure(block, page)
        case doc.Gallery():
            return _gallery(block, page)
        case doc.Code():
            return [_code(block)]
        case doc.Details():
            summary = escape(one_line_text(block.summary))
            return [
                f"<details>\n<summary>{summary}</summary>",
                *_blocks(block.blocks, page, level),
                "</details>",
            ]
        case doc.Section():
            return [
                f"{'#' * min(level, 6)} {escape_markdown(block.title)}",
                *_blocks(block.blocks, page, level + 1),
            ]


def _rich(text: doc.Text, page: _Page) -> str:
    if isinstance(text, str):
        return escape_markdown(text)
    return "".join(written(text, page.labels, _STYLE))


def _verdict(item: doc.Verdict, page: _Page) -> str:
    reason = f"<br><sub>{_rich(item.reason, page)}</sub>" if item.reason else ""
    return f"- **{item.outcome}**: {_rich(item.sentence, page)}{reason}"


def _table(table: doc.Table, page: _Page) -> list[str]:
    columns = numbering.columns_of(table)
    lines = [
        _row([escape_markdown(column.title) for column in columns]),
        _row([_ALIGNMENT[side] for side in numbering.alignments(table)]),
        *(
            _row([_cell(cell, column) for cell, column in zip(row, columns, strict=True)])
            for row in table.rows
        ),
    ]
    caption = f'<a id="table-{table.number}"></a>**Table {table.number}.** {_rich(table.caption, page)}'
    note = [_rich(table.note, page)] if table.note else []
    return [caption, "\n".join(lines), *note]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: doc.Cell | doc.CellValue, column: doc.Column) -> str:
    words = escape_markdown(numbering.cell_words(cell, column))
    return f"<b>{words}</b>" if isinstance(cell, doc.Cell) and cell.emphasis else words


def _figure(figure: doc.Figure, page: _Page) -> list[str]:
    name = f"{page.prefix}figure-{figure.number}.svg"
    page.files[name] = standalone_svg(figure.drawing()).encode()
    return [f"![{escape_markdown(figure.alt)}]({name})", _figure_caption(figure, page)]


def _gallery(gallery: doc.Gallery, page: _Page) -> list[str]:
    width = max((len(row) for row in gallery.rows), default=0)
    if not width:
        return [_figure_caption(gallery, page)]
    lines = [_row([" "] * width), _row([":-:"] * width)]
    for row_number, row in enumerate(gallery.rows, 1):
        cells = []
        for column_number, panel in enumerate(row, 1):
            name = f"{page.prefix}figure-{gallery.number}-{row_number}-{column_number}.png"
            page.files[name] = panel.image if isinstance(panel.image, bytes) else encode_png(panel.image)
            cells.append(_panel(panel, name))
        lines.append(_row([*cells, *[" "] * (width - len(cells))]))
    return ["\n".join(lines), _figure_caption(gallery, page)]


def _panel(panel: doc.Panel, name: str) -> str:
    bars = [f"{words} {numbering.bar_words(fraction)}" for words, fraction in panel.bars]
    words = [escape_markdown(line) for line in (panel.title, *panel.lines, *bars) if line]
    return "<br>".join([f"![{escape_markdown(panel.title) or 'image'}]({name})", *words])


def _figure_caption(figure: doc.Figure | doc.Gallery, page: _Page) -> str:
    return f'<a id="figure-{figure.number}"></a>**Figure {figure.number}.** {_rich(figure.caption, page)}'


def _code(code: doc.Code) -> str:
    text = clean_text(code.text)
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{re.sub(r'[^0-9A-Za-z+-]', '', code.language)}\n{text.rstrip(chr(10))}\n{fence}"
