"""Outputs that hold ASCII alone."""

import os
import subprocess
import sys


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "foolscope", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


def test_a_study_can_be_printed_in_ascii(study_file, tmp_path):
    arguments = ("study", str(study_file), "--store", str(tmp_path / "store"))
    plain, rich = run(*arguments, PYTHONIOENCODING="ascii"), run(*arguments, PYTHONIOENCODING="utf-8")
    assert (plain.returncode, rich.returncode) == (0, 0), plain.stderr
    assert plain.stdout.isascii()
    assert not rich.stdout.isascii()
    assert plain.stdout.count("-") == sum(map(rich.stdout.count, "-−–─"))  # the sign of a number is kept
