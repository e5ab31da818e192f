import importlib
import subprocess
import sys
from pathlib import Path

import click
import pytest

from foolscope.cli import outlines
from foolscope.verbs import VERBS

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "numpy", "pydantic", "scipy", "matplotlib", "rich", "PIL")


def heavy_modules_after(*arguments, variables=()):
    """Run the command line in a process of its own; return its output and the heavy modules it imported."""
    code = f"""
import os, sys
from foolscope.cli import main
os.environ.update({dict(variables)})
try: main({list(arguments)})
except SystemExit: pass
print([name for name in {HEAVY} if name in sys.modules])
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *lines, heavy = (result.stderr + result.stdout).splitlines()
    return "\n".join(lines), heavy


def commands_of(name, real, outlined):
    yield name, real, outlined
    if isinstance(real, click.Group):
        assert list(real.commands) == list(outlined.commands)
        for each in real.commands:
            yield from commands_of(each, real.commands[each], outlined.commands[each])


def test_the_outlines_are_what_the_script_writes():
    checked = subprocess.run(
        [sys.executable, ROOT / "scripts" / "write_outlines", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("width", [40, 80, 120])
def test_an_outline_has_the_help_of_its_command(verb, width):
    real = importlib.import_module(f"foolscope.cli.{verb}").command
    for name, *pair in commands_of(verb, real, outlines.command_named(verb)):
        settings = {"terminal_width": width, "help_option_names": ["-h", "--help"]}  # as from the main group
        pages = [each.get_help(click.Context(each, info_name=name, **settings)) for each in pair]
        assert pages[0] == pages[1]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        *(([verb, "--help"], f"foolscope {verb}") for verb in VERBS),
        (["data", "show", "--help"], "--augment"),
        (["train", "--modle", "mlp"], "Did you mean"),
        (["train", "--epochs"], "requires an argument"),
        (["train", "surplus"], "surplus"),
        (["ablate"], "--vary"),
        (["study", "--seeds", "0"], "1<=x<=1000"),
        (["report", "--format", "pdf"], "'pdf'"),
    ],
)
def test_neither_help_nor_a_mistake_imports_torch(arguments, part):
    output, heavy = heavy_modules_after(*arguments)
    assert part in output
    assert heavy == "[]"


def test_shell_completion_imports_no_torch():
    words = {
        "_FOOLSCOPE_COMPLETE": "bash_complete",
        "COMP_WORDS": "foolscope train --learning",
        "COMP_CWORD": "2",
    }
    assert heavy_modules_after(variables=words) == ("plain,--learning-rate", "[]")


def test_what_the_outlines_do_not_know_yet_the_commands_do(foolscope, monkeypatch, small):
    stale = outlines._outlines()
    without = [each for each in stale["recipe"] if "--activation" not in each["names"]]
    commands = {name: each for name, each in stale["commands"].items() if name != "data"}
    monkeypatch.setattr(outlines, "_outlines", lambda: {"commands": commands, "recipe": without})
    assert "--activation" not in foolscope("train", "--help").out
    assert foolscope("train", "--model", "mlp", "--activation", "tanh", *small).code == 0
    assert "digits" in foolscope("data", "list").out
