"""Cells as numbers: decimal commas, thousands, percent signs, empty cells, and runs that diverged."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from foolscope.core.errors import DataError

__all__ = ["Numbers", "is_number", "read_numbers", "same_value"]

_MISSING = {"", "-", "–", "—", "?", "na", "n/a", "#n/a", "null", "none", "missing", "<na>", "nat"}
_DIVERGED = {"nan", "inf", "+inf", "-inf", "infinity", "-infinity", "∞", "-∞", "diverged", "#num!", "#div/0!"}
_DIVERGENT = 1e100  # of this size a loss has diverged, and its square is no number
_SPACES = " '’\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{THIN SPACE}"
_GROUPED = re.compile(rf"(?<=\d)[{_SPACES}](?=\d{{3}}(?!\d))")
_NUMBER = re.compile(r"[+-]?(\d[\d.,]*|[.,]\d+)(e[+-]?\d+)?", re.IGNORECASE)
_MEAN = re.compile(r"\d\s*(±|\+/-|\+-|\()\s*\d")


@dataclass(frozen=True)
class Numbers:
    """Cells of one quantity as numbers.

    Args:
        values: None where a cell is empty, NaN where it says that the run diverged, or is beyond 1e100.
        percent: whether the cell has a percent sign.
    """

    values: tuple[float | None, ...]
    percent: tuple[bool, ...]


def is_number(cell: str) -> bool:
    """Whether a cell could be a number, or the lack of one.

    Example:
        >>> [is_number(cell) for cell in ("95,1 %", "1e-3", "nan", "adam", "2026-11-21")]
        [True, True, True, False, False]
    """
    text = cell.lower()
    return text in _MISSING or text in _DIVERGED or _NUMBER.fullmatch(_bare(cell)) is not None


def read_numbers(cells: Sequence[str], places: Sequence[str], *, decimal_comma: bool = False) -> Numbers:
    """Read cells of one quantity, which must agree on what commas and points mean.

    Args:
        cells: as they are in the table.
        places: name of each cell for messages: ``row 3, column 'acc'``.
        decimal_comma: what to assume where "95,123" could be either.

    Raises:
        DataError: a cell is no number, holds a mean with its spread, or could be read in two ways.

    Example:
        >>> read_numbers(["95,1 %", "1 234,5", "", "nan"], ["a", "b", "c", "d"]).values
        (95.1, 1234.5, None, nan)
    """
    bare = [_bare(cell) for cell in cells]
    for cell, number, place in zip(cells, bare, places, strict=True):
        if _MEAN.search(cell):
            raise DataError(f"{place}: {cell!r} is a mean with its spread; give every run a cell of its own")
        if cell.lower() not in _MISSING | _DIVERGED and not _NUMBER.fullmatch(number):
            raise DataError(f"{place}: {cell[:60]!r} is not a number; leave the cell empty if there is none")
    comma = _decimal_comma(cells, bare, places, default=decimal_comma)
    values = [
        _value(cell, number, comma, place) for cell, number, place in zip(cells, bare, places, strict=True)
    ]
    return Numbers(tuple(values), tuple(cell.rstrip().endswith("%") for cell in cells))


def same_value(cell: str) -> str:
    """Write a setting so that equal numbers are equal texts: ``1e-3`` and ``0.001``.

    Example:
        >>> [same_value(cell) for cell in ("1e-3", "0.10", "0,5", "007", "adam", "")]
        ['0.001', '0.1', '0.5', '7', 'adam', 'none']
    """
    if not cell or cell.lower() in ("nan", "<na>"):
        return "none"
    if re.fullmatch(r"-?[0-9]+", cell):  # of any size: seeds may have 64 bits
        digits = cell.lstrip("-").lstrip("0")
        return f"-{digits}" if cell[0] == "-" and digits else digits or "0"
    text = cell.replace(",", ".") if re.fullmatch(r"-?\d+,\d+", cell) else cell
    try:
        number = float(text)
    except ValueError:
        return cell
    return f"{number:.12g}" if math.isfinite(number) and "_" not in text else cell


def _bare(cell: str) -> str:
    text = cell.replace("\N{MINUS SIGN}", "-").removesuffix("%").strip(_SPACES + "\t")
    return _GROUPED.sub("", text)


def _decimal_comma(
    cells: Sequence[str], bare: Sequence[str], places: Sequence[str], *, default: bool
) -> bool:
    """Find out which of comma and point is the decimal mark, from the cells in which it is certain."""
    marks: dict[str, tuple[str, str]] = {}
    unclear = ""
    for cell, number, place in zip(cells, bare, places, strict=True):
        mark = _mark(re.split("e", number, flags=re.IGNORECASE)[0]) if _NUMBER.fullmatch(number) else ""
        if mark == "either":
            unclear = unclear or f"{place}: {cell!r}"
        elif mark:
            marks.setdefault(mark, (cell, place))
    if len(marks) == 2:
        (point, at), (comma, there) = marks["."], marks[","]
        raise DataError(
            f"{there}: {comma!r} has a decimal comma where {point!r} in {at} has a point; write all alike"
        )
    if marks:
        return "," in marks
    if unclear and not default:
        raise DataError(f"{unclear} could have a decimal comma or a thousands separator; use a decimal point")
    return default and bool(unclear)


def _mark(number: str) -> str:
    """Return the decimal mark of a number, "either" if its only comma could be both, "" if it shows none."""
    found = [character for character in number if character in ".,"]
    if not found:
        return ""
    if len(set(found)) == 2:
        return found[-1]
    whole, _, rest = number.lstrip("+-").partition(found[0])
    if len(found) > 1:
        return "," if found[0] == "." else "."
    if found[0] == "." or len(rest) != 3 or len(whole) > 3 or whole in ("", "0"):
        return found[0]
    return "either"


def _value(cell: str, number: str, comma: bool, place: str) -> float | None:
    text = cell.lower()
    if text in _MISSING:
        return None
    if text in _DIVERGED:
        return math.nan
    plain = number.replace(".", "").replace(",", ".") if comma else number.replace(",", "")
    try:
        number_read = float(plain)
    except ValueError as error:
        raise DataError(f"{place}: {cell!r} is not a number; write it with one decimal point") from error
    return number_read if abs(number_read) < _DIVERGENT else math.nan
