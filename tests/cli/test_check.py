import json
import re
from pathlib import Path

import pytest

from foolscope.cli.check import _rates, command
from foolscope.inspection.checks import CHECKS, GRADIENT_CHECKS, overfitting
from foolscope.inspection.checks.learning_rate_range import DEFAULT_RATES
from foolscope.inspection.gradients import differences

FAST = ("--limit", "100", "--precision", "float32", "--steps", "20", "--rates", "0.01:1:3")
SOUND = ("--model", "mlp", "--hidden", "16", *FAST)


@pytest.fixture(autouse=True)
def _fewer_steps(monkeypatch):
    """Enough for the sound recipe; the package's own numbers are put to the test through its functions."""
    monkeypatch.setattr(overfitting, "_BATCH_STEPS", 120)
    monkeypatch.setattr(overfitting, "_SUBSET_EPOCHS", 40)
    monkeypatch.setattr(differences, "_COORDINATES", 3)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A store in which the checks of the sound recipe are made once for all tests."""
    return "--store", tmp_path_factory.mktemp("store")


def results(text):
    """What became of each check, by its name."""
    return dict(re.findall(r"^mlp +(.+?)  +(passed|failed|skipped)  ", text, re.MULTILINE))


def test_a_sound_recipe_passes_with_a_line_per_check(foolscope, shared):
    result = foolscope("check", *SOUND, *shared)
    assert result.code == 0
    assert results(result.out) == dict.fromkeys([*CHECKS, *GRADIENT_CHECKS], "passed")
    rows = re.findall(r"^ *(0\.01|0\.1|1)( \(this recipe\))? +[\d.]+ +[\d.]+ %$", result.out, re.MULTILINE)
    assert [rate for rate, _ in rows] == ["0.01", "0.1", "1"]
    assert [bool(own) for _, own in rows] == [False, True, False]
    assert "\x1b" not in result.out + result.err
    assert foolscope("check", *SOUND, *shared).out == result.out  # the second time from the store


def test_the_default_rates_are_those_of_the_package():
    (option,) = [each for each in command.params if each.name == "rates"]
    assert _rates(option.default) == DEFAULT_RATES


def test_a_model_that_cannot_fit_a_few_images_fails_with_exit_code_1(foolscope):
    result = foolscope("check", "--model", "mlp", "--hidden", "1", *FAST)
    assert result.code == 1
    found = results(result.out)
    assert found["overfits one batch"] == found["overfits a small subset"] == "failed"
    assert found["loss at initialization"] == "passed"
    assert "Failed: 2" in result.out


@pytest.mark.parametrize(
    ("rate", "words", "code"),
    [("1e-6", "too small", 0), ("0.1", "in the suggested range", 0), ("1e6", "too large", 1)],
)
def test_where_the_learning_rate_stands(foolscope, shared, rate, words, code):
    result = foolscope("check", *SOUND, *shared, "--learning-rate", rate)
    assert result.code == code
    assert words in result.out


def test_json_is_the_whole_of_standard_output(foolscope, shared):
    document = json.loads(foolscope("check", "--json", *SOUND, *shared).out)
    assert document["passed"] is True
    assert document["recipe"]["model"]["hidden"] == [16]
    assert [check["check"] for check in document["checks"]] == [*CHECKS, *GRADIENT_CHECKS]
    assert document["checks"][0]["numbers"]["expected"] == pytest.approx(2.302585)
    assert document["learning_rates"]["rates"] == pytest.approx([0.01, 0.1, 1.0])
    failed = foolscope("check", "--json", *SOUND, *shared, "--learning-rate", "1e6")
    assert json.loads(failed.out)["passed"] is False
    assert failed.code == 1


def test_the_report_is_a_page(foolscope, shared, tmp_path):
    assert foolscope("check", *SOUND, *shared, "--report", tmp_path / "checks.html").code == 0
    page = (tmp_path / "checks.html").read_text(encoding="utf-8")
    assert "Checks of mlp" in page
    assert "suggested range" in page
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", page)


def test_a_recipe_may_be_a_file_or_a_stored_run(foolscope, shared, tmp_path, small):
    path = tmp_path / "my.toml"
    path.write_text('seed = 4\nmodel = { name = "mlp", hidden = [16] }\n', encoding="utf-8")
    by_file = json.loads(foolscope("check", "my.toml", *FAST, *shared, "--json").out)
    assert by_file["recipe"]["seed"] == 4
    assert by_file["recipe"]["dataset"]["limit"] == 100
    assert json.loads(foolscope("check", "--recipe", "my.toml", *FAST, *shared, "--json").out) == by_file

    run = json.loads(foolscope("train", "--json", "--recipe", "my.toml", *small, *shared).out)
    by_run = json.loads(foolscope("check", run["identity"][:8], *FAST[-4:], *shared, "--json").out)
    assert by_run["recipe"] == run["recipe"]
    assert [check["weights"] for check in by_run["checks"]] == ["initial"] * 3 + ["trained"] * 2
    assert by_run["checks"][-1]["tensors"] != by_file["checks"][-1]["tensors"]
    assert by_run["checks"][-1]["passed"]


def test_a_check_that_is_left_out_says_why_and_fails_nothing(foolscope):
    result = foolscope("check", "--model", "mlp", "--hidden", "16", "--dropout", "0.2", *FAST)
    assert result.code == 0
    assert results(result.out)["gradients by hand"] == "skipped"
    assert results(result.out)["gradients by differences"] == "passed"
    assert "Dropout (body.3) has rate = 0.2" in " ".join(result.out.split())


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--rates", "1"], ["LOW:HIGH:COUNT", "got '1'"]),
        (["--rates", "1:a:3"], ["LOW:HIGH:COUNT", "1:a:3"]),
        (["--rates", "1:0.1:3"], ["0 < LOW < HIGH", "1:0.1:3"]),
        (["--rates", "0:1:3"], ["0 < LOW < HIGH"]),
        (["--rates", "nan:1:3"], ["0 < LOW < HIGH"]),
        (["--rates", "0.1:inf:3"], ["0 < LOW < HIGH"]),
        (["--rates", "0.1:1:1"], ["2 to 200 rates"]),
        (["--steps", "0"], ["--steps", "0"]),
        (["--hiden", "3"], ["--hiden"]),
        (["nothing.toml"], ["nothing.toml"]),
        (["abcdef"], ["no run 'abcdef'"]),
        (["abcdef", "--learning-rate", "1"], ["stored run", "--learning-rate"]),
        (["my.toml", "--recipe", "my.toml"], ["two things to check"]),
        (["--initial-weights", "absent.safetensors"], ["initial_weights", "absent.safetensors"]),
    ],
)
def test_mistakes_are_refused_in_one_line(refused, arguments, parts):
    line = refused("check", *arguments)
    assert not [part for part in parts if part not in line], line


def test_a_fine_tuned_run_is_checked_from_the_weights_of_its_file(foolscope, tmp_path):
    network = ("--model", "mlp", "--hidden", "16", "--limit", "400", "--precision", "float32")
    trained = json.loads(foolscope("train", *network, "--epochs", "30", "--json").out)
    file = tmp_path / "net.safetensors"
    file.write_bytes((Path(trained["folder"]) / "weights.safetensors").read_bytes())
    tuned = (*network, "--epochs", "1", "--seed", "1")
    run = json.loads(foolscope("train", *tuned, "--initial-weights", file, "--json").out)["identity"]
    grid = ("--steps", "20", "--rates", "0.01:1:3", "--json")
    from_file = json.loads(foolscope("check", run, *grid).out)
    from_seed = json.loads(foolscope("check", *tuned, *grid).out)
    recipe = json.loads(foolscope("check", *tuned, "--initial-weights", file, *grid).out)

    def measured(found):
        numbers = {each["check"]: each["numbers"] for each in found["checks"]}
        subset = numbers["overfits a small subset"]["epochs"]
        return numbers["loss at initialization"]["loss"], found["learning_rates"]["initial_loss"], subset

    assert measured(recipe) == measured(from_file)
    for learned, drawn in zip(measured(from_file), measured(from_seed), strict=True):
        assert learned < drawn / 2
    assert from_file["checks"][0]["passed"]
    assert "no worse than guessing" in from_file["checks"][0]["sentence"]
