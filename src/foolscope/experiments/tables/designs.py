"""Runs as a block design: cells around a baseline, seeds as blocks, factors as an ablation has them."""

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from foolscope.core.errors import DataError
from foolscope.experiments.parts.ablation_record import BASELINE, Factor
from foolscope.experiments.tables import columns as names
from foolscope.experiments.tables.naming import find_setting, number_of, ordered, setting_words
from foolscope.experiments.tables.runs import Run, RunTable
from foolscope.statistics.blocks import BlockDesign

__all__ = ["Cells", "cells_of"]

_ABBREVIATIONS = {"lr": "learning rate", "wd": "weight decay", "bs": "batch size", "arch": "architecture"}
_LISTED = 8


@dataclass(frozen=True, eq=False)
class Cells:
    """The settings of a table around a baseline.

    Args:
        columns: names of the setting columns.
        settings: label of a cell to its values, the baseline first.
        factors: what differs from the baseline, one factor for each set of columns that differ together.
        values: of the metric, one row per cell and one column per block; NaN where there is no run.
        absent: which of them are no runs.
        blocks: the seeds, or the numbers of replicates.
        seeds: the seeds as the table has them; empty where rows are replicates.
        paired: whether a block means shared chance.
        lost: what pairing lost, whole sentences.
    """

    columns: tuple[str, ...]
    settings: Mapping[str, tuple[str, ...]]
    factors: tuple[Factor, ...]
    values: np.ndarray
    absent: np.ndarray
    blocks: tuple[int, ...]
    seeds: tuple[str, ...]
    paired: bool
    lost: tuple[str, ...]

    @property
    def baseline_words(self) -> str:
        """The baseline in words: ``lr=0.1``, or its name where that says enough."""
        setting = self.settings[BASELINE]
        is_name = len(setting) == 1 and number_of(setting[0]) is None
        return setting[0] if is_name else setting_words(self.columns, setting)

    def design(
        self, *, factor: float = 1.0, step: float = 0.0, correct: np.ndarray | None = None
    ) -> BlockDesign:
        """Return the block design, its values multiplied with a factor."""
        return BlockDesign(
            tuple(self.settings),
            self.blocks,
            self.values * factor,
            step=step,
            paired=self.paired,
            absent=self.absent if self.absent.any() else None,
            correct=correct,
        )


def cells_of(table: RunTable, runs: Sequence[Run], baseline: str | Mapping[str, object] | None) -> Cells:
    """Lay out runs as cells × blocks.

    Args:
        table: says what the columns are.
        runs: those that count.
        baseline: a value, ``column=value`` pairs, or a mapping from column to value.

    Raises:
        RecipeError: no baseline is named, or it is not in the table, or several settings could be meant.
        DataError: there is one setting only, or no setting has two runs.
    """
    found = list(dict.fromkeys(run.setting for run in runs))
    chosen = find_setting(baseline, table.settings, found, option="--baseline")
    settings = [chosen, *(each for each in ordered(found) if each != chosen)]
    if len(settings) < 2:
        words = setting_words(table.settings, chosen)
        raise DataError(f"{table.source} has one setting only, {words}; a comparison needs another")
    own: dict[tuple[str, ...], list[Run]] = {setting: [] for setting in settings}
    for run in runs:
        own[run.setting].append(run)
    if max(map(len, own.values())) < 2:
        raise DataError(
            f"every setting in {table.source} has a single run, which says nothing about the spread between "
            "seeds; a verdict needs at least 2 seeds for each setting"
        )
    seeds = _seeds(runs) if table.seed is not None else ()
    paired, lost = _pairing(table, own, seeds)
    if paired:
        strangers = _strangers(own, chosen)
        lost += [
            f"{setting_words(table.settings, each)} shares no seed with the baseline and is not compared; "
            "--seed none compares without pairing."
            for each in settings
            if each in strangers
        ]
        settings = [each for each in settings if each not in strangers]
        seeds = _seeds([run for each in settings for run in own[each]])
    labels = [BASELINE, *(_label(table.settings, chosen, each) for each in settings[1:])]
    columns = seeds if paired else tuple(str(index) for index in range(max(map(len, own.values()))))
    place = {column: position for position, column in enumerate(columns)}
    values = np.full((len(settings), len(columns)), math.nan)
    absent = np.ones(values.shape, dtype=bool)
    for row, setting in enumerate(settings):
        for position, run in enumerate(own[setting]):
            column = place[str(run.seed)] if paired else position
            values[row, column], absent[row, column] = run.value, False
    return Cells(
        table.settings,
        dict(zip(labels, settings, strict=True)),
        _factors(table.settings, dict(zip(labels, settings, strict=True))),
        values,
        absent,
        _numbered(columns),
        columns if paired else (),
        paired,
        tuple(lost),
    )


