"""Judge anyone's results: verdicts on a table of settings and seeds."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foolscope.experiments.tables.claims import read_claims
from foolscope.experiments.tables.files import read_table
from foolscope.experiments.tables.frames import table_from
from foolscope.experiments.tables.judgement import JudgementRecord, Reading, judge_table
from foolscope.experiments.tables.logs import find_logs, read_logs
from foolscope.experiments.tables.roles import Epoch, Layout
from foolscope.experiments.tables.runs import Duplicates
from foolscope.experiments.tables.table import Table
from foolscope.experiments.tables.units import UnitName
from foolscope.reports import Document
from foolscope.reports.judgement import judgement_document, write_judgement
from foolscope.verbs.result import Result

__all__ = ["Judgement", "judge"]


@dataclass(frozen=True)
class Judgement(Result):
    """Verdicts on a table, and how it was read."""

    record: JudgementRecord

    @property
    def sentences(self) -> list[str]:
        """The verdicts in words."""
        return self.record.ablation.sentences

    @property
    def outcomes(self) -> dict[str, str]:
        """The outcome of every setting but the baseline, by what differs from it: ``lr = 0.3``."""
        levels = (level for factor in self.record.ablation.factors for level in factor.levels)
        return {level.cell: level.outcome for level in levels if level.outcome != "baseline"}

    @property
    def document(self) -> Document:
        """The report."""
        return judgement_document(self.record)

    def write(self, target: str | Path) -> list[Path]:
        """Write ``report.html``, ``report.md`` and ``judgement.json`` into a folder, or one page."""
        return write_judgement(self.record, Path(target))


def judge(
    table: Any,
    baseline: str | float | Mapping[str, Any] | None = None,
    *,
    setting: str | Sequence[str] | None = None,
    seed: str | None = None,
    metric: str | None = None,
    delta: float | str | None = None,
    unit: UnitName | None = None,
    lower_is_better: bool | None = None,
    images: int | None = None,
    correct: str | Path | None = None,
    epoch: Epoch = "last",
    duplicates: Duplicates = "refuse",
    claims: str | Path | None = None,
) -> Judgement:
    """Judge every setting of a table against the baseline.

    A table has a row for each run, a row for each setting with a column for each seed, or a row for each seed
    with a column for each setting. What the columns are is found out by their names and said in the result.

    Args:
        table: path of a file, of several, or of a folder of logs; a data frame of pandas, polars or PyArrow;
            a mapping from column to values; or a list of rows as mappings.
        baseline: the setting that the others are compared with: its value, ``"lr=0.1,wd=0"`` or a mapping.
        setting: names of the setting columns.
        seed: name of the column whose equal values pair runs of different settings; "none" if rows are
            replicates.
        metric: name of the metric's column, or of what a wide table holds.
        delta: the smallest difference that matters, in the table's own unit, or with a percent sign ("0.5%");
            half a point of a share if not given.
        unit: whether the metric is a "share" of 1, in "percent" or "plain".
        lower_is_better: how the metric is read; by its name if not given.
        images: size of the test set, if the metric is a share of its images.
        correct: an ``.npz`` file with the correctness of every image: arrays SETTING/SEED, or SETTING with
            shape (seed, image).
        epoch: the "last" or the "best" value of every run, of which a log or table has one for each epoch.
        duplicates: "refuse" different values for one setting and seed, or take the "first", the "last" or
            their "mean".
        claims: a TOML file with ``[[claims]]``.

    Raises:
        DataError: the table cannot be read; the line names row and column.
        RecipeError: an argument does not fit the table.

    Example:
        >>> rows = {"model": ["A", "A", "A", "B", "B", "B"], "seed": [0, 1, 2, 0, 1, 2],
        ...         "accuracy": [94.1, 94.3, 94.2, 95.6, 95.9, 95.7]}
        >>> judge(rows, "A").outcomes
        {'model = B': 'helps'}
    """
    reading = Reading(
        layout=Layout(_names(setting), seed, metric, epoch=epoch, lower_is_better=lower_is_better),
        unit=unit,
        lower_is_better=lower_is_better,
        delta=delta,
        images=images,
        correct=None if correct is None else Path(correct),
        duplicates=duplicates,
        claims=read_claims(Path(claims)) if claims is not None else (),
    )
    named = f"{baseline:.12g}" if isinstance(baseline, int | float) else baseline
    return Judgement(judge_table(_table(table, epoch, lower_is_better), named, reading))


def _names(setting: str | Sequence[str] | None) -> tuple[str, ...] | None:
    if setting is None:
        return None
    return tuple(name.strip() for name in setting.split(",")) if isinstance(setting, str) else tuple(setting)


def _table(given: Any, epoch: Epoch, lower: bool | None) -> Table:
    """Read a file, a folder, several files, or what is in memory."""
    if isinstance(given, str | os.PathLike):
        path = Path(given)
        return read_logs(find_logs(path), epoch=epoch, lower=lower) if path.is_dir() else read_table(path)
    if (
        isinstance(given, list | tuple)
        and given
        and all(isinstance(each, str | os.PathLike) for each in given)
    ):
        paths = [Path(each) for each in given]
        return read_table(paths[0]) if len(paths) == 1 else read_logs(paths, epoch=epoch, lower=lower)
    return table_from(given)
