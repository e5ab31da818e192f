"""Tables that are in memory: data frames of pandas, polars or PyArrow, mappings of columns, lists of rows."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from foolscope.core.errors import DataError
from foolscope.experiments.tables.table import Table, table_of

__all__ = ["table_from"]


def table_from(frame: Any) -> Table:
    """Read a frame into a table, by what frames have in common; no library of frames is imported.

    Accepted are pandas (an index that was set becomes columns), polars, PyArrow, a mapping from column to
    values, and a sequence of mappings. None and NaN in a column of text are empty cells; NaN in a column of
    numbers stays "nan", and the layout of the table says what it means.

    Raises:
        DataError: it is none of these, or columns have different lengths.

    Example:
        >>> table_from({"lr": [0.1, 0.3], "acc": [0.95, None]}).rows
        (('0.1', '0.95'), ('0.3', ''))
    """
    columns = _columns(frame)
    lengths = {len(values) for values in columns.values()}
    if len(lengths) > 1:
        raise DataError(f"all columns must have the same length; got lengths {sorted(lengths)}")
    texts = [_texts(values) for values in columns.values()]
    rows = list(enumerate(map(list, zip(*texts, strict=True)), start=1))
    return table_of("the table", [str(name) for name in columns], rows, blank_is_nan=True)


def _columns(frame: Any) -> Mapping[Any, Sequence[Any]]:
    """Return column name to values."""
    if isinstance(frame, Mapping):
        return {name: list(values) for name, values in frame.items()}
    if hasattr(frame, "reset_index") and hasattr(frame, "to_dict"):  # pandas
        index = frame.index
        is_counting = type(index).__name__ == "RangeIndex" and index.name is None
        plain = frame if is_counting else frame.reset_index()
        names = [_joined(name) for name in plain.columns]
        return dict(zip(_told_apart(names), _pandas_values(plain), strict=True))
    for method, options in (("to_pydict", {}), ("to_dict", {"as_series": False})):  # PyArrow, polars
        if hasattr(frame, method):
            found = getattr(frame, method)(**options)
            return {name: list(values) for name, values in found.items()}
    if isinstance(frame, Sequence) and frame and all(isinstance(row, Mapping) for row in frame):
        names = list(dict.fromkeys(name for row in frame for name in row))
        return {name: [row.get(name) for row in frame] for name in names}
    raise DataError(
        "a table must be a path, a data frame (pandas, polars, PyArrow), a mapping from column to values, or "
        f"a list of rows as mappings; got {type(frame).__name__}"
    )


def _pandas_values(frame: Any) -> list[list[Any]]:
    return [frame.iloc[:, position].tolist() for position in range(frame.shape[1])]


def _told_apart(names: Sequence[str]) -> Sequence[str]:
    """Refuse a pandas frame with a column name twice, which a mapping would hide."""
    for position, name in enumerate(names):
        if name in names[:position]:
            raise DataError(f"the frame has two columns called {name!r}; rename one")
    return names


def _joined(name: Any) -> str:
    """Write the name of a column; the levels of a MultiIndex are put together by dots, as MLflow has them."""
    return ".".join(str(part) for part in name if str(part)) if isinstance(name, tuple) else str(name)


def _texts(values: Sequence[Any]) -> list[str]:
    is_text = any(isinstance(value, str) for value in values)
    return [_text(value, nan_is_empty=is_text) for value in values]


def _text(value: Any, *, nan_is_empty: bool) -> str:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return ""
    if isinstance(value, bool | str):
        return str(value)
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    if math.isnan(number):
        return "" if nan_is_empty else "nan"
    return (
        str(int(number)) if number == value and number.is_integer() and abs(number) < 2**53 else repr(number)
    )
