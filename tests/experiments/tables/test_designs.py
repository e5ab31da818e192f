"""What the statistics are given: cells, blocks, runs that do not exist, steps of one image."""

import numpy as np
import pytest

from foolscope.experiments.tables.designs import cells_of
from foolscope.experiments.tables.frames import table_from
from foolscope.experiments.tables.layouts import runs_of
from foolscope.experiments.tables.roles import Layout
from foolscope.experiments.tables.runs import counted_runs


def cells(rows, baseline="A", **layout):
    table = runs_of(table_from(rows), Layout(**layout))
    runs, lost = counted_runs(table)
    found = cells_of(table, runs, baseline)
    return found, [*lost, *found.lost]


def rows_of(values, seed="seed"):
    return [
        {"m": name, seed: key, "acc": value} for name, own in values.items() for key, value in own.items()
    ]


def test_seeds_are_blocks_and_what_is_missing_is_absent():
    found, lost = cells(rows_of({"A": {7: 0.1, 3: 0.2, 5: 0.3}, "B": {3: 0.4, 7: 0.5}}))
    design = found.design(step=0.01)
    assert design.blocks == (3, 5, 7)
    assert design.cells == ("baseline", "m = B")
    np.testing.assert_array_equal(design.values, [[0.2, 0.3, 0.1], [0.4, np.nan, 0.5]])
    np.testing.assert_array_equal(design.absent, [[False] * 3, [False, True, False]])
    assert design.paired
    assert design.step == 0.01
    assert lost == ["m=B has no run with seed 5."]


def test_a_balanced_design_has_nothing_absent_and_a_diverged_run_is_there():
    found, _ = cells(rows_of({"A": {1: 0.1, 2: 0.2}, "B": {1: float("nan"), 2: 0.5}}))
    assert found.design().absent is None
    assert np.isnan(found.design().values[1, 0])


@pytest.mark.parametrize("column", ["run", "repetition"])
def test_a_column_that_counts_does_not_pair(column):
    found, lost = cells(rows_of({"A": {1: 0.1, 2: 0.2, 3: 0.3}, "B": {1: 0.4, 2: 0.5}}, column))
    assert not found.design().paired
    np.testing.assert_array_equal(found.design().absent, [[False] * 3, [False, False, True]])
    assert lost == ["Settings have unequal numbers of runs (m=A: 3; m=B: 2)."]
    paired, _ = cells(rows_of({"A": {1: 0.1, 2: 0.2}, "B": {1: 0.4, 2: 0.5}}, column), seed=column)
    assert paired.design().paired


def test_seeds_can_be_declared_to_mean_nothing():
    found, _ = cells(rows_of({"A": {1: 0.1, 2: 0.2}, "B": {1: 0.4, 2: 0.5}}), seed="none", settings=("m",))
    assert not found.paired


def test_without_two_shared_seeds_nothing_pairs():
    found, lost = cells(rows_of({"A": {1: 0.1, 2: 0.2}, "B": {2: 0.4, 3: 0.5}}))
    assert not found.paired
    assert found.blocks == (0, 1)
    assert lost[0].startswith("No setting shares two seeds with the baseline")


def test_a_setting_without_a_seed_of_the_baseline_is_lost_where_others_pair():
    found, lost = cells(rows_of({"A": {1: 0.1, 2: 0.2}, "B": {1: 0.4, 2: 0.5}, "C": {8: 0.6, 9: 0.7}}))
    assert list(found.settings.values()) == [("A",), ("B",)]
    assert found.blocks == (1, 2)
    assert lost[-1].startswith("m=C shares no seed with the baseline and is not compared")


@pytest.mark.parametrize("seeds", [(2**63, 2**64 - 1), ("a", "b"), (0.5, 1.5), (-1, 4)])
def test_seeds_of_any_kind_are_told_apart(seeds):
    found, _ = cells(rows_of({name: dict(zip(seeds, (0.1, 0.2), strict=True)) for name in "AB"}))
    assert len(set(found.blocks)) == 2
    assert found.paired
    np.testing.assert_array_equal(found.values, [[0.1, 0.2]] * 2)


def state_rows(*states):
    base = [("A", seed, 0.5, "finished") for seed in (0, 1)]
    return [dict(zip(("m", "seed", "acc", "state"), row, strict=True)) for row in [*base, *states]]


def test_a_failed_run_counts_as_diverged_until_it_has_finished_again():
    failed, fine = ("B", 0, None, "failed"), ("B", 1, 0.6, "finished")
    found, lost = cells(state_rows(failed, fine, ("B", 0, None, "running")))
    assert np.isnan(found.values[1, 0])
    assert not found.absent[1, 0]
    assert lost == ["Row 5 did not finish and is skipped.", "Row 3 counts as diverged."]
    found, lost = cells(state_rows(failed, fine, ("B", 0, 0.7, "finished")))
    assert found.values[1, 0] == 0.7
    assert lost == ["Row 3 failed and was run again with the same seed."]


def test_a_crashed_run_is_not_judged_by_what_it_logged_before():
    found, _ = cells(state_rows(("B", 0, 0.9, "crashed"), ("B", 1, 0.6, "finished")))
    assert np.isnan(found.values[1, 0])
