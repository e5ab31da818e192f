import json
import re
import sys

import pytest

SEARCH = ["search", "--model", "mlp", "--hidden", "8", "--over", "learning_rate=0.001:1e30:log"]
QUICK = ["--trials", "4", "--fresh-seeds", "3"]


def test_search_prints_the_best_settings_and_the_winner_beside_the_baseline(foolscope, small, tmp_path):
    page = tmp_path / "page.html"
    printed = foolscope(*SEARCH, *QUICK, *small, "--report", page)
    again = foolscope(*SEARCH, *QUICK, *small, "--json")
    record = json.loads(again.out)
    assert (printed.code, again.code) == (0, 0)
    assert "searching" in printed.err
    assert "epoch" not in again.err, "the second run trained something"
    tried = [trial for each in record["rounds"] for trial in each["trials"]]
    diverged = sum(trial["score"] is None for trial in tried)
    assert 0 < diverged < 8
    assert record["summary"] in printed.out
    winner, baseline = record["winner"], record["baseline"]
    for name, own in (("winner", winner), ("baseline", baseline)):
        (row,) = [line for line in printed.out.splitlines() if re.match(rf" *{name} ", line)]
        assert f" {own['values']['learning_rate']:g} " in row
        assert f" {100 * own['means']['test_accuracy'][0]:.1f}" in row
    accuracies = [float(each) for each in re.findall(r" ([\d.]+) +[\d.]+ +[12]$", printed.out, re.MULTILINE)]
    assert len(accuracies) == 8 - diverged
    assert accuracies == sorted(accuracies, reverse=True)
    assert accuracies[0] == round(100 * record["best"]["score"], 1)
    assert record["summary"].split(":")[0] in page.read_text(encoding="utf-8")
    assert not re.search(r" \n", printed.out)
    assert "\x1b" not in printed.out + printed.err


def test_what_helps_is_said_as_flags_that_can_be_pasted(foolscope, small):
    over = ["--over", "learning_rate=0.3:0.5:linear", "--over", "hidden=[32],[32,16]"]
    arguments = ["--learning-rate", "1e-6", "--fresh-seeds", "4", "--rounds", "1", "--trials", "3"]
    printed = foolscope("search", "--model", "mlp", "--hidden", "8", *over, *arguments, *small)
    assert " gains " in printed.out
    (line,) = [line for line in printed.out.splitlines() if line.startswith("Use it: ")]
    found = re.fullmatch(r"Use it: --learning-rate (0\.[345]\d*) --hidden '(\[32(?:, 16)?\])'", line)
    assert found, line
    trained = foolscope("train", "--model", "mlp", "--learning-rate", found[1], "--hidden", found[2], *small)
    assert trained.code == 0


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([], ["--over"]),
        (["--over", "learning_rate"], ["--over must be FIELD=LOW:HIGH:log", "got 'learning_rate'"]),
        (["--over", "learning_rat=1e-4:1:log"], ["unknown field 'learning_rat'", "'learning_rate'"]),
        (["--over", "learning_rate=1:1e-4:log"], ["below the upper one"]),
        (["--over", "learning_rate=1e-4:1"], ["LOW:HIGH:log or LOW:HIGH:linear"]),
        (["--over", "l2=1e-4:1:log", "--over", "l2=0:1:linear"], ["--over l2 is given twice"]),
        (["--over", "seed=0:9:linear"], ["seed", "number of seeds"]),
        (["--over", "l2=1e-4:1:log", "--sampler", "tpee"], ["unknown sampler 'tpee'", "'tpe'"]),
        (["--over", "l2=1e-4:1:log", "--fresh-seeds", "1"], ["--fresh-seeds", "1"]),
        (["--over", "l2=1e-4:1:log", "--trials", "0"], ["--trials", "0"]),
        (["--over", "l2=1e-4:1:log", "--practical-difference", "0"], ["--practical-difference"]),
        (["--over", "l2=1e-4:1:log", "--validation", "none"], ["no validation set", "stratified"]),
    ],
)
def test_search_refuses_in_one_line(refused, arguments, parts):
    line = refused("search", *arguments)
    assert not [part for part in parts if part not in line], line


def test_optuna_is_named_where_it_is_missing(refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    line = refused("search", "--over", "l2=1e-4:1:log", "--sampler", "tpe")
    assert "pip install 'foolscope[optuna]'" in line


@pytest.mark.usefixtures("narrow")
def test_tables_fit_into_eighty_columns(foolscope, small):
    over = ["--over", "l2=1e-6:0.1:log", "--over", "batch_size=16,32"]
    text = foolscope(*SEARCH, *over, *QUICK, *small).out
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80
