"""Long and wide tables as runs: which columns hold settings, seeds and the metric."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from foolscope.core.errors import DataError, did_you_mean
from foolscope.experiments.tables import columns as names
from foolscope.experiments.tables.numbers import Numbers, is_number, read_numbers, same_value
from foolscope.experiments.tables.runs import Run, RunTable
from foolscope.experiments.tables.table import Table

__all__ = ["Layout", "runs_of"]

_SETTING = "setting"


@dataclass(frozen=True)
class Layout:
    """What a person says about the columns; None where it is to be found out.

    Args:
        settings: names of the setting columns.
        seed: name of the column whose equal values mean shared chance; "none" if rows are replicates.
        metric: name of the metric's column, or what a wide table's cells are.
        baseline: as given; a wide table may have a column of this name.
    """

    settings: tuple[str, ...] | None = None
    seed: str | None = None
    metric: str | None = None
    baseline: str | None = None


def runs_of(table: Table, layout: Layout) -> RunTable:
    """Read the runs of a table: a row for each run, a column for each seed, or a column for each setting.

    Raises:
        DataError: a column is missing, several could be meant, or a cell is no number.
    """
    for given in (*(layout.settings or ()), *([layout.seed] if layout.seed not in (None, "none") else [])):
        _known(table, str(given))
    if layout.metric is None or layout.metric not in _by_any_name(table):
        if layout.settings is None and layout.baseline in _numeric(table):
            return _column_per_setting(table, layout)
        seeds = [name for name in table.columns if names.seed_number(name) and _mostly_numeric(table, name)]
        if len(seeds) > 1 and _is_one_count(seeds):
            return _column_per_seed(table, layout, seeds)
    return _long(table, layout)


def _long(table: Table, layout: Layout) -> RunTable:
    """Read a table with a row for each run."""
    state = next((name for name in table.columns if names.is_state(name)), None)
    seed = _seed_column(table, layout)
    metric, others = _metric_column(table, layout, seed)
    settings, notes = _setting_columns(
        table, layout, {metric, *([seed] if seed else []), *([state] if state else [])}
    )
    if others:
        notes.append(f"Other metrics, for --metric: {_listed(others)}.")
    numbers = _numbers(table, [metric])[metric]
    paired = seed is not None and (names.is_seed(seed) or layout.seed is not None)
    runs = tuple(
        Run(
            tuple(same_value(row[table.columns.index(name)]) for name in settings),
            same_value(row[table.columns.index(seed)]) if seed else None,
            numbers.values[index],
            table.place(index, metric),
            table.numbers[index],
            row[table.columns.index(state)].lower().rpartition(".")[2] if state else "",
        )
        for index, row in enumerate(table.rows)
    )
    return RunTable(
        table.source,
        len(table.rows),
        settings,
        seed,
        paired,
        metric,
        any(numbers.percent),
        runs,
        tuple(notes),
    )


def _column_per_seed(table: Table, layout: Layout, seeds: Sequence[str]) -> RunTable:
    """Read a table with a row for each setting and a column for each seed."""
    chosen = layout.settings or tuple(
        name
        for name in table.columns
        if name not in seeds and not names.is_summary(name) and not names.is_metric(name)
    )
    if not chosen:
        raise DataError(f"{table.source}: no column names the settings; add one before {seeds[0]!r}")
    if layout.settings is None:
        values = {name: tuple(map(same_value, table.column(name))) for name in chosen}
        chosen = (
            tuple(_telling([name for name in chosen if len(set(values[name])) > 1], values)) or chosen[:1]
        )
    numbers = _numbers(table, seeds)
    word = next(
        filter(None, (names.seed_number(name)[0] for name in seeds if names.seed_number(name))), "seed"
    )  # type: ignore[index]
    runs = tuple(
        Run(
            tuple(same_value(row[table.columns.index(name)]) for name in chosen),
            str((names.seed_number(seed) or ("", 0))[1]),
            numbers[seed].values[index],
            table.place(index, seed),
            table.numbers[index],
        )
        for index, row in enumerate(table.rows)
        for seed in seeds
    )
    _each_setting_once(table, runs, len(seeds))
    percent = any(any(each.percent) for each in numbers.values())
    unused = [name for name in table.columns if name not in seeds and name not in chosen]
    notes = [f"Columns not used: {_listed(unused)}."] if unused else []
    return RunTable(
        table.source,
        len(table.rows),
        chosen,
        word,
        names.is_seed(word) or word == "s",
        _wide_metric(table, layout),
        percent,
        _without_blanks(table, runs),
        tuple(notes),
    )


def _column_per_setting(table: Table, layout: Layout) -> RunTable:
    """Read a table with a row for each seed and a column for each setting."""
    seed = _seed_column(table, layout)
    chosen = [
        name
        for name in _numeric(table)
        if name == layout.baseline
        or not (
            name == seed or names.is_bookkeeping(name) or names.is_summary(name) or names.is_replicate(name)
        )
    ]
    numbers = _numbers(table, chosen)
    runs = tuple(
        Run(
            (name,),
            same_value(row[table.columns.index(seed)]) if seed else None,
            numbers[name].values[index],
            table.place(index, name),
            table.numbers[index],
        )
        for index, row in enumerate(table.rows)
        for name in chosen
    )
    unused = [name for name in table.columns if name not in chosen and name != seed]
    notes = [f"Columns not used: {_listed(unused)}."] if unused else []
    paired = seed is not None and (names.is_seed(seed) or layout.seed is not None)
    percent = any(any(each.percent) for each in numbers.values())
    metric = _wide_metric(table, layout)
    runs = _without_blanks(table, runs)
    return RunTable(
        table.source, len(table.rows), (_SETTING,), seed, paired, metric, percent, runs, tuple(notes)
    )


def _without_blanks(table: Table, runs: Sequence[Run]) -> tuple[Run, ...]:
    """Leave out the empty cells of a wide table: such runs do not exist."""
    return tuple(
        run for run in runs if run.value is not None and not (table.blank_is_nan and run.value != run.value)
    )


def _each_setting_once(table: Table, runs: Sequence[Run], seeds: int) -> None:
    seen: dict[tuple[str, ...], int] = {}
    for run in runs[::seeds]:
        if run.setting in seen:
            raise DataError(
                f"{table.source}: rows {seen[run.setting]} and {run.row} are the same setting "
                f"({', '.join(run.setting)}); name all columns that differ with --setting, or delete one"
            )
        seen[run.setting] = run.row


def _is_one_count(seeds: Sequence[str]) -> bool:
    """Whether numbered columns count one thing, each number once: "seed 0", "seed 1"."""
    found = [number for number in map(names.seed_number, seeds) if number]
    return len({word for word, _ in found}) == 1 and len({number for _, number in found}) == len(found)


def _seed_column(table: Table, layout: Layout) -> str | None:
    if layout.seed is not None:
        return None if layout.seed == "none" else _known(table, layout.seed)
    found = [name for name in table.columns if names.is_seed(name) and any(table.column(name))]
    exact = [name for name in found if names.plain_name(name).lower() == "seed"]
    if len(found) > 1 and len(exact) != 1:
        raise DataError(f"{table.source}: {_listed(found)} could be the seed; choose with --seed")
    return (exact or found or [None])[0]


def _metric_column(table: Table, layout: Layout, seed: str | None) -> tuple[str, list[str]]:
    """Return the metric's column, and the names of other metrics."""
    numeric = [name for name in _numeric(table) if name != seed]
    if layout.metric is not None:
        return _known(table, layout.metric), []
    if {"number", "value"} <= set(table.columns):  # Optuna
        return "value", []
    found = [
        name
        for name in table.columns
        if names.is_metric(name) and name not in (layout.settings or ()) and _mostly_numeric(table, name)
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
            f"{_listed(table.columns)}"
        )
    ranked = sorted(found, key=names.metric_rank)
    if len(ranked) > 1 and names.metric_rank(ranked[0]) == names.metric_rank(ranked[1]):
        best = [name for name in ranked if names.metric_rank(name) == names.metric_rank(ranked[0])]
        raise DataError(f"{table.source}: {_listed(best, 'and')} could be the metric; choose with --metric")
    return ranked[0], ranked[1:]


