"""The worked examples of CONTRIBUTING.md, followed to the letter in a copy of the repository."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(
    r'^```(?P<language>python|diff) title="(?P<path>[^"]+)"\n(?P<text>.*?)^```$', re.MULTILINE | re.DOTALL
)


def apply(text, change):
    """Insert the "+" lines of a diff that has no line numbers, each after the line before it."""
    place = 0
    for line in change.splitlines(keepends=True):
        mark, content = line[0], line[1:]
        if mark == "+":
            text, place = text[:place] + content + text[place:], place + len(content)
        else:
            assert content in text[place:], f"CONTRIBUTING.md shows a line that is not there: {content!r}"
            place = text.index(content, place) + len(content)
    return text


@pytest.fixture
def copy(tmp_path):
    """A copy of the repository in which the examples' files have been written."""
    nothing_compiled = shutil.ignore_patterns("__pycache__")
    for folder in ("src", "tests/models", "tests/plugins"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=nothing_compiled)
    for file in ("pyproject.toml", "tests/conftest.py"):
        shutil.copyfile(ROOT / file, tmp_path / file)
    for block in BLOCK.finditer((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")):
        path = tmp_path / block["path"]
        if block["language"] == "python":
            assert not path.exists(), f"{block['path']} is there already"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block["text"], encoding="utf-8")
        else:
            path.write_text(apply(path.read_text(encoding="utf-8"), block["text"]), encoding="utf-8")
    return tmp_path


def run(copy, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(copy / "src")}
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=copy, env=environment, capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr


def test_add_a_model(copy):
    status, output = run(copy, "pytest", "-p", "no:cacheprovider", "-v", "tests/models", "-k", "pooled")
    assert status == 0, output
    assert "tests/models/test_pooled_softmax.py::" in output, "the example's own tests ran"
    assert "tests/models/test_contract.py::" in output, "so did what every model promises"


def test_add_a_part_of_a_study(copy):
    status, output = run(copy, "pytest", "-p", "no:cacheprovider", "-v", "tests/experiments/parts")
    assert status == 0, output
    assert "tests/experiments/parts/test_costs.py::" in output, "the example's own tests ran"


def test_the_examples_are_written_as_everything_else(copy):
    changed = [
        block["path"] for block in BLOCK.finditer((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    ]
    assert len(changed) == 3 + 5  # a model; a part on both sides
    for arguments in (("ruff", "check"), ("ruff", "format", "--check")):
        status, output = run(copy, *arguments, *changed)
        assert status == 0, output
