import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from foolscope.core.errors import StoreError
from foolscope.core.files import read_json, sweep_partials, whole_file, write_json, write_text


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "deep" / "er" / "value.json"
    value = {"ε": [1, 2.5, None, "ü"], "a": {"b": True}}
    write_json(path, value)
    assert read_json(path) == value
    assert [each.name for each in path.parent.iterdir()] == ["value.json"]


def test_the_same_value_gives_the_same_bytes(tmp_path):
    write_json(tmp_path / "one", {"a": 1, "b": 2})
    write_json(tmp_path / "two", {"b": 2, "a": 1})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_are_not_json_are_errors_and_leave_nothing(tmp_path, number):
    with pytest.raises(ValueError):
        write_json(tmp_path / "value.json", {"a": number})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_in_the_middle_leaves_the_old_file_and_no_partial_one(tmp_path, error):
    path = tmp_path / "value.txt"
    write_text(path, "old")

    def interrupted() -> None:
        with whole_file(path) as stream:
            stream.write(b"half of the ne")
            stream.flush()
            raise error

    with pytest.raises(error):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_name_appears_only_when_the_file_is_complete(tmp_path):
    path = tmp_path / "value.txt"
    with whole_file(path) as stream:
        stream.write(b"new")
        stream.flush()
        assert not path.exists()
    assert path.read_text() == "new"


@pytest.mark.parametrize(
    ("number", "advice"),
    [(errno.ENOSPC, "free some space"), (errno.EDQUOT, "free some space"), (errno.EIO, "--store")],
)
def test_a_disk_that_refuses_is_one_line_and_leaves_the_old_file(tmp_path, monkeypatch, number, advice):
    path = tmp_path / "value.txt"
    write_text(path, "old")

    def refuse(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StoreError) as caught:
        write_text(path, "new")
    message = str(caught.value)
    assert os.strerror(number) in message
    assert str(path) in message
    assert advice in message
    assert "\n" not in message
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk(tmp_path):
    path = tmp_path / "value.txt"
    path.with_name(f".value.txt.{os.getpid()}.partial").symlink_to("/dev/full")
    with pytest.raises(StoreError, match="No space left on device; free some space"):
        write_text(path, "new")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot write .*choose another folder \(for runs: --store\)"):
        write_text(tmp_path / "file" / "value.txt", "new")


def test_an_error_of_the_store_inside_is_passed_on(tmp_path):
    with pytest.raises(StoreError, match=r"^mine$"), whole_file(tmp_path / "value"):
        raise StoreError("mine")


def test_a_system_error_without_a_reason_still_says_something(tmp_path):
    with pytest.raises(StoreError, match="told so"), whole_file(tmp_path / "value"):
        raise OSError("told so")


@pytest.mark.parametrize("content", [b"", b'{"a": 1', b"\xff\xfe", b"nope"])
def test_damaged_json_says_what_to_do(tmp_path, content):
    path = tmp_path / "value.json"
    path.write_bytes(content)
    with pytest.raises(
        StoreError, match=r"is not valid JSON.*delete it and run the same command again"
    ) as caught:
        read_json(path)
    assert "\n" not in str(caught.value)


def test_reading_what_is_not_a_file_is_one_line(tmp_path):
    with pytest.raises(StoreError, match="no such file"):
        read_json(tmp_path / "absent.json")
    with pytest.raises(StoreError, match="cannot read"):
        read_json(tmp_path)


def test_only_what_a_dead_process_left_is_swept(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = tmp_path / "deep" / f".trial.json.{dead.pid}.partial"
    mine = tmp_path / f".trial.json.{os.getpid()}.partial"
    whole = tmp_path / "trial.json"
    left.parent.mkdir()
    for path in (left, mine, whole):
        path.write_text("x")
    sweep_partials(tmp_path)
    assert sorted(tmp_path.rglob("*")) == sorted([left.parent, mine, whole])
