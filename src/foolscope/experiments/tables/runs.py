"""The runs of a table, and which of them count: failed, unfinished, repeated, without a value."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from foolscope.core.errors import DataError

__all__ = ["Duplicates", "Run", "RunTable", "counted_runs"]

Duplicates = Literal["refuse", "first", "last", "mean"]

_FAILED = {"failed", "fail", "crashed", "error", "diverged", "nan", "oom", "broken"}
_UNFINISHED = {
    *("running", "pending", "queued", "waiting", "scheduled", "preempting", "preempted"),
    *("killed", "stopped", "aborted", "canceled", "cancelled"),
}
_PRUNED = {"pruned", "earlystopped"}


@dataclass(frozen=True)
class Run:
    """One run.

    Args:
        setting: the values of the setting columns, in their order.
        seed: as written; None where rows are replicates.
        value: of the metric; None if there is none, NaN if the run diverged.
        place: of the metric's cell, for messages.
        row: number of the row.
        state: what became of it, in lower case; empty if the table does not say.
    """

    setting: tuple[str, ...]
    seed: str | None
    value: float | None
    place: str
    row: int
    state: str = ""


@dataclass(frozen=True)
class RunTable:
    """The runs of a table, and how it was understood.

    Args:
        source: name of the file.
        row_count: rows of the table.
        settings: names of the setting columns.
        seed: name of the seed column, or None where rows are replicates.
        paired: whether an equal seed means shared chance.
        metric: name of the metric.
        percent: whether cells of the metric have percent signs.
        runs: one for each value.
        notes: what else was found out about the table, whole sentences.
    """

    source: str
    row_count: int
    settings: tuple[str, ...]
    seed: str | None
    paired: bool
    metric: str
    percent: bool
    runs: tuple[Run, ...]
    notes: tuple[str, ...] = ()


def counted_runs(table: RunTable, duplicates: Duplicates = "refuse") -> tuple[list[Run], list[str]]:
    """Sort out which runs count, and say what was lost.

    A failed or crashed run counts as diverged, unless the same setting and seed was run again and finished.
    Unfinished runs, and finished ones without a value, are lost. So are pruned ones, which flatters their
    settings. A run that is listed twice with the same value counts once.

    Args:
        table: all runs.
        duplicates: what to do with different values for one setting and seed.

    Returns:
        The runs that count, and whole sentences about the others.

    Raises:
        DataError: a setting has two different values for one seed, and ``duplicates`` is "refuse"; or no run
            is left.
    """
    lost: list[str] = []
    failed = {run for run in table.runs if run.state in _FAILED}
    unended = _FAILED | _UNFINISHED | _PRUNED
    finished = {
        (run.setting, run.seed) for run in table.runs if run.state not in unended and run.value is not None
    }
    rerun = {run for run in failed if run.seed is not None and (run.setting, run.seed) in finished}
    unfinished = [run for run in table.runs if run.state in _UNFINISHED]
    pruned = [run for run in table.runs if run.state in _PRUNED]
    _say(lost, sorted(rerun, key=lambda run: run.row), "failed and was run again with the same seed")
    _say(lost, unfinished, "did not finish and is skipped")
    _say(lost, pruned, "was pruned and is skipped, which makes its setting look better than it is")
    skipped = {*rerun, *unfinished, *pruned}
    kept = [
        replace(run, value=math.nan) if run in failed else run for run in table.runs if run not in skipped
    ]
    empty = [run for run in kept if run.value is None]
    _say(lost, empty, f"has no {table.metric} and is skipped")
    counted = _once([run for run in kept if run.value is not None], duplicates, lost)
    diverged = [run for run in counted if run.value is not None and not math.isfinite(run.value)]
    _say(lost, diverged, "counts as diverged")
    if not counted:
        reason = f" ({lost[0].rstrip('.')})" if lost else ""
        raise DataError(f"{table.source}: no run has a value of {table.metric}{reason}")
    return counted, lost


def _once(runs: Sequence[Run], duplicates: Duplicates, lost: list[str]) -> list[Run]:
    """Let every setting and seed count once."""
    groups: dict[tuple[tuple[str, ...], str], list[Run]] = {}
    for run in runs:
        if run.seed is not None:
            groups.setdefault((run.setting, run.seed), []).append(run)
    dropped: set[Run] = set()
    changed: dict[Run, Run] = {}
    for group in groups.values():
        values = {repr(run.value) for run in group}
        if len(values) == 1:
            dropped.update(group[1:])
            continue
        if duplicates == "refuse":
            first, second = group[0], next(run for run in group if run.value != group[0].value)
            raise DataError(
                f"{first.place} and row {second.row} are the same setting ({', '.join(first.setting)}) and "
                f"seed ({first.seed}) with different values, {first.value:g} and {second.value:g}; name all "
                "columns that differ with --setting, or choose with --duplicates first, last or mean"
            )
        mean = math.fsum(run.value or 0.0 for run in group) / len(group)
        kept = group[-1] if duplicates == "last" else group[0]
        changed[kept] = replace(kept, value=mean) if duplicates == "mean" else kept
        dropped.update(run for run in group if run is not kept)
    words = {"mean": "is averaged with another run of its setting and seed"}.get(duplicates, "")
    _say(lost, [run for run in runs if run in dropped], words or "repeats a setting and seed and is skipped")
    return [changed.get(run, run) for run in runs if run not in dropped]


def _say(lost: list[str], runs: Iterable[Run], what: str) -> None:
    """Add a sentence about some runs, with the numbers of their rows."""
    rows = [run.row for run in runs]
    if not rows:
        return
    shown = ", ".join(map(str, rows[:5])) + (f" and {len(rows) - 5} more" if len(rows) > 5 else "")
    verb = what if len(rows) == 1 else _plural(what)
    lost.append(f"{'Row' if len(rows) == 1 else 'Rows'} {shown} {verb}.")


def _plural(what: str) -> str:
    swaps = {
        "was ": "were ",
        "is skipped": "are skipped",
        "has ": "have ",
        "counts ": "count ",
        "repeats ": "repeat ",
        "is averaged": "are averaged",
        "makes its setting look": "makes their settings look",
        "it is": "they are",
    }
    for one, many in swaps.items():
        what = what.replace(one, many)
    return what
