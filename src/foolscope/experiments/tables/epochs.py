"""Tables with a row for each epoch: the one that counts of every run."""

import math
from collections.abc import Sequence

from foolscope.core.errors import DataError
from foolscope.experiments.tables.roles import Epoch
from foolscope.experiments.tables.runs import Run

__all__ = ["one_epoch"]

_CURVE = 3  # rows of one setting that differ in the epoch, which without seeds cannot be replicates


def one_epoch(
    source: str, rows: Sequence[Run], epochs: Sequence[float | None], epoch: Epoch, lower: bool
) -> tuple[tuple[Run, ...], list[str]]:
    """Keep one row of each run where a table has several, by their epochs.

    Args:
        source: name of the table.
        rows: as if each were a run.
        epochs: of each row, or steps.
        epoch: whether the last or the best value of a run counts.
        lower: whether a low value is best.

    Returns:
        The rows that count, and a note if others do not.

    Raises:
        DataError: there are curves and no seeds, so that runs cannot be told apart.
    """
    groups: dict[tuple[tuple[str, ...], str | None], list[tuple[float, Run]]] = {}
    for row, when in zip(rows, epochs, strict=True):
        groups.setdefault((row.setting, row.seed), []).append((-math.inf if when is None else when, row))
    several = {run for run, group in groups.items() if len({when for when, _ in group}) == len(group) > 1}
    if any(row.seed is None for row in rows):
        if len(several) == len(groups) and min(map(len, groups.values())) >= _CURVE:
            raise DataError(
                f"{source} seems to have a row for each epoch and has no seed column to tell runs apart; "
                "name it with --seed, or keep the last row of each run"
            )
        return tuple(rows), []
    if not several:
        return tuple(rows), []
    kept = [
        row
        for run, group in groups.items()
        for row in (_chosen(group, epoch, lower) if run in several else [row for _, row in group])
    ]
    notes = [f"A run has a row for each epoch, of which the {epoch} counts."]
    if epoch == "best":
        notes.append("The best epoch was chosen on the metric that is judged, which flatters it.")
    return tuple(sorted(kept, key=lambda row: row.row)), notes


def _chosen(group: Sequence[tuple[float, Run]], epoch: Epoch, lower: bool) -> list[Run]:
    """Return the row of the last epoch that has a value, or of the best value."""
    ordered = [row for _, row in sorted(group, key=lambda pair: pair[0])]
    filled = [row for row in ordered if row.value is not None]
    finite = [row for row in filled if math.isfinite(row.value or 0.0)]
    if epoch == "last" or not finite:
        return (filled or ordered)[-1:]
    return [(min if lower else max)(finite, key=lambda row: row.value or 0.0)]
