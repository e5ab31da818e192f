import json
import re
import shutil
from pathlib import Path

import pytest

from foolscope.cli import console
from foolscope.cli.ablate import _factors
from foolscope.core.errors import RecipeError
from foolscope.experiments.study_file import built_in_studies

# ------------------------------------------------------------------ ablate


@pytest.mark.parametrize(
    ("texts", "factors"),
    [
        (["batch_size=16,32"], {"batch_size": [16, 32]}),
        (["batch-size = 16, 32"], {"batch_size": [16, 32]}),
        (["hidden=[64],[64,64]"], {"hidden": [[64], [64, 64]]}),
        (["schedule=constant,cosine"], {"schedule": ["constant", "cosine"]}),
        (["clipping=none,1.5"], {"clipping": [None, 1.5]}),
        (["l2=1e-3", "l2=0.1", "seed=3"], {"l2": [1e-3, 0.1], "seed": [3]}),
        (['model={name="mlp",hidden=[1,2]}'], {"model": [{"name": "mlp", "hidden": [1, 2]}]}),
    ],
)
def test_vary_reads_fields_and_values(texts, factors):
    assert _factors(texts) == factors


@pytest.mark.parametrize("text", ["batch_size", "=3", "batch_size=", " = "])
def test_vary_without_field_or_values_is_refused(text):
    with pytest.raises(RecipeError, match="FIELD=A,B,C"):
        _factors([text])


ABLATION = [
    "ablate",
    "--model",
    "mlp",
    "--hidden",
    "8",
    "--vary",
    "learning_rate=0.001,0.1,1e30",
    "--seeds",
    "2",
]


def test_ablate_prints_a_row_for_every_value(foolscope, small):
    printed = foolscope(*ABLATION, *small)
    record = json.loads(foolscope(*ABLATION, "--json", *small).out)
    assert printed.code == 0
    (factor,) = record["factors"]
    assert factor["summary"] in printed.out
    for level in factor["levels"]:
        label = re.escape(level["label"])
        (row,) = [line for line in printed.out.splitlines() if re.search(rf"(^|  ){label}  ", line)]
        assert row.endswith(level["outcome"])
        if level["mean"] is not None:
            assert re.search(rf" {100 * level['mean']:.1f}\d* \(", row)
    assert [level["outcome"] for level in factor["levels"]][1:] == ["baseline", "diverged"]
    assert not re.search(r" \n", printed.out)
    assert "\x1b" not in printed.out + printed.err


def test_ablate_adds_seeds_until_everything_is_decided(foolscope, small):
    arguments = [*ABLATION, "--until-decided", "--most-seeds", "5", *small]
    printed = foolscope(*arguments)
    record = json.loads(foolscope(*arguments, "--json").out)
    assert printed.code == 0
    looks = record["until_decided"]["looks"]
    assert [look["seeds"] for look in looks] == [2, 4, 5]
    assert looks[0]["decided"] == {"learning_rate = 1e+30": "diverged"}
    # One setting with 2 seeds, another and the baseline with 5.
    assert "12 trainings instead of 15" in printed.out
    assert "after 4 seeds, 1 of 2 comparisons are closed" in printed.err


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--vary", "l2=0.1", "--most-seeds", "9"], ["most_seeds = 9", "until_decided"]),
        (["--vary", "l2=0.1", "--until-decided", "--most-seeds", "3"], ["most_seeds", "5; got 3"]),
        (["--vary", "batch_sise=1,2"], ["unknown field 'batch_sise'", "Did you mean 'batch_size'?"]),
        (["--vary", "batch_size=0,2"], ["batch_size", "got 0"]),
        (["--vary", "l2=0.1", "--metric", "accuracy"], ["unknown metric 'accuracy'", "test_accuracy"]),
        (["--vary", "l2=0.1", "--seeds", "1"], ["--seeds", "1"]),
        (["--vary", "l2=0.1", "--practical-difference", "0"], ["--practical-difference", "0"]),
        (["--vary", "seed=1,2"], ["seed"]),
        (["--vary", "l2"], ["FIELD=A,B,C"]),
    ],
)
def test_ablate_refuses_in_one_line(refused, arguments, parts):
    line = refused("ablate", *arguments)
    assert not [part for part in parts if part not in line], line


@pytest.mark.usefixtures("narrow")
def test_tables_fit_into_eighty_columns(foolscope, small):
    arguments = ["--vary", "schedule=constant,exponential", "--vary", "batch_size=16,128", "--seeds", "2"]
    text = foolscope("ablate", "--model", "mlp", *arguments, *small).out
    assert "exponential" in text
    assert "undecided" in text or "helps" in text
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80


# ------------------------------------------------------------------ attack


