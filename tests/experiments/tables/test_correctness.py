"""Per-image correctness beside a table."""

import re

import numpy as np
import pytest

from foolscope.core.errors import DataError
from foolscope.experiments.tables.correctness import read_correct
from foolscope.experiments.tables.designs import cells_of
from foolscope.experiments.tables.frames import table_from
from foolscope.experiments.tables.layouts import runs_of
from foolscope.experiments.tables.roles import Layout
from foolscope.experiments.tables.runs import counted_runs

DRAW = np.random.default_rng(0)
BITS = {
    (model, seed): DRAW.random(400) < share for model, share in (("A", 0.8), ("B", 0.9)) for seed in (3, 5)
}


@pytest.fixture
def cells():
    return cells_for(BITS)


def cells_for(bits):
    rows = [{"model": model, "seed": seed, "acc": own.mean()} for (model, seed), own in bits.items()]
    table = runs_of(table_from(rows), Layout())
    return cells_of(table, counted_runs(table)[0], "B")


def read(tmp_path, cells, arrays, **options):
    np.savez(tmp_path / "bits.npz", **arrays)
    return read_correct(tmp_path / "bits.npz", cells, **{"factor": 1.0, "is_error": False, **options})


@pytest.mark.parametrize("name", ["{}/{}", "{}|{}", "model={}:seed={}", "{}_seed{}", "{}/seed {}"])
def test_an_array_for_each_run(tmp_path, cells, name):
    correct = read(tmp_path, cells, {name.format(*key): own for key, own in BITS.items()})
    assert correct.shape == (2, 2, 400)
    assert np.array_equal(correct[0, 1], BITS["B", 5]), "the baseline first, seeds in ascending order"
    assert np.array_equal(correct[1, 0], BITS["A", 3])


def test_an_array_for_each_setting_has_its_seeds_in_order(tmp_path, cells):
    correct = read(tmp_path, cells, {model: np.array([BITS[model, 3], BITS[model, 5]]) * 1 for model in "AB"})
    assert np.array_equal(correct[1], [BITS["A", 3], BITS["A", 5]])


def test_errors_are_wrong_images(tmp_path):
    cells = cells_for({key: ~own for key, own in BITS.items()})
    correct = read(tmp_path, cells, {f"{a}/{b}": own for (a, b), own in BITS.items()}, is_error=True)
    assert np.array_equal(correct[1, 0], BITS["A", 3])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"A/3": ~BITS["A", 3]}, "says 0.2000 where the table says 0.8000|array 'A/3' says"),
        ({"A/3": None}, "has no array for model=A, seed 3"),
        ({"A/4": BITS["A", 3]}, "names seed 4; known are 3, 5"),
        ({"C/3": BITS["A", 3]}, "no setting is 'C'"),
        ({"A/3": BITS["A", 3] * 2}, "must be True and False"),
        ({"A/3": BITS["A", 3][:-1]}, "all runs need the same images"),
        ({"A": BITS["A", 3][None]}, "has 1 rows for the 2 runs"),
        ({"A/seed3": BITS["A", 3]}, "are of the same run"),
        ({"A/3": BITS["A", 3][None, None]}, "must be named SETTING/SEED"),
    ],
)
def test_bits_that_do_not_fit_are_refused(tmp_path, cells, change, words):
    arrays = {**{f"{a}/{b}": own for (a, b), own in BITS.items()}, **change}
    with pytest.raises(DataError, match=words) as caught:
        read(tmp_path, cells, {name: own for name, own in arrays.items() if own is not None})
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_archive_is_refused(tmp_path, cells):
    (tmp_path / "bits.npz").write_text("x")
    with pytest.raises(DataError, match=re.escape("is no .npz file of plain arrays")):
        read_correct(tmp_path / "bits.npz", cells, factor=1.0, is_error=False)
    with pytest.raises(DataError, match="no such file"):
        read_correct(tmp_path / "none.npz", cells, factor=1.0, is_error=False)


def test_pickles_are_not_loaded(tmp_path, cells):
    with pytest.raises(DataError, match="plain arrays"):
        read(tmp_path, cells, {"A/3": np.array([{}], dtype=object)})
