"""Frames of any library, by what they have in common."""

import math

import numpy as np
import pandas as pd
import pytest

from foolscope.core.errors import DataError
from foolscope.experiments.tables.frames import table_from
from foolscope.experiments.tables.judgement import Reading, judge_table
from foolscope.experiments.tables.numbers import read_numbers

COLUMNS = {
    "model": ["A", "A", "A", "B", "B", "B"],
    "seed": [0, 1, 2, 0, 1, 2],
    "acc": [0.941, 0.943, 0.942, 0.951, 0.955, 0.954],
}


class Polars:
    """A frame with polars' interface, which is not installed here."""

    def to_dict(self, *, as_series):
        assert not as_series
        return COLUMNS


class Arrow:
    """A table with PyArrow's interface."""

    def to_pydict(self):
        return COLUMNS


ROWS = [dict(zip(COLUMNS, row, strict=True)) for row in zip(*COLUMNS.values(), strict=True)]
FRAMES = {
    "pandas": pd.DataFrame(COLUMNS),
    "pandas, indexed": pd.DataFrame(COLUMNS).set_index(["model", "seed"]),
    "pandas, float seeds": pd.DataFrame(COLUMNS).astype({"seed": float}),
    "pandas, categories": pd.DataFrame(COLUMNS).astype({"model": "category"}),
    "pandas, read back": pd.DataFrame(COLUMNS).convert_dtypes(),
    "polars": Polars(),
    "arrow": Arrow(),
    "mapping": COLUMNS,
    "arrays": {name: np.array(values) for name, values in COLUMNS.items()},
    "rows": ROWS,
}


@pytest.mark.parametrize("name", FRAMES)
def test_every_frame_gives_the_same_record(name):
    record = judge_table(table_from(FRAMES[name]), "A")
    assert record == judge_table(table_from(COLUMNS), "A")
    assert record.ablation.factors[0].levels[1].outcome == "helps"


def test_a_wide_frame_has_settings_in_its_index_and_nan_where_there_is_no_run():
    frame = pd.DataFrame(COLUMNS).pivot_table(index="model", columns="seed", values="acc")
    frame.loc["B", 2] = np.nan
    record = judge_table(table_from(frame), "A", Reading(unit="share"))
    assert "setting = model (2 values), seed = seed (3)" in record.understood
    assert record.lost == ["model=B has no run with seed 2."]


def test_nan_in_a_row_of_its_own_is_a_run_that_diverged():
    frame = pd.DataFrame(COLUMNS)
    frame.loc[5, "acc"] = np.nan
    record = judge_table(table_from(frame), "A")
    assert record.ablation.factors[0].levels[1].outcome == "diverged"


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (3, "a table must be a path, a data frame"),
        ([], "a table must be"),
        ({}, "has a header and no rows"),
        ({"a": [1], "b": [1, 2]}, "all columns must have the same length"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "two columns called 'a'"),
    ],
)
def test_what_is_no_frame_is_refused(frame, words):
    with pytest.raises(DataError, match=words):
        table_from(frame)


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["94,1", "95"], [94.1, 95]),
        (["1.234,5", "2"], [1234.5, 2]),
        (["1,234.5", "1,234"], [1234.5, 1234]),
        (["0,951", "0,94"], [0.951, 0.94]),
        (["1'234", "5\u202f678.5"], [1234, 5678.5]),
        (["\u22121.5", "+2"], [-1.5, 2]),
        (["95.123", "94.456"], [95.123, 94.456]),
        (["1.234.567", "2"], [1234567, 2]),
        (["1e-3", "2E4"], [0.001, 20000]),
        (["95 %", "94.5%"], [95, 94.5]),
        (["n/a", ".5"], [None, 0.5]),
    ],
)
def test_numbers_as_people_write_them(cells, values):
    assert list(read_numbers(cells, ["here"] * len(cells)).values) == values


@pytest.mark.parametrize("cell", ["-inf", "Infinity", "NaN", "diverged", "1e308", "-2e100", "1e999"])
def test_what_is_no_finite_number_is_a_run_that_diverged(cell):
    assert math.isnan(read_numbers([cell], ["here"]).values[0])


def test_nan_among_texts_is_an_empty_cell():
    frame = pd.DataFrame({**COLUMNS, "acc": ["94 %", "95 %", "94 %", "95 %", "96 %", np.nan]})
    record = judge_table(table_from(frame), "A")
    assert record.lost[0] == "Row 6 has no acc and is skipped."
