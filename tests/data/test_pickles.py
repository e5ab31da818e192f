import contextlib
import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foolscope.core.errors import DataError
from foolscope.data.pickles import load_arrays


def read(content):
    return load_arrays(io.BytesIO(content), "file")


def test_python_2_pickle(python2_pickle):
    data = np.arange(12, dtype=np.uint8).reshape(3, 4)
    result = read(python2_pickle({b"data": data, b"labels": [1, 2, 3], b"name": b"x"}))
    assert result[b"labels"] == [1, 2, 3]
    assert result[b"name"] == b"x"
    assert result[b"data"].dtype == np.uint8
    assert np.array_equal(result[b"data"], data)


@pytest.mark.parametrize("protocol", range(5))
def test_pickles_of_today_in_every_protocol(protocol):
    value = {"data": np.arange(6, dtype=np.uint8).reshape(2, 3), b"names": [b"a", b"\xff"], "labels": [0, 1]}
    result = read(pickle.dumps(value, protocol))
    assert np.array_equal(result[b"data"], value["data"])
    assert result[b"names"] == [b"a", b"\xff"]


class Hostile:
    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


@pytest.mark.parametrize("protocol", range(5))
def test_hostile_pickles_are_not_run(tmp_path, protocol):
    mark = tmp_path / "mark"
    attempts = [
        Hostile(os.system, f"touch {mark}"),
        Hostile(eval, f"open({str(mark)!r}, 'w')"),
        Hostile(exec, f"open({str(mark)!r}, 'w')"),
        Hostile(Path.touch, mark),
        Hostile(getattr, mark, "touch"),
        Hostile(np.fromfile, str(mark)),
    ]
    for attempt in attempts:
        for value in (attempt, {b"data": attempt}):
            with pytest.raises(DataError, match="not run"):
                read(pickle.dumps(value, protocol))
    assert not mark.exists()


def test_allowed_names_cannot_be_changed_by_a_pickle():
    """BUILD sets attributes on what it finds; what it finds must refuse them."""
    for name in (
        b"numpy\ndtype",
        b"numpy\nndarray",
        b"_codecs\nencode",
        b"numpy.core.multiarray\n_reconstruct",
    ):
        state = b"c" + name + b"\n(N}(Vpoison\nI1\nutb."
        with pytest.raises(DataError):
            read(state)
        for key in (b"poison", b"__call__", b"__class__"):
            with pytest.raises(DataError):
                read(b"c" + name + b"\n}(V" + key + b"\nI1\nub.")
    assert read(pickle.dumps({"a": b"x"}, 2)) == {b"a": b"x"}


def test_dotted_names_do_not_reach_further():
    for module, name in (("numpy", "ndarray.tofile"), ("numpy", "f2py"), ("_codecs", "encode.__class__")):
        content = b"\x80\x04\x8c" + bytes([len(module)]) + module.encode()
        content += b"\x8c" + bytes([len(name)]) + name.encode() + b"\x93."
        with pytest.raises(DataError, match="not run"):
            read(content)


def test_other_encodings_are_refused():
    with pytest.raises(DataError, match="encoding"):
        read(b"c_codecs\nencode\n(Vabc\nVzip\ntR.")


def test_persistent_objects_are_refused():
    with pytest.raises(DataError, match="persistent"):
        read(b"Pabc\n.")


def test_what_is_not_a_dictionary():
    with pytest.raises(DataError, match="holds a list"):
        read(pickle.dumps([1]))


@given(st.data())
def test_cut_short_or_altered_is_one_line(python2_pickle, data):
    whole = python2_pickle({b"data": np.zeros((2, 5), np.uint8), b"labels": [0, 1]})
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(DataError) as caught:
        read(whole[:cut])
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=60))
def test_garbage_is_a_data_error_or_a_dictionary(content):
    with contextlib.suppress(DataError):
        assert isinstance(read(content), dict)
