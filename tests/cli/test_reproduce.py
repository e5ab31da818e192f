"""``foolscope reproduce``, on an experiment whose study takes a blink."""

import json
import re

import pytest

import foolscope as package
from foolscope.experiments.reproduction import EXPERIMENTS, Experiment

STUDY = """
name = "tiny"
title = "A [tiny] experiment"
question = "Does it run?"
seeds = 2

[recipes.mlp]
dataset = { name = "digits", limit = 60 }
model = { name = "mlp", hidden = [8] }
training = { epochs = 2, batch_size = 16 }
precision = "float32"

[[ablations]]
recipe = "mlp"
vary = { learning_rate = [0.1, 0.01, 0.02] }
published = { learning_rate = [0.4, 0.412, 0.411] }

[[claims]]
sentence = "Test accuracy is [40] %"
kind = "value"
recipe = "mlp"
value = 0.4
published = 0.4
source = "Z1"

[[claims]]
sentence = "A slower rate is better"
kind = "trend"
recipe = "mlp"
factor = "learning_rate"
is = "falls"
published = ".4, .412, .411"
source = "Z1, conclusion 1"

[[claims]]
sentence = "The running loss falls"
kind = "curve"
recipe = "mlp"
metric = "running_loss"
is = "falls"
source = "Z2"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("reproduction")
    (path / "tiny.toml").write_text(STUDY, encoding="utf-8")
    return path


@pytest.fixture
def options(folder, monkeypatch):
    for number in ("Z1", "Z2", "Z3"):
        monkeypatch.setitem(EXPERIMENTS, number, Experiment(str(folder / "tiny.toml"), f"Title of {number}"))
    return ("--store", folder / "store", "--device", "cpu")


def documents_of(result):
    (document,) = json.loads(result.out)
    return document


def test_without_a_name_it_lists_what_there_is(foolscope):
    result = foolscope("reproduce")
    assert result.code == 0
    for number, experiment in EXPERIMENTS.items():
        assert re.search(rf"^{number} .*{experiment.study}$", result.out, re.MULTILINE)


def test_published_figures_stand_beside_ours(foolscope, options, folder):
    printed = foolscope("reproduce", "z", *options)
    assert printed.code == 0
    document = documents_of(foolscope("reproduce", "Z", "--json", *options))
    assert document["experiments"] == ["Z1", "Z2", "Z3"]
    value, trend, curve = document["claims"]
    (mean,) = value["figures"]
    ours = rf"{100 * mean['value']:.1f}\d* \(.* to .*\) %"
    assert re.search(
        rf"^Test accuracy is \[40\] % +40 % +{ours} +{value['outcome']}$", printed.out, re.MULTILINE
    )
    assert trend["noise"]["rests_on_noise"]
    assert "Rested on noise:" in printed.out
    levels = zip(trend["figures"], ("0.01", "0.02", "0.1"), ("41.2", "41.1", "40"), strict=True)
    for figure, label, published in levels:
        ours = rf"{100 * figure['value']:.1f}\d* \(.* to .*\) %"
        assert re.search(
            rf" {label} +{published} % +{ours}( +{trend['outcome']})?$", printed.out, re.MULTILINE
        )
    (change,) = curve["figures"]
    assert change["value"] < 0
    assert re.search(rf"^The running loss falls +−{-change['value']:.2f}", printed.out, re.MULTILINE)
    assert "Z3, Title of Z3: no figures" in printed.out
    assert "Z1, Z2 and Z3: A [tiny] experiment" in printed.out
    assert document["report"] == str(folder / "store" / "studies" / "tiny" / "report.html")
    assert document["report"] in printed.out


def test_only_the_claims_of_the_experiment_are_shown(foolscope, options):
    document = documents_of(foolscope("reproduce", "Z2", "--seeds", "3", "--json", *options))
    assert [claim["source"] for claim in document["claims"]] == ["Z2"]
    assert document["seeds"] == [0, 1, 2]
    assert "A slower rate" not in foolscope("reproduce", "Z2", *options).out


@pytest.mark.usefixtures("narrow")
def test_the_table_fits_into_eighty_columns(foolscope, options):
    lines = foolscope("reproduce", "Z1", *options).out.splitlines()
    table = lines[: next(index for index, line in enumerate(lines) if line.startswith("Report"))]
    assert max(map(len, table)) <= 80
    assert "…" not in "".join(table)
    assert any("0.01" in line and "41.2 %" in line for line in table)


def test_notebooks_get_the_same(options, folder):
    (result,) = package.reproduce("Z1", session=package.Session(folder / "store", device="cpu"))
    assert result.record.name == "tiny"
    assert [claim.source for claim in result.record.claims] == ["Z1", "Z1, conclusion 1", "Z2"]
    assert result.report.is_file()


def test_refusals_are_one_line(refused, tmp_path):
    assert "Did you mean 'D'" in refused("reproduce", "D7")
    line = refused("reproduce", "A3", "--data-dir", tmp_path / "none")
    assert "cifar10" in line
    assert "foolscope data get cifar10" in line
    assert "--seeds" in refused("reproduce", "A2", "--seeds", "1")