def _varies_most(table: Table, rest: Sequence[str]) -> bool:
    """Whether the last numeric column has more different values than any other."""
    counts = [len(set(table.column(name))) for name in rest]
    return counts[-1] > max(counts[:-1], default=0)


def _setting_columns(table: Table, layout: Layout, taken: set[str]) -> tuple[tuple[str, ...], list[str]]:
    """Return the setting columns: those that vary and are nothing else."""
    if layout.settings is not None:
        return tuple(_known(table, name) for name in layout.settings), []
    free = [name for name in table.columns if name not in taken]
    prefixed = [name for name in free if name.lower().startswith(("params.", "params_"))]
    pool = prefixed or [
        name
        for name in free
        if not (names.is_bookkeeping(name) or names.is_replicate(name) or names.is_seed(name))
        and not names.is_summary(name)
        and not (names.is_metric(name) and _mostly_numeric(table, name))
    ]
    values = {name: tuple(map(same_value, table.column(name))) for name in pool if not names.is_seed(name)}
    chosen = [name for name, own in values.items() if len(set(own)) > 1]
    notes = []
    rows = len(table.rows)
    unique = [name for name in chosen if len(set(values[name])) == rows]
    if unique and len(unique) < len(chosen) and rows > 3:
        notes.append(f"Different in every row, so not a setting: {_listed(unique)}.")
        chosen = [name for name in chosen if name not in unique]
    telling = _telling(chosen, values)
    if len(telling) < len(chosen):
        doubled = [name for name in chosen if name not in telling]
        notes.append(f"Varies with another setting and says nothing more: {_listed(doubled)}.")
        chosen = telling
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
            f"{_listed(free or table.columns)}"
        )
    return tuple(chosen), notes


