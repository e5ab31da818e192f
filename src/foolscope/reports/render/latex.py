"""A document's tables as LaTeX, in the booktabs style, one string for each table and one file of all."""

from foolscope.reports import document as doc
from foolscope.reports import numbering
from foolscope.reports.render.inline import Style, padded, written
from foolscope.reports.text import one_line_text

__all__ = ["escape_latex", "latex_tables", "render_latex"]

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "[": "{[}",  # so that \\ does not take the next row's bracket for its argument
    "]": "{]}",
    "−": r"\ensuremath{-}",
    "×": r"\ensuremath{\times}",
    "±": r"\ensuremath{\pm}",
    "≤": r"\ensuremath{\leq}",
    "≥": r"\ensuremath{\geq}",
    "≈": r"\ensuremath{\approx}",
    "∞": r"\ensuremath{\infty}",
    "ε": r"\ensuremath{\varepsilon}",
    "δ": r"\ensuremath{\delta}",
    "σ": r"\ensuremath{\sigma}",
    "λ": r"\ensuremath{\lambda}",
    "‖": r"\ensuremath{\Vert}",
    "⁻": r"\ensuremath{^{-}}",
    "¹": r"\ensuremath{^{1}}",
    "²": r"\ensuremath{^{2}}",
    "→": r"\ensuremath{\rightarrow}",
    "–": "--",
    "—": "---",
    "…": r"\ldots{}",
    "\u00a0": "~",
    "\u202f": r"\,",
}
_WIDE = 6  # columns; a table of so many is set small
_LONG = 48  # letters in a cell; from there on they are sentences
_SENTENCES = r"p{0.5\linewidth}"
_SIDES = {"left": "l", "right": "r", "center": "c"}
_HEAD = "% Needs \\usepackage{booktabs} and \\usepackage[T1]{fontenc}.\n"


def latex_tables(document: doc.Document) -> dict[str, str]:
    """Number a document, and write every table of it.

    Returns:
        The table's key, or ``table-3`` where it has none -> a ``table`` environment, labelled ``tab:`` + key.
    """
    ready = numbering.numbered(document)
    labels = numbering.labels_of(ready)
    return {
        _name(block): _table(block, labels) for block in numbering.walk(ready) if isinstance(block, doc.Table)
    }


def render_latex(document: doc.Document) -> str:
    r"""Write all tables of a document into one file, to be read with ``\input``."""
    return _HEAD + "\n" + "\n".join(latex_tables(document).values())


def escape_latex(text: str) -> str:
    r"""Escape text so that LaTeX sets it as it is, on one line.

    Example:
        >>> print(escape_latex("learning_rate: 5 % of $x"))
        learning\_rate: 5 \% of \$x
    """
    return "".join(_ESCAPES.get(character, character) for character in one_line_text(text))


def _name(table: doc.Table) -> str:
    return table.key or f"table-{table.number}"


def _table(table: doc.Table, labels: dict[str, numbering.Label]) -> str:
    columns = numbering.columns_of(table)
    sides = "".join(_side(table, position) for position in range(len(columns)))
    rows = [[_cell(cell, column) for cell, column in zip(row, columns, strict=True)] for row in table.rows]
    note = f"\n  \\par\\smallskip\\footnotesize {_rich(table.note, labels)}" if table.note else ""
    return "\n".join(
        [
            r"\begin{table}",
            r"  \centering",
            f"  \\caption{{{_rich(table.caption, labels)}}}",
            f"  \\label{{tab:{_safe_label(_name(table))}}}",
            *[r"  \footnotesize\setlength{\tabcolsep}{4pt}"] * (len(columns) >= _WIDE),
            f"  \\begin{{tabular}}{{{sides}}}",
            r"    \toprule",
            f"    {_row([escape_latex(column.title) for column in columns])}",
            r"    \midrule",
            *(f"    {_row(row)}" for row in rows),
            r"    \bottomrule",
            f"  \\end{{tabular}}{note}",
            r"\end{table}",
            "",
        ]
    )


def _side(table: doc.Table, position: int) -> str:
    """Align a column; one of whole sentences is broken into lines."""
    column, side = numbering.columns_of(table)[position], numbering.alignments(table)[position]
    longest = max((len(numbering.cell_words(row[position], column)) for row in table.rows), default=0)
    return _SENTENCES if side == "left" and longest > _LONG else _SIDES[side]


def _row(cells: list[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _cell(cell: doc.Cell | doc.CellValue, column: doc.Column) -> str:
    words = escape_latex(numbering.cell_words(cell, column))
    return f"\\textbf{{{words}}}" if isinstance(cell, doc.Cell) and cell.emphasis else words


def _rich(text: doc.Text, labels: dict[str, numbering.Label]) -> str:
    if isinstance(text, str):
        return escape_latex(text)
    return "".join(written(text, labels, _STYLE))


def _reference(key: str, label: numbering.Label) -> str:
    is_table = label.anchor.startswith("table")
    return f"Table~\\ref{{tab:{_safe_label(key)}}}" if is_table else label.text.replace(" ", "~")


def _safe_label(name: str) -> str:
    return "".join(character if character.isalnum() and character.isascii() else "-" for character in name)


_STYLE = Style(
    plain=lambda text: padded(text, escape_latex),
    strong=lambda text: f"\\textbf{{{escape_latex(text)}}}",
    mono=lambda text: f"\\texttt{{{escape_latex(text)}}}",
    reference=_reference,
)
