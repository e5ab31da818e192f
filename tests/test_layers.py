"""Imports point downwards only, and importing the package is quick."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[1]


def imported_by(statement):
    """The names of all modules that a fresh interpreter has after a statement."""
    program = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_imports_point_downwards_only(capsys):
    status = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)
    assert status == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    ("path", "code", "complaint"),
    [
        ("core/upwards.py", "import foolscope.data", "foolscope.core.upwards -> foolscope.data"),
        (
            "core/late.py",
            "def f():\n    import foolscope.learning",
            "foolscope.core.late -> foolscope.learning",
        ),
        ("data/sideways.py", "import foolscope.models", "foolscope.data.sideways -> foolscope.models"),
        ("stray.py", "", "foolscope.stray"),
    ],
    ids=["upwards", "upwards inside a function", "sideways", "a module without a layer"],
)
def test_a_violation_is_found(path, code, complaint, tmp_path):
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "src" / "foolscope" / path).write_text(code)
    program = (
        "import sys; from importlinter import cli; sys.exit(cli.lint_imports(sys.argv[1], no_cache=True))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(ROOT / "pyproject.toml")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "src"), "COLUMNS": "200"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert complaint in " ".join(done.stdout.split())


def test_statistics_serves_anyones_numbers():
    modules = imported_by("import foolscope.statistics")
    own = {name for name in modules if name.startswith("foolscope.") and ".statistics" not in name}
    assert own == {
        "foolscope.verbs",
        "foolscope.core",
        "foolscope.core.errors",
    }  # the table of verbs has no imports
    assert modules.isdisjoint({"torch", "pydantic", "sklearn", "matplotlib"})


@pytest.mark.parametrize("statement", ["import foolscope", "import foolscope.cli"])
def test_start_up_leaves_out_what_is_slow(statement):
    assert imported_by(statement).isdisjoint({"torch", "scipy", "sklearn", "matplotlib", "pydantic"})
