"""The package as it is imported: its names, and the places in which its verbs are written down."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import foolscope
from foolscope.verbs import VERBS

ROOT = Path(__file__).parents[1]


def test_every_public_name_is_there():
    assert dir(foolscope) == sorted(foolscope.__all__)
    assert {"Session", "Recipe", "recipe", "FoolscopeError"} < set(foolscope.__all__)
    for name in foolscope.__all__:
        assert getattr(foolscope, name).__doc__
    with pytest.raises(AttributeError, match="nonsense"):
        foolscope.nonsense  # noqa: B018


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_offers_what_its_file_exports_and_has_a_command(verb):
    exports = VERBS[verb].exports
    if exports:
        assert exports[0] == verb
        assert sorted(importlib.import_module(f"foolscope.verbs.{verb}").__all__) == sorted(exports)
    assert importlib.import_module(f"foolscope.cli.{verb}").command.help


def test_type_checkers_know_every_verb():
    tree = ast.parse((ROOT / "src" / "foolscope" / "__init__.py").read_text(encoding="utf-8"))
    known = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {f"foolscope.verbs.{verb}" for verb, entry in VERBS.items() if entry.exports} <= known


def test_the_readme_lists_every_verb_with_its_help():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `foolscope (\w+)` \| (.*) \|$", readme, re.MULTILINE))
    rows = {verb: re.sub(r"\[(.*?)\]\(.*?\)", r"\1", row) for verb, row in rows.items()}
    assert rows == {verb: entry.help for verb, entry in VERBS.items()}


def test_the_package_runs_as_a_module():
    result = subprocess.run(
        [sys.executable, "-m", "foolscope", "--version"], capture_output=True, text=True, check=True
    )
    assert result.stdout.startswith("foolscope ")
