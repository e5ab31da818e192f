"""A table as text: named columns, and rows that know their number in the file."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from foolscope.core.errors import DataError

__all__ = ["Table", "table_of"]


@dataclass(frozen=True)
class Table:
    """Cells of a table as text, blank where there is none.

    Args:
        source: name of the file or kind of the frame, for messages.
        columns: the header, all different.
        rows: cells, as many in a row as there are columns, without surrounding space.
        numbers: of the rows, as a spreadsheet counts them: the header of a file is row 1.
        notes: what was unusual about the file, whole sentences.
        decimal_comma: whether the format suggests decimal commas (semicolons between cells).
        blank_is_nan: whether an empty cell among numbers is written "nan", as data frames have it.
    """

    source: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: tuple[int, ...]
    notes: tuple[str, ...] = ()
    decimal_comma: bool = False
    blank_is_nan: bool = False

    def column(self, name: str) -> list[str]:
        """The cells of a column, from top to bottom."""
        index = self.columns.index(name)
        return [row[index] for row in self.rows]

    def place(self, row: int, column: str) -> str:
        """Name a cell in a message: ``row 3, column 'acc'``."""
        return f"row {self.numbers[row]}, column {column!r}"


def table_of(
    source: str,
    header: Sequence[str],
    rows: Sequence[tuple[int, Sequence[str]]],
    *,
    notes: Sequence[str] = (),
    decimal_comma: bool = False,
    blank_is_nan: bool = False,
) -> Table:
    """Check a header and rows, given with their numbers, and put them into a table.

    Blank rows and columns without a name or any cell are dropped, as spreadsheets write them.

    Raises:
        DataError: no row, no named column, a name that occurs twice, or a row of another length.

    Example:
        >>> table_of("a.csv", ["lr", "acc"], [(2, ["0.1", " 0.95 "])]).column("acc")
        ['0.95']
    """
    names = [_clean(name) for name in header]
    filled = [(number, [_clean(cell) for cell in row]) for number, row in rows if any(map(_clean, row))]
    for number, row in filled:
        beyond = [cell for cell in row[len(names) :] if cell]
        if beyond or len(row) < len(names):
            raise DataError(
                f"{source}: row {number} has {len(row)} cells where the header has {len(names)}; "
                "quote cells that contain the separator, and fill or delete the row"
            )
    if not filled:
        raise DataError(f"{source} has a header and no rows; it needs one row for each run")
    kept = [index for index, name in enumerate(names) if name or any(row[index] for _, row in filled)]
    columns = tuple(names[index] or f"column {index + 1}" for index in kept)
    name, count = Counter(columns).most_common(1)[0]
    if count > 1:
        places = [str(index + 1) for index in kept if names[index] == name]
        raise DataError(
            f"{source}: {count} columns are called {name!r} (columns {', '.join(places)}); rename all but one"
        )
    return Table(
        source,
        columns,
        tuple(tuple(row[index] for index in kept) for _, row in filled),
        tuple(number for number, _ in filled),
        tuple(notes),
        decimal_comma,
        blank_is_nan,
    )


def _clean(cell: str) -> str:
    return cell.strip().strip("\N{NO-BREAK SPACE}\N{ZERO WIDTH NO-BREAK SPACE}").strip()
