import os
import subprocess
import sys

import pytest

from foolscope.cli import main
from foolscope.core.errors import FoolscopeError
from foolscope.verbs import VERBS


def test_help_is_there_before_torch_is():
    code = "import sys\nfrom foolscope.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    heavy = "torch", "numpy", "pydantic", "scipy", "matplotlib"
    code += f"print([name for name in {heavy} if name in sys.modules], file=sys.stderr)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stderr == "[]\n"
    assert all(name in result.stdout for name in VERBS)
    assert "Examples:" in result.stdout


def test_importing_the_package_does_not_import_torch():
    code = "import sys, foolscope; print('torch' in sys.modules, dir(foolscope))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.startswith("False")
    assert "ablate" in result.stdout


@pytest.mark.parametrize("command", VERBS)
def test_help_of_every_command_shows_examples(foolscope, command):
    result = foolscope(command, "--help")
    assert result.code == 0
    assert result.err == ""
    assert "Examples:" in result.out
    assert result.out.count(f"foolscope {command}") >= 2
    assert max(map(len, result.out.splitlines())) <= 100
    assert foolscope(command, "-h").out == result.out


@pytest.mark.parametrize("arguments", [[], ["data"]])
def test_a_group_alone_prints_its_help(foolscope, arguments):
    result = foolscope(*arguments)
    assert result.code == 0
    assert "Usage: foolscope" in result.out


def test_version(foolscope):
    from importlib import metadata

    assert foolscope("--version").out == f"foolscope {metadata.version('foolscope')}\n"


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["trian"], ["unknown command 'trian'", "Did you mean 'train'?", "study", "foolscope --help"]),
        (["data", "lst"], ["unknown command 'lst'", "Did you mean 'list'?", "foolscope data --help"]),
        (["zzz"], ["unknown command 'zzz'", "ablate", "train"]),
        (["--hlep"], ["--hlep", "Did you mean '--help'?"]),
        (["train", "--modle", "mlp"], ["--modle", "'--model'", "foolscope train --help"]),
        (["train", "--epochs"], ["--epochs", "argument"]),
        (["train", "surplus"], ["surplus"]),
        (["completion", "tcsh"], ["'tcsh'", "bash", "zsh", "fish"]),
        (["attack"], ["RUN", "foolscope attack --help"]),
        (["ablate"], ["--vary", "foolscope ablate --help"]),
        (["study", "--seeds", "many"], ["--seeds", "'many'"]),
        (["study", "--seeds", "0"], ["--seeds", "0"]),
    ],
)
def test_usage_mistakes_are_one_line(refused, arguments, parts):
    line = refused(*arguments)
    assert not [part for part in parts if part not in line], line
    assert ".." not in line.replace("1<=x", "")
    assert "?." not in line


@pytest.mark.parametrize(
    "error", [FoolscopeError("no\n  such thing"), OSError(28, "No space left on device", "a/b")]
)
def test_mistakes_inside_a_command_are_one_line(monkeypatch, capsys, error):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr("foolscope.cli._group.main", fail)
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2
    text = capsys.readouterr().err
    assert text in ("foolscope: no such thing\n", "foolscope: a/b: No space left on device\n")


def test_what_is_not_the_persons_mistake_keeps_its_traceback(monkeypatch):
    def fail(*args, **kwargs):
        raise ZeroDivisionError

    monkeypatch.setattr("foolscope.cli._group.main", fail)
    with pytest.raises(ZeroDivisionError):
        main([])


def test_a_reader_that_leaves_early_is_no_error():
    with subprocess.Popen(
        [sys.executable, "-m", "foolscope", "completion", "bash"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": ""},
    ) as process:
        process.stdout.close()  # before anything is written
        assert process.stderr.read() == b""
    assert process.returncode in (1, 141)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_ask_the_command_itself(foolscope, shell):
    result = foolscope("completion", shell)
    assert result.code == 0
    assert f"_FOOLSCOPE_COMPLETE={shell}_complete" in result.out
    assert "foolscope" in result.out


@pytest.mark.parametrize(
    ("words", "expected"), [("foolscope stu", "plain,study"), ("foolscope completion --he", "plain,--help")]
)
def test_commands_and_flags_are_completed(words, expected):
    count = len(words.split()) - 1
    environment = {"_FOOLSCOPE_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(count)}
    command = [sys.executable, "-X", "importtime", "-m", "foolscope"]
    result = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, **environment}
    )
    assert result.stdout.splitlines() == [expected]
    assert "torch" not in result.stderr