def _telling(chosen: Sequence[str], values: Mapping[str, Sequence[str]]) -> list[str]:
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


def _wide_metric(table: Table, layout: Layout) -> str:
    """Name what a wide table holds: as it was said, or as the file is called if that is a metric."""
    if layout.metric is not None:
        return layout.metric
    stem = table.source.rpartition(".")[0]
    return stem if stem and names.is_metric(stem) else "value"


def _numbers(table: Table, chosen: Sequence[str]) -> dict[str, Numbers]:
    """Read columns of one quantity, which agree on what a comma means."""
    cells = [cell for name in chosen for cell in table.column(name)]
    places = [table.place(row, name) for name in chosen for row in range(len(table.rows))]
    read = read_numbers(cells, places, decimal_comma=table.decimal_comma)
    rows = len(table.rows)
    return {
        name: Numbers(
            read.values[position * rows : (position + 1) * rows],
            read.percent[position * rows : (position + 1) * rows],
        )
        for position, name in enumerate(chosen)
    }


def _numeric(table: Table) -> list[str]:
    """The columns all of whose cells are numbers or empty, and not all empty."""
    return [
        name for name in table.columns if any(table.column(name)) and all(map(is_number, table.column(name)))
    ]


def _mostly_numeric(table: Table, name: str) -> bool:
    """Whether most cells of a column are numbers, so that the others are mistakes."""
    cells = [cell for cell in table.column(name) if cell]
    return bool(cells) and sum(map(is_number, cells)) > len(cells) / 2


def _by_any_name(table: Table) -> dict[str, str]:
    """The columns by their names and by those without a tracker's prefix."""
    return {names.plain_name(name): name for name in table.columns} | {name: name for name in table.columns}


def _known(table: Table, name: str) -> str:
    found = _by_any_name(table)
    if name not in found:
        raise DataError(f"{table.source} has no column {name!r}. {did_you_mean(name, table.columns)}")
    return found[name]


def _listed(columns: Sequence[str], last: str = "") -> str:
    shown = [repr(name) for name in columns[:8]]
    more = f" and {len(columns) - 8} more" if len(columns) > 8 else ""
    if last and len(shown) > 1 and not more:
        return f"{', '.join(shown[:-1])} {last} {shown[-1]}"
    return ", ".join(shown) + more
