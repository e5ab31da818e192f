import json

import pytest


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
    assert full["accuracy"] == json.loads(attacked.out)["clean_accuracy"]
    page = (tmp_path / "page.html").read_text()
    assert "Singular values of each layer" in page
    assert "What lower ranks keep" in page
    printed = foolscope("inspect", identity[:8]).out
    assert "effective rank" in printed
    assert "parameters" not in printed


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--compress", "half"], ["'half'", "0.5"]),
        (["--compress", "0.5,2"], ["at most 1", "got 2"]),
        (["--compress", "0"], ["above 0"]),
        (["--compress", "1", "--epsilon", "8"], ["got 8", "8/255"]),
        (["--norm", "l3"], ["unknown norm 'l3'"]),
    ],
)
def test_inspect_refuses_in_one_line(refused, run_of, arguments, parts):
    line = refused("inspect", run_of(), *arguments)
    assert all(part in line for part in parts)