def test_attack_measures_a_curve(foolscope, run_of):
    identity = run_of("--model", "mlp", "--hidden", "8")
    attacks = ["--attack", "fgsm", "--attack", "pgd", "--steps", "3"]
    arguments = ["attack", identity[:6], "--epsilon", "0:0.2:0.1", *attacks, "--limit", "60"]
    document = json.loads(foolscope(*arguments, "--json").out)
    assert document["run"] == identity
    assert document["images"] == 60
    assert [point["epsilon"] for point in document["robust_accuracy"]] == [0.0, 0.1, 0.2]
    accuracies = [point["accuracy"] for point in document["robust_accuracy"]]
    assert accuracies[0] == document["clean_accuracy"]
    assert accuracies == sorted(accuracies, reverse=True)
    printed = foolscope(*arguments)
    for accuracy in accuracies:
        assert re.search(rf" {100 * accuracy:.1f} \(", printed.out)
    assert "attacking" in printed.err
    assert not re.search(r" \n", printed.out)


def test_attack_without_names_is_the_full_evaluation(foolscope, run_of, refused):
    identity = run_of("--model", "mlp", "--hidden", "8")
    other = run_of("--model", "softmax")
    arguments = ["attack", identity[:8], "--epsilon", "0.05", "--limit", "30"]
    late = foolscope(*arguments, "--surrogate", other[:8], "--time-budget", "1e-9")
    assert "Not finished" in late.out
    assert "The time was up before" in late.out
    document = json.loads(foolscope(*arguments, "--surrogate", other[:8], "--json").out)
    (point,) = document["robust_accuracy"]
    assert sum(point["fooled_by"].values()) == round(30 * (document["clean_accuracy"] - point["accuracy"]))
    assert document["unfinished"] == 0
    assert "black box beats white box" in [check["name"] for check in document["masking_checks"]]
    lines = (Path(document["results"]) / "images.jsonl").read_text().splitlines()
    fooled = [row for row in map(json.loads, lines) if row["fooled_by"]]
    assert len(fooled) == sum(point["fooled_by"].values())
    assert all(row["adversarial_prediction"] != row["label"] for row in fooled)
    assert all(0 < row["smallest_found"] <= 0.05 * (1 + 1e-6) for row in fooled)
    printed = foolscope(*arguments, "--surrogate", other[:8])
    assert "read from the store" in printed.err
    for check in document["masking_checks"]:
        assert re.search(rf"^{check['name']}  +(not )?seen", printed.out, re.MULTILINE)
    assert "is the model itself" in refused(*arguments, "--surrogate", identity[:8])


def test_what_a_study_attacked_is_not_attacked_again(foolscope, study_file):
    record = json.loads(foolscope("study", study_file, "--json").out)
    attacked = ["--epsilon", "0,0.1", "--attack", "fgsm", "--limit", "50"]
    for training, curve in zip(record["parts"]["training"], record["parts"]["attacks"], strict=True):
        assert training["recipe"] == curve["recipe"]
        for identity, accuracies in zip(training["identities"], curve["accuracies"], strict=True):
            result = foolscope("attack", identity, *attacked, "--json")
            assert "read from the store" in result.err
            found = json.loads(result.out)["robust_accuracy"]
            assert [point["accuracy"] for point in found] == accuracies
    assert "read from the store" not in foolscope("attack", identity, *attacked, "--seed", "7").err


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--epsilon", "8"], ["[0, 1]", "got 8", "8/255"]),
        (["--epsilon", "abc"], ["'abc'", "8/255"]),
        (["--epsilon", "0.3:0.1:0.1"], ["range"]),
        (["--norm", "l3"], ["unknown norm 'l3'", "linf"]),
        (["--attack", "pdg"], ["unknown attack 'pdg'", "Did you mean 'pgd'?"]),
        (["--attack", "fgsm", "--steps", "3"], ["--steps", "fgsm", "--attack pgd"]),
        (["--steps", "0"], ["--steps", "0"]),
        (["--steps", "3"], ["--steps", "--attack pgd"]),
        (["--attack", "fgsm", "--8-bit"], ["--8-bit", "full evaluation", "--attack"]),
        (["--attack", "fgsm", "--time-budget", "5"], ["--time-budget", "full evaluation"]),
        (["--time-budget", "0"], ["--time-budget", "0"]),
        (["--surrogate", "nobody"], ["nobody"]),
        (["--split", "tset"], ["'tset'", "test"]),
        (["--device", "banana"], ["device", "'banana'", "cpu"]),
    ],
)
def test_attack_refuses_in_one_line(refused, run_of, arguments, parts):
    line = refused("attack", run_of(), *arguments)
    assert not [part for part in parts if part not in line], line


