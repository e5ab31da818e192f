"""Tables in text files: encodings, separators, quoting, as spreadsheets and trackers write them."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from foolscope.core.errors import DataError
from foolscope.experiments.tables.table import Table, table_of

__all__ = ["read_table"]

_SEPARATORS = ",;\t|"
_SAMPLED_ROWS = 50
_MARKS = {
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
_OTHER_FILES = {
    b"PK\x03\x04": "a spreadsheet or an archive",
    b"\xd0\xcf\x11\xe0": "an old Excel file",
    b"PAR1": "a Parquet file",
    b"\x1f\x8b": "a compressed file",
    b"\x89HDF": "an HDF5 file",
    b"%PDF": "a PDF",
}


def read_table(path: Path) -> Table:
    """Read a table from a text file with a header; the separator and the encoding are found out.

    UTF-8 and UTF-16 are read, with or without a byte order mark; else Windows-1252, with a note. Cells may be
    separated by commas, semicolons, tabs or bars, and quoted; Excel's line ``sep=;`` is obeyed.

    Raises:
        DataError: the file is missing, empty or no text; a row has too few or too many cells; or a column
            name occurs twice.
    """
    text, notes = _decoded(path)
    lines = text.splitlines(keepends=True)
    skipped = 0
    separator = None
    if lines and lines[0].lower().startswith("sep=") and len(lines[0].strip()) == len("sep=;"):
        separator, skipped = lines[0][4], 1
    body = "".join(lines[skipped:])
    if not body.strip():
        raise DataError(f"{path.name} is empty; it needs a header and one row for each run")
    separator = separator or _separator(body)
    records = [(number + skipped, row) for number, row in _records(body, separator, path.name)]
    while records and not any(cell.strip() for cell in records[0][1]):
        records.pop(0)
    (_, header), *rows = [record for record in records if not _is_rule(record[1])]
    if len(header) == 1:
        raise DataError(
            f"{path.name}: the header {header[0][:60]!r} is one column; separate columns by commas, "
            "semicolons or tabs"
        )
    return table_of(path.name, header, rows, notes=notes, decimal_comma=separator in ";\t")


def _is_rule(row: Sequence[str]) -> bool:
    """Whether a row is the line below the header of a table in Markdown."""
    filled = [cell.strip() for cell in row if cell.strip()]
    return len(filled) > 1 and all(re.fullmatch(r":?-{3,}:?", cell) for cell in filled)


def _decoded(path: Path) -> tuple[str, list[str]]:
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"no such file: {path}") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    for mark, what in _OTHER_FILES.items():
        if content.startswith(mark):
            raise DataError(f"{path.name} is {what}, not a text table; export it as CSV")
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8")
    if encoding != "utf-16" and b"\0" in content:
        row = content[: content.index(b"\0")].count(b"\n") + 1
        raise DataError(
            f"{path.name}: row {row} contains a NUL byte, so this is no text table; export as CSV"
        )
    try:
        return content.decode(encoding), []
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise DataError(
                f"{path.name} begins like {encoding.upper()} and is not; save it as UTF-8"
            ) from error
        row = content[: error.start].count(b"\n") + 1
        note = f"Row {row} is not UTF-8; the file was read as Windows-1252."
        return content.decode("cp1252", errors="replace"), [note]


def _separator(text: str) -> str:
    """Choose the separator that gives most rows the same number of cells, and then the most cells."""

    def fit(separator: str) -> tuple[float, int]:
        try:
            counts = [len(row) for _, row in zip(range(_SAMPLED_ROWS), _rows(text, separator), strict=False)]
        except csv.Error:
            return (0.0, 0)
        usual, times = Counter(counts).most_common(1)[0]
        return (0.0, 0) if usual == 1 else (times / len(counts), usual)

    return max(_SEPARATORS, key=fit)


def _rows(text: str, separator: str) -> Iterator[list[str]]:
    return (row for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator) if row)


def _records(text: str, separator: str, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows with their numbers, blank ones counted as a spreadsheet does."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    number = 0
    while True:
        number += 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            limit = "field larger" in str(error)
            reason = f"a cell has more than {csv.field_size_limit():,} characters" if limit else str(error)
            raise DataError(f"{name}: row {number} cannot be read: {reason}; check its quotes") from error
        if row:
            yield number, row
