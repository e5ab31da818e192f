"""From a table to its record: how it was understood, what was lost, the verdicts and the claims."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from pydantic import Field

from foolscope.core.settings import Settings
from foolscope.experiments.claims.records import ClaimRecord
from foolscope.experiments.parts.ablation_record import AblationRecord, ShownMetric, summarize_factors
from foolscope.experiments.tables import columns as names
from foolscope.experiments.tables.claims import TableClaim, judge_table_claims
from foolscope.experiments.tables.correctness import read_correct
from foolscope.experiments.tables.designs import Cells, cells_of
from foolscope.experiments.tables.layouts import runs_of
from foolscope.experiments.tables.roles import Layout
from foolscope.experiments.tables.runs import Duplicates, RunTable, counted_runs
from foolscope.experiments.tables.table import Table
from foolscope.experiments.tables.units import (
    Unit,
    UnitName,
    find_unit,
    margin,
    metric_step,
    shown_metric,
)

__all__ = ["JudgementRecord", "Reading", "judge_table"]


class JudgementRecord(Settings):
    """What a table says, and how it was read."""

    source: str
    understood: str = Field(description="what the columns were taken for, in one line")
    notes: list[str]
    lost: list[str] = Field(description="runs that do not count, and why")
    baseline: str
    paired: bool = Field(description="whether settings are compared within seeds")
    images: int | None = Field(None, description="size of the test set, where it is known")
    per_image: bool = Field(False, description="whether the correctness of every image is known")
    ablation: AblationRecord
    claims: list[ClaimRecord] = Field(default_factory=list)


@dataclass(frozen=True)
class Reading:
    """What a person says about a table; None where it is to be found out.

    Args:
        layout: which columns are what.
        unit: of the metric.
        lower_is_better: how the metric is read.
        delta: the smallest difference that matters, in the table's own unit, or with a percent sign.
        images: size of the test set.
        correct: file with the correctness of every image.
        duplicates: what to do with different values for one setting and seed.
        claims: to be tested.
    """

    layout: Layout = field(default_factory=Layout)
    unit: UnitName | None = None
    lower_is_better: bool | None = None
    delta: float | str | None = None
    images: int | None = None
    correct: Path | None = None
    duplicates: Duplicates = "refuse"
    claims: Sequence[TableClaim] = ()


def judge_table(
    table: Table, baseline: str | Mapping[str, object] | None, reading: Reading | None = None
) -> JudgementRecord:
    """Judge every setting of a table against the baseline.

    Args:
        table: of runs.
        baseline: a value of the setting column, ``column=value`` pairs, or a mapping.
        reading: what is known about the table.

    Raises:
        DataError: the table cannot be read; the line names row and column.
        RecipeError: an option does not fit the table.
    """
    reading = reading or Reading()
    layout = replace(reading.layout, baseline=baseline if isinstance(baseline, str) else None)
    runs_table = runs_of(table, layout)
    runs, lost = counted_runs(runs_table, reading.duplicates)
    unit = find_unit(runs_table.metric, runs, percent_signs=runs_table.percent, given=reading.unit)
    shown = shown_metric(runs_table.metric, unit, reading.lower_is_better)
    cells = cells_of(runs_table, runs, baseline)
    with np.errstate(invalid="ignore"):
        delta = margin(reading.delta, unit, runs_table.metric, _spread(cells))
    step = metric_step(unit, reading.images, runs_table.metric)
    correct, images = None, reading.images
    if reading.correct is not None:
        is_error = not shown.higher_is_better
        correct = read_correct(reading.correct, cells, factor=unit.factor, is_error=is_error)
        images = correct.shape[-1]
        step = 1 / images
    design = cells.design(factor=unit.factor, step=step, correct=correct)
    ablation = summarize_factors(
        cells.baseline_words,
        cells.factors,
        design,
        metric=runs_table.metric,
        practical_difference=delta,
        shown=shown,
    )
    return JudgementRecord(
        source=runs_table.source,
        understood=_understood(runs_table, cells, unit, shown),
        notes=[*table.notes, *runs_table.notes],
        lost=[*lost, *cells.lost],
        baseline=cells.baseline_words,
        paired=cells.paired,
        images=images,
        per_image=correct is not None,
        ablation=ablation,
        claims=judge_table_claims(
            reading.claims,
            cells,
            design,
            metric=runs_table.metric,
            shown=shown,
            factor=unit.factor,
            practical_difference=delta,
        ),
    )


def _understood(table: RunTable, cells: Cells, unit: Unit, shown: ShownMetric) -> str:
    """Say in one line what a table was taken for."""
    columns = " × ".join(
        f"{names.plain_name(name)} ({len({setting[index] for setting in cells.settings.values()})} values)"
        for index, name in enumerate(table.settings)
    )
    count = len(cells.settings)
    combined = f", {count} combinations" if len(table.settings) > 1 else ""
    if table.seed is None:
        seeds = "no seed column, rows are replicates"
    elif cells.paired:
        seeds = f"seed = {names.plain_name(table.seed)} ({len(cells.blocks)})"
    else:
        seeds = f"runs = {names.plain_name(table.seed)}, not paired"
    rows = f"{table.row_count:,} {'row' if table.row_count == 1 else 'rows'}"
    direction = "higher" if shown.higher_is_better else "lower"
    return (
        f"{rows}: setting = {columns}{combined}, {seeds}, metric = {names.plain_name(table.metric)}, "
        f"{unit.words}, {direction} is better"
    )


def _spread(cells: Cells) -> float:
    """Return the median over settings of the standard deviation between runs, as the table has it."""
    spreads = [
        float(np.std(row[np.isfinite(row)], ddof=1)) for row in cells.values if np.isfinite(row).sum() > 1
    ]
    return float(np.median(spreads)) if spreads else 0.0
