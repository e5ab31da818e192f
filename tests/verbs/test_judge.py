"""Verdicts on anyone's numbers, as a function."""

import json
from pathlib import Path

import numpy as np
import pytest

import foolscope
from foolscope.core.errors import DataError, RecipeError

TABLE = "model,seed,acc\n" + "".join(
    f"{model},{seed},{base + shift}\n"
    for model, base in (("A", 94.0), ("B", 95.5))
    for seed, shift in enumerate((0.1, 0.3, 0.2))
)


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "results.csv"
    file.write_text(TABLE)
    return file


def test_a_path_and_a_frame_give_the_same_verdicts(path):
    columns = {
        "model": ["A"] * 3 + ["B"] * 3,
        "seed": [0, 1, 2] * 2,
        "acc": [94.1, 94.3, 94.2, 95.6, 95.8, 95.7],
    }
    from_path, from_frame = foolscope.judge(path, "A"), foolscope.judge(columns, "A")
    assert from_path.outcomes == from_frame.outcomes == {"model = B": "helps"}
    assert from_path.sentences == from_frame.sentences
    assert foolscope.judge(str(path), baseline={"model": "A"}).record == from_path.record
    assert from_path._repr_html_().startswith("<iframe")


def test_a_number_is_a_baseline():
    rows = [
        {"lr": lr, "seed": seed, "acc": 0.9 + lr + seed / 1000} for lr in (0.01, 0.05) for seed in range(3)
    ]
    assert foolscope.judge(rows, 0.01, setting="lr").outcomes == {"lr = 0.05": "helps"}
    assert foolscope.judge(rows, 0.05, setting=["lr"]).outcomes == {"lr = 0.01": "hurts"}


def test_the_report_is_a_folder_or_a_page(path, tmp_path):
    judgement = foolscope.judge(path, "A", metric="acc")
    page, text, numbers = judgement.write(tmp_path / "out")
    html = page.read_text(encoding="utf-8")
    for words in (judgement.record.understood, "Smallest difference that counts", "compared within seeds"):
        assert words in html
    assert judgement.record.understood in text.read_text(encoding="utf-8")
    for figure in (tmp_path / "out" / "figures").iterdir():
        assert f"figures/{figure.name}" in text.read_text(encoding="utf-8")
    assert json.loads(numbers.read_text(encoding="utf-8")) == judgement.record.model_dump(mode="json")
    assert judgement.write(str(tmp_path / "alone.html")) == [tmp_path / "alone.html"]


def test_what_was_lost_opens_the_report(path):
    path.write_text(TABLE + "B,3,\nA,3,94.1\n")
    judgement = foolscope.judge(path, "A")
    assert judgement.record.lost == ["Row 8 has no acc and is skipped.", "model=B has no run with seed 3."]
    assert "Row 8 has no acc and is skipped." in judgement._repr_html_()


def test_mistakes_are_one_line(path, tmp_path):
    with pytest.raises(RecipeError, match=r"--baseline is required.*model=A; model=B"):
        foolscope.judge(path)
    with pytest.raises(DataError, match="no such file"):
        foolscope.judge(tmp_path / "nothing.csv", "A")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no metrics\.csv"):
        foolscope.judge(tmp_path / "empty", "A")
    with pytest.raises(RecipeError, match=r"cannot read .*claims\.toml"):
        foolscope.judge(path, "A", claims=Path("claims.toml"))


def test_correctness_gives_the_number_of_images(tmp_path):
    draw = np.random.default_rng(0)
    bits = {
        (name, seed): draw.random(500) < share
        for name, share in (("A", 0.8), ("B", 0.9))
        for seed in range(3)
    }
    rows = [{"model": name, "seed": seed, "acc": 100 * own.mean()} for (name, seed), own in bits.items()]
    np.savez(tmp_path / "bits.npz", **{f"{name}/{seed}": own for (name, seed), own in bits.items()})
    judgement = foolscope.judge(rows, "A", correct=tmp_path / "bits.npz")
    assert (judgement.record.images, judgement.record.per_image) == (500, True)
    assert ("Test images", "500") in judgement.document.facts
    assert foolscope.judge(rows, "A", images=500).record.per_image is False
    with pytest.raises(RecipeError, match="--images is for a share of images"):
        foolscope.judge(rows, "A", images=500, unit="plain", delta=0.5)


def test_a_report_on_replicates_speaks_of_runs(path, tmp_path):
    path.write_text(TABLE.replace("seed", "run"))
    _, text, _ = foolscope.judge(path, "A").write(tmp_path / "out")
    words = text.read_text(encoding="utf-8")
    assert "| setting | run 0 | run 1 | run 2 |" in words
    assert "Means over 3 runs" in words
    assert "nothing in common" in words
    assert "same seed" not in words
    assert "one per seed" not in words
