"""What the documents show is true: Python blocks run, commands parse.

A Python block with a title is a file to be written; see test_contributing.py.
"""

import shlex
from pathlib import Path

import click
import pytest
from sybil import Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

from foolscope.cli import main

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def blocks(path, parser):
    return list(Sybil(parsers=[parser]).parse(path).examples())


def commands(path):
    """The foolscope commands in a document's shell blocks, with their line numbers."""
    for block in blocks(path, CodeBlockParser("shell", lambda block: None)):
        for offset, line in enumerate(
            str(block.parsed).replace("\\\n", "  ").splitlines(), start=block.line + 1
        ):
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if words and words[0] == "foolscope":
                yield pytest.param(words[1:], id=f"{name_of(path)}:{offset}")


def parse(words, monkeypatch):
    """Do all that the command line does, up to running the command; return the exit code."""
    monkeypatch.setattr(click.Command, "invoke", lambda command, context: None)
    for word in words:
        if word.endswith(".toml"):
            Path(word).touch()
    with pytest.raises(SystemExit) as ended:
        main(words)
    return ended.value.code


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_python_blocks_run(path):
    for block in blocks(path, PythonCodeBlockParser()):  # one namespace, from top to bottom
        block.evaluate()


@pytest.mark.parametrize("words", [command for path in DOCUMENTS for command in commands(path)])
def test_commands_parse(words, monkeypatch):
    assert parse(words, monkeypatch) == 0


def test_a_command_that_does_not_parse_is_noticed(monkeypatch, capsys):
    assert parse(["train", "--no-such-option"], monkeypatch) == 2
    assert parse(["no-such-command"], monkeypatch) == 2
