import json
import warnings

import pytest
import torch

from foolscope.experiments.parts.inspections.model import PARTS

NET = """
import torch
from torch import nn

def build():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return untrained()

def untrained():
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(108, 10))
"""


def test_spectra_and_lower_ranks_of_a_run(foolscope, run_of, tmp_path):
    identity = run_of("--model", "mlp", "--hidden", "8")
    arguments = ["inspect", identity[:8], "--spectrum", "--compress", "0.25,1", "--limit", "60"]
    document = json.loads(foolscope(*arguments, "--json", "--report", str(tmp_path / "page.html")).out)
    assert [(each["rows"], each["columns"]) for each in document["spectra"]] == [(8, 64), (10, 8)]
    assert all(1 <= each["effective_rank"] <= len(each["singular_values"]) for each in document["spectra"])
    full, low = document["compression"]
    assert (full["fraction"], low["fraction"]) == (1.0, 0.25)
    assert full["parameters"] == 8 * 64 + 8 + 10 * 8 + 10
    assert low["parameters"] == 2 * (8 + 64) + 8 + 2 * (10 + 8) + 10
    assert low["accuracy"] <= full["accuracy"]
    assert full["robust_accuracy"] <= full["accuracy"]
    attacked = foolscope(
        "attack", identity[:8], "--limit", "60", "--epsilon", "0", "--attack", "fgsm", "--json"
    )
    assert full["accuracy"] == document["accuracy"] == json.loads(attacked.out)["clean_accuracy"]
    page = (tmp_path / "page.html").read_text()
    assert "Singular values of each layer" in page
    assert "The model at lower ranks" in page
    assert document["confusion"] is None
    assert document["weights"] == []


def test_everything_cheap_is_shown_unless_parts_are_named(foolscope, run_of):
    identity = run_of("--model", "mlp", "--hidden", "8")
    printed = foolscope("inspect", identity[:8], "--limit", "60").out
    for words in (
        "calibration error",
        "mistakes that",
        "edges",
        "near zero",
        "∂L/∂w",
        "Ranks of the layers",
    ):
        assert words in printed
    assert "parameters" not in printed
    assert max(map(len, printed.splitlines())) < 300
    only = foolscope("inspect", identity[:8], "--limit", "60", "--calibration").out
    assert "calibration error" in only
    assert not [
        words for words in ("mistakes that", "edges", "near zero", "Ranks of the layers") if words in only
    ]


def test_anyones_model_and_its_images(foolscope, tmp_path):
    (tmp_path / "nets.py").write_text(NET)
    arguments = [
        "inspect",
        "nets.py:build",
        "--dataset",
        "digits",
        "--limit",
        "40",
        "--mean",
        ".5",
        "--std",
        ".5",
    ]
    result = foolscope(*arguments, "--json")
    document = json.loads(result.out)
    assert "doubt: " in result.err
    assert sum(map(sum, document["confusion"]["counts"])) == document["images"] == 40
    assert [each["layer"] for each in document["weights"]] == ["body.0", "body.3"]
    filters = document["filters"]
    assert (filters["layer"], filters["kind"], filters["total"]) == ("body.0", "convolution", 3)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--compress", "half"], ["'half'", "0.5"]),
        (["--compress", "0.5,2"], ["at most 1", "got 2"]),
        (["--compress", "0"], ["above 0"]),
        (["--compress", "1", "--epsilon", "8"], ["got 8", "8/255"]),
        (["--norm", "l3"], ["unknown norm 'l3'"]),
        (["--mean", "0.5"], ["--mean needs --std"]),
        (["--weights", "net.pt"], ["--weights is for a model of your own"]),
    ],
)
def test_inspect_refuses_in_one_line(refused, run_of, arguments, parts):
    line = refused("inspect", run_of(), *arguments)
    assert all(part in line for part in parts)


def test_a_model_without_images_is_refused(refused):
    assert "--dataset" in refused("inspect", "nets.py:build")


def test_what_cannot_be_seen_is_said_or_refused(foolscope, tmp_path):
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # TorchScript is, and says so
        torch.jit.trace(model, torch.zeros(2, 1, 8, 8)).save(str(tmp_path / "net.pt"))
    looked = foolscope("inspect", "net.pt", "--dataset", "digits", "--limit", "20", "--spectrum")
    assert looked.code == 0
    assert "shows no affine layer or convolution" in looked.out
    refused = foolscope("inspect", "net.pt", "--dataset", "digits", "--limit", "20", "--compress", "0.5")
    assert refused.code == 2
    assert refused.err.splitlines()[-1].startswith("foolscope: net.pt shows no affine layer or convolution")


def test_an_inspection_that_is_interrupted_leaves_no_file(foolscope, run_of, monkeypatch, tmp_path):
    arguments = ("inspect", run_of(), "--limit", "20", "--spectrum", "--graph", "--report", "page.html")

    def interrupted(look):
        raise KeyboardInterrupt  # what Ctrl-C raises; the signal itself is ignored in a background job

    monkeypatch.setitem(PARTS, "spectrum", interrupted)
    result = foolscope(*arguments)
    assert result.code == 130
    assert result.err.splitlines()[-1] == "foolscope: interrupted; the same command starts from the beginning"
    assert not [*tmp_path.glob("*.svg"), *tmp_path.glob("*.html")]


def test_attributions_by_method_with_settings(foolscope, run_of, tmp_path):
    identity = run_of("--model", "small-cnn", "--units", "[6,5]")
    arguments = ["inspect", identity[:8], "--limit", "12"]
    page = str(tmp_path / "page.html")
    shown = json.loads(foolscope(*arguments, "--patch", "4", "--method", "occlusion", "--json").out)
    assert shown["calibration"] is None
    (method,) = shown["attributions"]["methods"]
    assert method["method"] == "occlusion"
    default = json.loads(foolscope(*arguments, "--method", "occlusion", "--json", "--report", page).out)
    assert default["attributions"]["methods"][0]["own"] != method["own"]
    assert "over the pixel is hidden" in (tmp_path / "page.html").read_text()
    printed = foolscope(*arguments, "--attribution-sanity", "--method", "grad-cam", "--layer", "body.0").out
    assert "When all weights are randomized" in printed
    assert "Correlation of |map|" not in printed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--method", "gradcam"), "Did you mean 'grad-cam'"),
        (
            ("--method", "gradient", "--patch", "2"),
            "--patch is for occlusion; add --method occlusion, or omit",
        ),
        (("--patch", "x"), "occlusion: patch: input should be a valid integer"),
    ],
)
def test_attributions_that_make_no_sense_are_refused_in_one_line(refused, run_of, arguments, words):
    line = refused("inspect", run_of("--model", "mlp", "--hidden", "4"), "--limit", "5", *arguments)
    assert words in line


def test_a_method_that_does_not_apply_is_refused(foolscope, run_of):
    done = foolscope(
        "inspect", run_of("--model", "mlp", "--hidden", "4"), "--limit", "5", "--method", "grad-cam"
    )
    assert done.code == 2
    assert done.err.splitlines()[-1].startswith(
        "foolscope: Grad-CAM needs a convolution, and the model shows none"
    )
