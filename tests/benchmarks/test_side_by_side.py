"""What benchmarks/side_by_side.py times gives the same verdicts in every way."""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import side_by_side

from foolscope.experiments.running.run import Session
from foolscope.experiments.running.store import Store


def test_the_ways_agree_and_every_round_but_the_first_is_told(tmp_path):
    work = side_by_side.Work(
        "tiny",
        {
            "dataset": {"name": "digits", "limit": 200},
            "model": {"name": "mlp", "hidden": [8]},
            "training": {"epochs": 3, "batch_size": 32},
            "precision": "float32",
        },
        "0.1",
    )
    subjects = side_by_side._subjects(work, 2, 20, Session(Store(tmp_path), device="cpu"))
    row = side_by_side.measure(work, "pgd-40", subjects, 2, time.perf_counter)
    assert [len(values) for values in row["seconds"].values()] == [2, 2, 2]
    assert (row["verdicts_that_differ"], row["passes_that_differ"]) == (0, 0)
    assert (row["seeds"], row["images"], len(row["robust_accuracies"])) == (2, 20, 2)
    assert list(row["peak_mebibytes_so_far"]) == list(side_by_side.WAYS)


def test_passes_are_timed_in_both_ways():
    row = side_by_side.measure_passes("MLP 64-64-32-10", 4, 1, time.perf_counter)
    assert row["multiplications"] == 4 * (64 * 64 + 64 * 32 + 32 * 10)
    assert min(row["medians"].values()) > 0
    assert (row["tuned"], row["used"]) == (True, True)
