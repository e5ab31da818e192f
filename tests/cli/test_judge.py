"""``foolscope judge``."""

import json
from pathlib import Path

TABLE = "model,seed,acc\n" + "".join(
    f"{model},{seed},{base + shift}\n"
    for model, base in (("A", 94.0), ("B", 95.5))
    for seed, shift in enumerate((0.1, 0.3, 0.2))
)


def test_it_prints_what_it_read_and_the_verdicts(foolscope):
    Path("results.csv").write_text(TABLE)
    result = foolscope("judge", "results.csv", "--baseline", "A", "--report", "out")
    assert result.code == 0, result.err
    assert "Read: 6 rows: setting = model (2 values), seed = seed (3), metric = acc, in percent" in result.out
    assert "Model B gains 1.5 points over A" in result.out
    assert result.out.splitlines()[-1] == "Report: out/report.html"
    assert {file.name for file in Path("out").iterdir()} == {
        "report.html",
        "report.md",
        "judgement.json",
        "figures",
    }


def test_json_is_the_record(foolscope):
    Path("results.csv").write_text(TABLE)
    record = json.loads(foolscope("judge", "results.csv", "--baseline", "model=A", "--json").out)
    assert record["ablation"]["factors"][0]["levels"][1]["outcome"] == "helps"
    assert record["understood"].startswith("6 rows")


def test_options_override_what_was_found_out(foolscope):
    Path("results.csv").write_text(TABLE.replace("acc", "badness").replace("seed", "attempt"))
    line = [
        "judge",
        "results.csv",
        "--baseline",
        "A",
        "--metric",
        "badness",
        "--setting",
        "model",
        "--delta",
        "0.3",
    ]
    out = foolscope(*line, "--seed", "attempt", "--lower-is-better", "--unit", "percent").out
    assert "seed = attempt (3), metric = badness, in percent, lower is better" in out
    assert "Model B is 1.5 points worse than A" in out


def test_mistakes_are_one_line(refused):
    Path("results.csv").write_text(TABLE + "B,4,high\n")
    assert "row 8, column 'acc': 'high' is not a number" in refused("judge", "results.csv", "--baseline", "A")
    assert "no such file: none.csv" in refused("judge", "none.csv", "--baseline", "A")
    Path("results.csv").write_text(TABLE)
    assert "--baseline is required" in refused("judge", "results.csv")
    assert "Settings: model=A; model=B" in refused("judge", "results.csv", "--baseline", "Z")
    assert "did you mean" not in refused("judge", "results.csv", "--baseline", "A", "--delta", "0")