def test_runs_are_found_by_their_first_letters(refused, run_of):
    assert "it is empty" in refused("attack", "abc")
    first, second = run_of(), run_of("--seed", "1")
    line = refused("attack", "zzz")
    assert "no run 'zzz'" in line
    assert first in line
    # identities are hexadecimal: make them begin alike
    for identity in (first, second):
        Path("foolscope-runs/trials", identity).rename(Path("foolscope-runs/trials", f"abc{identity}"))
    line = refused("attack", "abc")
    assert "2 runs start with 'abc'" in line
    assert f"abc{second}" in line


@pytest.mark.parametrize("other", [["--model", "mlp", "--hidden", "8"], ["--seed", "1"]])
def test_the_weights_of_another_model_are_refused(foolscope, refused, run_of, other):
    folder = Path("foolscope-runs/trials")
    own, others = folder / run_of(), folder / run_of(*other)
    shutil.copy(others / "weights.safetensors", own / "weights.safetensors")
    line = refused("attack", own.name)
    assert "weights.safetensors" in line
    assert "another" in line


# ------------------------------------------------------------------ study and report


def test_a_study_ends_with_its_verdicts_and_the_path_of_its_report(foolscope, study_file):
    result = foolscope("study", study_file)
    assert result.code == 0, result.err
    report = Path("foolscope-runs/studies/tiny/report.html")
    assert result.out.splitlines()[-1] == f"Report: {report}"
    assert "A [tiny] study\nDoes it [/run]?\n" in result.out
    assert "A [hidden] layer is better" in result.out
    assert "Accuracy under attack" in result.out
    assert "Learning rate, compared with 0.1" in result.out
    assert not re.search(r" \n", result.out)
    assert "\x1b" not in result.out + result.err
    assert {line.partition(":")[0] for line in result.err.splitlines()} >= {"training", "attacking"}
    page = report.read_text(encoding="utf-8")
    assert "A [tiny] study" in page

    document = json.loads(foolscope("study", study_file, "--json").out)
    assert document["name"] == "tiny"
    assert document["claims"][0]["outcome"] in result.out

    more = json.loads(foolscope("study", study_file, "--seeds", "3", "--json").out)
    assert more["seeds"] == [0, 1, 2]

    again = foolscope(
        "report", "tiny", "--format", "html", "--format", "markdown", "--format", "latex", "--output", "out"
    )
    assert again.code == 0
    assert [Path(line).exists() for line in again.out.splitlines()] == [True] * 3


def test_report_refuses_in_one_line(foolscope, refused, study_file):
    assert "Run one with: foolscope study" in refused("report")
    recipes, _, _ = study_file.read_text(encoding="utf-8").partition("[[ablations]]")
    study_file.write_text(f'{recipes}[mistakes]\nworst = ["mlp"]\n', encoding="utf-8")
    foolscope("study", study_file)
    assert "Did you mean 'tiny'?" in refused("report", "tinny")
    assert "'word'" in refused("report", "tiny", "--format", "word")
    folder = Path("foolscope-runs/studies/tiny")
    (folder / "pictures.safetensors").unlink()
    assert "pictures.safetensors" in refused("report", "tiny")
    path = folder / "study.json"
    text = path.read_text(encoding="utf-8")
    for damaged in (text[:100], "[]", text.replace('"title"', '"titel"')):
        path.write_text(damaged, encoding="utf-8")
        assert "study.json" in refused("report", "tiny")
    assert foolscope("study", study_file).code == 0  # nothing of it is lost
    assert foolscope("report", "tiny").code == 0


@pytest.mark.parametrize(
    ("before", "after", "parts"),
    [
        ("seeds = 2", "seedz = 2", ["unknown field 'seedz'", "Did you mean 'seeds'?"]),
        ("seeds = 2", "seeds = 1", ["2 seeds"]),
        ("seeds = 2", "seeds = ", ["not valid TOML", "line 5"]),
        ("epochs = 2", "epoch = 2", ["recipes.softmax", "'training.epoch'", "Did you mean 'epochs'?"]),
        ("epochs = 2", "epochs = 0", ["recipes.softmax", "epochs", "got 0"]),
        ('like = "softmax"', 'like = "sotfmax"', ["recipes.mlp", "Did you mean 'softmax'?"]),
        ("vary = {", "vari = {", ["vari", "Did you mean 'vary'?"]),
        ("learning_rate = [", "learning_rat = [", ["'learning_rat'", "Did you mean 'learning_rate'?"]),
        ("epsilons = [0, 0.1]", "epsilons = [8]", ["got 8", "8/255"]),
        ('attacks = ["fgsm"]', 'attacks = ["pdg"]', ["'pdg'", "'pgd'"]),
        ('subject = "mlp"', 'subjekt = "mlp"', ["subjekt", "Did you mean 'subject'?"]),
        ('is = "better"', 'is = "beter"', ["beter", "'better'"]),
    ],
)
def test_mistakes_in_a_study_file_name_the_file(refused, study_file, before, after, parts):
    text = study_file.read_text(encoding="utf-8")
    assert before in text
    study_file.write_text(text.replace(before, after, 1), encoding="utf-8")
    line = refused("study", study_file)
    wanted = parts if after in ("seeds = 1",) or "rat = [" in after else [study_file.name, *parts]
    assert not [part for part in wanted if part not in line], line