def _seeds(runs: Sequence[Run]) -> tuple[str, ...]:
    return tuple(seed for (seed,) in ordered(list(dict.fromkeys((str(run.seed),) for run in runs))))


def _numbered(columns: Sequence[str]) -> tuple[int, ...]:
    """The blocks as whole numbers: seeds as they are, anything else by position."""
    are_whole = all(re.fullmatch(r"-?[0-9]{1,18}", column) for column in columns)
    numbers = [int(column) for column in columns] if are_whole else []
    return tuple(numbers) if len(set(numbers)) == len(columns) else tuple(range(len(columns)))


def _strangers(
    own: Mapping[tuple[str, ...], Sequence[Run]], baseline: tuple[str, ...]
) -> set[tuple[str, ...]]:
    """Return the settings that have no seed of the baseline."""
    known = {run.seed for run in own[baseline]}
    return {setting for setting, runs in own.items() if known.isdisjoint(run.seed for run in runs)}


def _pairing(
    table: RunTable, own: Mapping[tuple[str, ...], Sequence[Run]], seeds: Sequence[str]
) -> tuple[bool, list[str]]:
    """Decide whether seeds pair the settings, and say what is missing."""
    counts = {setting: len(runs) for setting, runs in own.items()}
    lost = []
    paired = table.paired
    if paired:
        baseline = next(iter(own))
        seeds_of = {setting: {str(run.seed) for run in runs} for setting, runs in own.items()}
        shared = max(len(seeds_of[baseline] & seeds_of[each]) for each in list(own)[1:])
        if shared < 2:
            paired = False
            lost.append(
                "No setting shares two seeds with the baseline, so runs are compared without pairing."
            )
    if paired:
        for setting in own:
            missing = [seed for seed in seeds if seed not in seeds_of[setting]]
            if missing:
                shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
                noun = "seed" if len(missing) == 1 else "seeds"
                lost.append(f"{setting_words(table.settings, setting)} has no run with {noun} {shown}.")
    elif len(set(counts.values())) > 1:
        shown = "; ".join(f"{setting_words(table.settings, each)}: {count}" for each, count in counts.items())
        lost.append(f"Settings have unequal numbers of runs ({shown}).")
    if len(lost) > _LISTED:
        lost = [*lost[:_LISTED], f"{len(lost) - _LISTED} more settings lack seeds."]
    return paired, lost


def _label(columns: Sequence[str], baseline: Sequence[str], setting: Sequence[str]) -> str:
    """Name a cell by what differs from the baseline."""
    differing = [
        f"{names.plain_name(name)} = {value}"
        for name, base, value in zip(columns, baseline, setting, strict=True)
        if value != base
    ]
    return ", ".join(differing)


def _factors(columns: Sequence[str], settings: Mapping[str, tuple[str, ...]]) -> tuple[Factor, ...]:
    """Group the cells by the columns in which they differ from the baseline, single columns first."""
    baseline = settings[BASELINE]
    groups: dict[tuple[int, ...], list[str]] = {}
    for label, setting in itertools.islice(settings.items(), 1, None):
        differing = tuple(index for index, value in enumerate(setting) if value != baseline[index])
        groups.setdefault(differing, []).append(label)
    factors = []
    for indices, labels in sorted(groups.items(), key=lambda group: (len(group[0]), group[0])):
        values = [(_joined(settings[label], indices), label) for label in labels]
        base = (_joined(baseline, indices), BASELINE)
        levels = [base, *values]
        if len(indices) == 1 and all(number_of(value) is not None for value, _ in levels):
            levels.sort(key=lambda level: number_of(level[0]) or 0.0)
        factors.append(
            Factor(
                ", ".join(names.plain_name(columns[index]) for index in indices),
                _factor_words([_words(columns[index]) for index in indices]),
                base[0],
                tuple(levels),
            )
        )
    return tuple(factors)


def _joined(setting: Sequence[str], indices: Sequence[int]) -> str:
    return ", ".join(setting[index] for index in indices)


def _factor_words(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"combination of {', '.join(words[:-1])} and {words[-1]}"


def _words(column: str) -> str:
    """Write a column's name in words."""
    name = re.sub(r"[._/ ]name$", "", names.plain_name(column))  # cfg.model.name is the model
    leaf = re.split(r"[./]", name)[-1] or name
    return _ABBREVIATIONS.get(leaf.lower(), leaf.replace("_", " ").strip())
