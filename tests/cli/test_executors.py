import json
from pathlib import Path

import pytest

VARY = ("ablate", "--model", "mlp", "--hidden", "4", "--vary", "batch_size=16", "--seeds", "2")


def test_processes_do_the_packs_of_a_command(foolscope, small):
    result = foolscope(*VARY, *small, "--executor", "processes", "--workers", "2", "--json")
    assert result.code == 0, result.err
    assert [level["label"] for level in json.loads(result.out)["factors"][0]["levels"]] == ["16"]
    assert len(list(Path("foolscope-runs").glob("trials/*/trial.json"))) == 4
    assert [line for line in result.err.splitlines() if not line.startswith("training:")] == []


@pytest.mark.parametrize(
    ("choice", "parts"),
    [
        (("--executor", "proceses"), ("--executor", "in-process", "processes", "ray")),
        (("--executor", "in-process", "--workers", "2"), ("in-process has 1 worker", "--executor processes")),
        (("--workers", "0"), ("--workers",)),
    ],
)
def test_a_choice_that_makes_no_sense_is_one_line(refused, small, choice, parts):
    line = refused(*VARY, *small, *choice)
    assert [part for part in parts if part not in line] == []
    assert not Path("foolscope-runs").exists()


def test_an_attack_trains_nothing_and_has_no_executor(refused):
    assert "--executor" in refused("attack", "0123", "--executor", "processes")
