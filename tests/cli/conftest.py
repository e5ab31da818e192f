import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from foolscope.cli import main

SMALL = ("--limit", "150", "--epochs", "2", "--precision", "float32")

STUDY = """
name = "tiny"
title = "A [tiny] study"
question = "Does it [/run]?"
seeds = 2
practical_difference = 0.02

[recipes.softmax]
dataset = { name = "digits", limit = 150 }
training = { epochs = 2, batch_size = 32 }
precision = "float32"

[recipes.mlp]
like = "softmax"
model = { name = "mlp", hidden = [8] }

[[ablations]]
recipe = "mlp"
vary = { learning_rate = [0.001, 0.5] }

[[attacks]]
name = "linf"
recipes = ["softmax", "mlp"]
epsilons = [0, 0.1]
attacks = ["fgsm"]
images = 50

[[galleries]]
recipe = "mlp"
epsilon = 0.3
attack = "fgsm"
images = 3

[mistakes]
confusion = ["mlp"]
worst = ["mlp"]

[[claims]]
sentence = "A [hidden] layer is better"
kind = "comparison"
subject = "mlp"
against = "softmax"
is = "better"
"""


@dataclass(frozen=True)
class Result:
    """What a command left: its exit code and what it wrote."""

    code: int
    out: str
    err: str


@pytest.fixture
def foolscope(capsys, monkeypatch, tmp_path) -> Callable[..., Result]:
    """Run a command in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FOOLSCOPE_STORE", raising=False)
    monkeypatch.delenv("FOOLSCOPE_DATA", raising=False)

    def run(*arguments: object) -> Result:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        written = capsys.readouterr()
        return Result(int(ended.value.code or 0), written.out, written.err)

    return run


@pytest.fixture
def refused(foolscope) -> Callable[..., str]:
    """Run a command that must fail with one line on standard error and nothing else; return the line."""

    def run(*arguments: object) -> str:
        result = foolscope(*arguments)
        lines = result.err.splitlines()
        assert result.code == 2, result
        assert result.out == ""
        assert len(lines) == 1, result.err
        assert lines[0].startswith("foolscope: ")
        return lines[0].removeprefix("foolscope: ")

    return run


@pytest.fixture
def narrow(monkeypatch) -> None:
    """Print as on a terminal of 80 columns."""
    monkeypatch.setattr("foolscope.cli.console._width", lambda: 80)


@pytest.fixture
def study_file(tmp_path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(STUDY, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def small() -> tuple[str, ...]:
    """Flags of a training of a blink."""
    return SMALL


@pytest.fixture
def run_of(foolscope, small):
    def train(*arguments):
        return json.loads(foolscope("train", "--json", *arguments, *small).out)["identity"]

    return train
