"""Which columns of a table are the settings, the seed and the metric, as a person says or by their names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from foolscope.core.errors import DataError, did_you_mean
from foolscope.experiments.tables import columns as names
from foolscope.experiments.tables.numbers import is_number, same_value
from foolscope.experiments.tables.table import Table

__all__ = [
    "Epoch",
    "Layout",
    "columns_by_name",
    "is_mostly_numeric",
    "known_column",
    "listed",
    "metric_column",
    "numeric_columns",
    "seed_column",
    "setting_columns",
    "telling",
]


Epoch = Literal["last", "best"]


@dataclass(frozen=True)
class Layout:
    """What a person says about the columns; None where it is to be found out.

    Args:
        settings: names of the setting columns.
        seed: name of the column whose equal values mean shared chance; "none" if rows are replicates.
        metric: name of the metric's column, or what a wide table's cells are.
        baseline: as given; a wide table may have a column of this name.
        epoch: which row of a run counts, or value of a log, where there is one for each epoch.
        lower_is_better: how the metric is read; None to go by its name.
    """

    settings: tuple[str, ...] | None = None
    seed: str | None = None
    metric: str | None = None
    baseline: str | None = None
    epoch: Epoch = "last"
    lower_is_better: bool | None = None


def seed_column(table: Table, layout: Layout) -> str | None:
    """Return the name of the seed column; None where rows are replicates.

    Raises:
        DataError: there is no such column, or several could be it.
    """
    if layout.seed is not None:
        return None if layout.seed == "none" else known_column(table, layout.seed)
    found = [name for name in table.columns if names.is_seed(name) and any(table.column(name))]
    exact = [name for name in found if names.plain_name(name).lower() == "seed"]
    if len(found) > 1 and len(exact) != 1:
        raise DataError(f"{table.source}: {listed(found)} could be the seed; choose with --seed")
    return next(iter(exact or found), None)


def metric_column(table: Table, layout: Layout, seed: str | None) -> tuple[str, list[str]]:
    """Return the metric's column, and the names of other metrics."""
    numeric = [name for name in numeric_columns(table) if name != seed]
    if layout.metric is not None:
        return known_column(table, layout.metric), []
    if {"number", "value"} <= set(table.columns):  # Optuna
        return "value", []
    found = [
        name
        for name in table.columns
        if names.is_metric(name) and name not in (layout.settings or ()) and is_mostly_numeric(table, name)
    ]
    if not found:
        rest = [
            name
            for name in numeric
            if not names.is_bookkeeping(name)
            and not names.is_replicate(name)
            and not names.is_summary(name)
            and name not in (layout.settings or ())
            and names.plain_name(name) == name
        ]
        found = rest[-1:] if len(rest) == 1 or (rest and _varies_most(table, rest)) else []
    if not found:
        raise DataError(
            f"{table.source}: no column looks like a metric; choose with --metric one of "
            f"{listed(table.columns)}"
        )
    if all(map(names.is_summary, found)):
        raise DataError(
            f"{table.source}: {listed(found, 'and')} sum up several runs; a verdict needs every run, in a "
            "row or a cell of its own"
        )
    ranked = sorted(found, key=names.metric_rank)
    if len(ranked) > 1 and names.metric_rank(ranked[0]) == names.metric_rank(ranked[1]):
        best = [name for name in ranked if names.metric_rank(name) == names.metric_rank(ranked[0])]
        raise DataError(f"{table.source}: {listed(best, 'and')} could be the metric; choose with --metric")
    return ranked[0], ranked[1:]


def _varies_most(table: Table, rest: Sequence[str]) -> bool:
    """Whether the last numeric column has more different values than any other."""
    counts = [len(set(table.column(name))) for name in rest]
    return counts[-1] > max(counts[:-1], default=0)


def setting_columns(table: Table, layout: Layout, taken: set[str]) -> tuple[tuple[str, ...], list[str]]:
    """Return the setting columns: those that vary and are nothing else."""
    if layout.settings is not None:
        return tuple(known_column(table, name) for name in layout.settings), []
    free = [name for name in table.columns if name not in taken]
    prefixed = [name for name in free if name.lower().startswith(("params.", "params_"))]
    pool = prefixed or [
        name
        for name in free
        if not (names.is_bookkeeping(name) or names.is_replicate(name) or names.is_seed(name))
        and not names.is_summary(name)
        and not (names.is_metric(name) and is_mostly_numeric(table, name))
    ]
    values = {name: tuple(map(same_value, table.column(name))) for name in pool if not names.is_seed(name)}
    chosen = [name for name, own in values.items() if len(set(own)) > 1]
    notes = []
    rows = len(table.rows)
    unique = [name for name in chosen if len(set(values[name])) == rows]
    if unique and len(unique) < len(chosen) and rows > 3:
        notes.append(f"Different in every row, so not a setting: {listed(unique)}.")
        chosen = [name for name in chosen if name not in unique]
    kept = telling(chosen, values)
    if len(kept) < len(chosen):
        doubled = [name for name in chosen if name not in kept]
        notes.append(f"Varies with another setting and says nothing more: {listed(doubled)}.")
        chosen = kept
    if not chosen:  # the name or group of a run may be all there is
        chosen = [
            name
            for name in free
            if " ".join(name.lower().split())
            in ("name", "group", "experiment", "run_name", "tags.mlflow.runname")
            and 1 < len(set(table.column(name))) < rows
        ][:1]
    if not chosen:
        raise DataError(
            f"{table.source}: no column has a setting that varies; choose with --setting one of "
            f"{listed(free or table.columns)}"
        )
    return tuple(chosen), notes


def telling(chosen: Sequence[str], values: Mapping[str, Sequence[str]]) -> list[str]:
    """Leave out columns that tell the same rows apart as an earlier one."""
    kept: list[str] = []
    for name in chosen:
        if not any(_same(values[name], values[each]) for each in kept):
            kept.append(name)
    return kept


def _same(values: Sequence[str], others: Sequence[str]) -> bool:
    """Whether two columns tell the same rows apart."""
    pairs = set(zip(values, others, strict=True))
    return len(pairs) == len(set(values)) == len(set(others))


def numeric_columns(table: Table) -> list[str]:
    """The columns all of whose cells are numbers or empty, and not all empty."""
    return [
        name for name in table.columns if any(table.column(name)) and all(map(is_number, table.column(name)))
    ]


def is_mostly_numeric(table: Table, name: str) -> bool:
    """Whether most cells of a column are numbers, so that the others are mistakes."""
    cells = [cell for cell in table.column(name) if cell]
    return bool(cells) and sum(is_number(cell) or "±" in cell for cell in cells) > len(cells) / 2


def columns_by_name(table: Table) -> dict[str, str]:
    """The columns by their names and by those without a tracker's prefix."""
    return {names.plain_name(name): name for name in table.columns} | {name: name for name in table.columns}


def known_column(table: Table, name: str) -> str:
    """Return the column that a person names, with or without a tracker's prefix.

    Raises:
        DataError: there is none.
    """
    found = columns_by_name(table)
    if name not in found:
        raise DataError(f"{table.source} has no column {name!r}. {did_you_mean(name, table.columns)}")
    return found[name]


def listed(columns: Sequence[str], last: str = "") -> str:
    """List names of columns in a message, eight at most."""
    shown = [repr(name) for name in columns[:8]]
    more = f" and {len(columns) - 8} more" if len(columns) > 8 else ""
    if last and len(shown) > 1 and not more:
        return f"{', '.join(shown[:-1])} {last} {shown[-1]}"
    return ", ".join(shown) + more