def test_built_in_studies_are_listed_and_copied_to_be_edited(foolscope, refused):
    listing = foolscope("study", "--list").out
    assert all(name in listing for name in built_in_studies())
    result = foolscope("study", "--write", "my.toml")
    assert "foolscope study my.toml" in result.out
    expected = built_in_studies()["first-study"].replace('name = "first-study"', 'name = "my"')
    assert Path("my.toml").read_text(encoding="utf-8") == expected
    line = refused("study", "softmax-cifar10", "--write", "my.toml")
    assert "my.toml is there already" in line
    assert Path("my.toml").read_text(encoding="utf-8") == expected
    assert "no study file 'mine.toml'" in refused("study", "mine.toml")
    assert not Path("foolscope-runs").exists()


# ------------------------------------------------------------------ data


def test_data_list_says_what_is_there(foolscope, tmp_path):
    states = {
        each["name"]: each
        for each in json.loads(foolscope("data", "list", "--json", "--data-dir", tmp_path).out)
    }
    assert states["digits"]["state"] == "built in"
    assert states["cifar10"]["state"] == "absent"
    assert states["cifar10"]["image_shape"] == [3, 32, 32]
    printed = foolscope("data", "list", "--data-dir", tmp_path).out
    assert all(name in printed for name in states)
    assert str(tmp_path) in printed.replace("\n", "")
    assert "foolscope data get NAME" in printed


def test_data_get_writes_only_results_to_standard_output(foolscope):
    assert foolscope("data", "get", "digits").out == "digits needs no files\n"


def test_data_verify_reads_everything(foolscope):
    result = foolscope("data", "verify", "digits")
    assert "10 classes" in result.out
    assert "1,438 images of 1×8×8" in result.out


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["get", "cifar"], ["unknown data set 'cifar'", "cifar10"]),
        (["verify", "nope"], ["unknown data set 'nope'"]),
        (["verify", "cifar10", "--data-dir", "."], ["cifar10", "foolscope data get cifar10"]),
        (["verify", "npz"], ["npz", "path"]),
        (["verify", "npz", "--path", "nope.npz"], ["nope.npz"]),
        (["verify", "digits", "--path", "x"], ["--path", "digits"]),
    ],
)
def test_data_refuses_in_one_line(refused, arguments, parts):
    line = refused("data", *arguments)
    assert not [part for part in parts if part not in line], line


# ------------------------------------------------------------------ progress


class Terminal:
    """A stream that says it is a terminal."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text
        return len(text)

    def flush(self):
        pass

    def isatty(self):
        return True


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_terminal_gets_bars_of_which_only_the_detail_is_cut_off(monkeypatch, width):
    from rich.console import Console

    stream = Terminal()
    monkeypatch.setattr(console, "Console", lambda **_: Console(file=stream, width=width, color_system=None))
    with console.live_progress() as observe:
        observe(console.StageEvent("looking at the models", 0.5, "a long story " * 10))
    lines = [line for line in stream.text.replace("\r", "\n").splitlines() if "50 %" in line]
    assert lines
    assert "━" in lines[-1]
    assert "a long" in lines[-1]
    assert "…" in lines[-1]


def test_lines_come_when_a_stage_begins_and_every_few_seconds(monkeypatch, capsys):
    now = 0.0
    monkeypatch.setattr(console.time, "monotonic", lambda: now)
    with console.live_progress() as observe:
        for now in (0.0, 1.0, 6.0):
            observe(console.StageEvent("one", now / 10, "x"))
        observe(console.StageEvent("two", 0.0))
    assert capsys.readouterr().err.splitlines() == ["one:   0 %  x", "one:  60 %  x", "two:   0 %"]


def test_explain_prints_the_plan_and_trains_nothing(foolscope, small, tmp_path):
    plan = foolscope(*ABLATION, *small, "--explain").out
    assert plan.startswith("6 trials to train in 1 pack; 0 in the store already.")
    assert "learning rate 0.001, 0.1, 1e+30" in plan
    assert "Pack 1: room for 128 trials, beyond which a pack gains nothing." in plan
    assert not list(tmp_path.rglob("result.json"))
    foolscope(*ABLATION, *small)
    after = foolscope(*ABLATION, *small, "--explain").out
    assert after.strip() == "0 trials to train in 0 packs; 6 in the store already."
