"""Long and wide tables as runs: which columns hold settings, seeds and the metric."""

from collections.abc import Sequence

from foolscope.core.errors import DataError
from foolscope.experiments.tables import columns as names
from foolscope.experiments.tables.epochs import one_epoch
from foolscope.experiments.tables.numbers import Numbers, read_numbers, same_value
from foolscope.experiments.tables.roles import (
    Layout,
    columns_by_name,
    is_mostly_numeric,
    known_column,
    listed,
    metric_column,
    numeric_columns,
    seed_column,
    setting_columns,
    telling,
)
from foolscope.experiments.tables.runs import Run, RunTable
from foolscope.experiments.tables.table import Table

__all__ = ["runs_of"]

_SETTING = "setting"


def runs_of(table: Table, layout: Layout) -> RunTable:
    """Read the runs of a table: a row for each run, a column for each seed, or a column for each setting.

    Raises:
        DataError: a column is missing, several could be meant, or a cell is no number.
    """
    for given in (*(layout.settings or ()), *([layout.seed] if layout.seed not in (None, "none") else [])):
        known_column(table, str(given))
    if layout.metric is None or layout.metric not in columns_by_name(table):
        if layout.settings is None and layout.baseline in numeric_columns(table):
            return _column_per_setting(table, layout)
        seeds = [name for name in table.columns if names.seed_number(name) and is_mostly_numeric(table, name)]
        if len(seeds) > 1 and _is_one_count(seeds):
            return _column_per_seed(table, layout, seeds)
    return _long(table, layout)


def _long(table: Table, layout: Layout) -> RunTable:
    """Read a table with a row for each run."""
    state = next((name for name in table.columns if names.is_state(name)), None)
    seed = seed_column(table, layout)
    metric, others = metric_column(table, layout, seed)
    settings, notes = setting_columns(
        table, layout, {metric, *([seed] if seed else []), *([state] if state else [])}
    )
    if others:
        notes.append(f"Other metrics, for --metric: {listed(others)}.")
    epoch = next((name for name in table.columns if names.is_epoch(name) and name not in settings), None)
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
    if epoch is not None and is_mostly_numeric(table, epoch):
        lower = names.lower_is_better(metric) if layout.lower_is_better is None else layout.lower_is_better
        runs, note = one_epoch(
            table.source, runs, _numbers(table, [epoch])[epoch].values, layout.epoch, lower
        )
        notes += note
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
        chosen = tuple(telling([name for name in chosen if len(set(values[name])) > 1], values)) or chosen[:1]
    numbers = _numbers(table, seeds)
    counted = [names.seed_number(name) or ("", 0) for name in seeds]
    word = counted[0][0] or "seed"
    runs = tuple(
        Run(
            tuple(same_value(row[table.columns.index(name)]) for name in chosen),
            str(number),
            numbers[seed].values[index],
            table.place(index, seed),
            table.numbers[index],
        )
        for index, row in enumerate(table.rows)
        for seed, (_, number) in zip(seeds, counted, strict=True)
    )
    _each_setting_once(table, runs, len(seeds))
    percent = any(any(each.percent) for each in numbers.values())
    unused = [name for name in table.columns if name not in seeds and name not in chosen]
    notes = [f"Columns not used: {listed(unused)}."] if unused else []
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
    seed = seed_column(table, layout)
    chosen = [
        name
        for name in numeric_columns(table)
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
    notes = [f"Columns not used: {listed(unused)}."] if unused else []
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
