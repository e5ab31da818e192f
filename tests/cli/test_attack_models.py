import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from foolscope.data import DigitsSettings, load

CODE = """
from torch import nn
def build():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 10))
def few():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 7))
def wide():
    return nn.Sequential(nn.Flatten(), nn.Linear(65, 10))
class Pair(nn.Module):
    def forward(self, inputs):
        return inputs, inputs
class Broken(nn.Module):
    def forward(self, inputs):
        return inputs[{}]
def half():
    return build().half()
"""
QUICK = ("--dataset", "digits", "--epsilon", "0,16/255", "--attack", "fgsm")


def accuracy_of(model, mean, deviation):
    test = load(DigitsSettings()).test
    with torch.no_grad():
        return (
            (model((test.images / 255.0 - mean) / deviation).argmax(1) == test.labels).double().mean().item()
        )


def train(mean, deviation):
    """A good network for digits whose inputs are (pixels - mean) / deviation."""
    train = load(DigitsSettings()).train
    inputs = (train.images / 255.0 - mean) / deviation
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 10))
    for layer in (model[1], model[3]):
        bound = layer.in_features**-0.5 / inputs.std().item()
        layer.weight.data.uniform_(-bound, bound, generator=generator)
        layer.bias.data.uniform_(-1, 1, generator=generator)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(120):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), train.labels).backward()
        optimizer.step()
    return model.eval()


@pytest.fixture(scope="module")
def half():
    model = train(0.5, 0.25)
    assert accuracy_of(model, 0.5, 0.25) > 0.9
    return model


@pytest.fixture
def nets(tmp_path, half):
    path = tmp_path / "nets.py"
    path.write_text(CODE)
    torch.save(half.state_dict(), tmp_path / "half.pt")
    return path


def json_of(result):
    assert result.code == 0, result
    return json.loads(result.out)


def test_the_accuracies_are_those_of_the_model(foolscope, nets, half):
    arguments = ["attack", "nets.py:build", "--weights", "half.pt", "--mean", "0.5", "--std", "1/4", *QUICK]
    result = foolscope(*arguments, "--json")
    document = json_of(result)
    assert document["clean_accuracy"] == pytest.approx(accuracy_of(half, 0.5, 0.25))
    assert document["doubts"] == []
    assert document["images"] == 359
    assert document["normalization"] == {"mean": [0.5], "std": [0.25]}
    assert [point["epsilon"] for point in document["robust_accuracy"]] == [0.0, 16 / 255]

    # by hand: one step along the sign of the gradient, in pixels
    test = load(DigitsSettings()).test
    pixels = (test.images / 255.0).requires_grad_()
    nn.functional.cross_entropy(half((pixels - 0.5) / 0.25), test.labels, reduction="sum").backward()
    moved = (pixels + 16 / 255 * pixels.grad.sign()).clamp(0, 1).detach()
    right = half((moved - 0.5) / 0.25).argmax(1) == test.labels
    clean = half((pixels - 0.5) / 0.25).argmax(1) == test.labels
    expected = (right & clean).double().mean().item()
    assert document["robust_accuracy"][1]["accuracy"] == pytest.approx(expected, abs=0.003)

    rows = [
        json.loads(line) for line in (Path(document["results"]) / "images.jsonl").read_text().splitlines()
    ]
    assert [row["label"] for row in rows] == test.labels.tolist()
    assert [row["smallest_found"] == 0 for row in rows] == (~clean).tolist()
    fooled = sum(row["fooled_by"] == "fgsm" for row in rows)
    accuracies = [point["accuracy"] for point in document["robust_accuracy"]]
    assert fooled == round((accuracies[0] - accuracies[1]) * 359)


def test_the_same_command_is_read_from_the_store(foolscope, nets, half):
    arguments = ["attack", "nets.py:build", "--weights", "half.pt", "--mean", "0.5", "--std", "0.25", *QUICK]
    first = foolscope(*arguments, "--report", "page.html")
    files = {path: path.stat().st_mtime_ns for path in Path("foolscope-runs").rglob("*.*")}
    page = Path("page.html").read_text()
    second = foolscope(*arguments, "--report", "page.html")
    assert second.out == first.out
    assert "read from the store" in second.err
    assert "read from the store" not in first.err
    assert {path: path.stat().st_mtime_ns for path in Path("foolscope-runs").rglob("*.*")} == files
    assert Path("page.html").read_text() == page
    half_bias = {key: tensor.clone() for key, tensor in half.state_dict().items()}
    half_bias["3.bias"] += 0.001
    torch.save(half_bias, "half.pt")
    assert "read from the store" not in foolscope(*arguments).err


def test_results_that_cannot_be_read_are_computed_again(foolscope, nets):
    arguments = ["attack", "nets.py:build", "--weights", "half.pt", *QUICK, "--limit", "20", "--json"]
    document = json_of(foolscope(*arguments))
    (Path(document["results"]) / "curve.safetensors").write_bytes(b"damaged")
    assert json_of(foolscope(*arguments)) == document


@pytest.mark.parametrize(
    ("mean", "deviation", "name", "flags", "is_near_guessing"),
    [
        (0.0, 1 / 255, "pixels in [0, 255]", "--mean 0 --std 1/255", True),
        (0.5, 0.5, "pixels in [-1, 1]", "--mean 0.5 --std 0.5", False),
    ],
)
def test_the_normalization_left_out_is_named_and_mends_it(
    foolscope, nets, mean, deviation, name, flags, is_near_guessing
):
    model = train(mean, deviation)
    torch.save(model.state_dict(), "w.pt")
    arguments = ["attack", "nets.py:build", "--weights", "w.pt", *QUICK, "--json"]
    result = foolscope(*arguments)
    doubts = json_of(result)["doubts"]
    assert ("near guessing" in doubts[0]) == is_near_guessing
    assert doubts[-1].startswith(f"With {name}")
    assert "rises from" in doubts[-1]
    assert doubts[-1].endswith(f"add {flags}.")
    for doubt in doubts:
        assert f"doubt: {doubt}" in result.err.partition("attacking")[0]
    mended = json_of(foolscope(*arguments, *flags.split()))
    assert mended["doubts"] == []
    assert mended["clean_accuracy"] == pytest.approx(accuracy_of(model, mean, deviation))


def test_a_normalization_too_much_is_named(foolscope, nets):
    torch.save(train(0.0, 1.0).state_dict(), "w.pt")
    given = ("--mean", "0.9", "--std", "0.1")
    document = json_of(foolscope("attack", "nets.py:build", "--weights", "w.pt", *given, *QUICK, "--json"))
    assert "omit --mean and --std" in " ".join(document["doubts"])


def test_another_order_of_classes_is_named(foolscope, nets, half):
    order = [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]
    state = half.state_dict()
    state |= {key: state[key][order] for key in ("3.weight", "3.bias")}
    torch.save(state, "w.pt")
    given = ("--mean", "0.5", "--std", "0.25")
    document = json_of(foolscope("attack", "nets.py:build", "--weights", "w.pt", *given, *QUICK, "--json"))
    assert "near guessing (10.0%)" in document["doubts"][0]
    assert "different order: accuracy would be" in document["doubts"][1]
    assert "9 for 0, 0 for 1, 1 for 2" in document["doubts"][1]


def test_a_model_without_weights_is_noticed_before_the_attack(foolscope, nets):
    nets.write_text(
        CODE + "\ndef zero():\n    net = build()\n    net[3].weight.data.zero_()\n    return net\n"
    )
    result = foolscope("attack", "nets.py:zero", *QUICK)
    before, attacking, _ = result.err.partition("attacking")
    assert attacking
    assert "near guessing" in before
    assert "no --weights were given" in before
    assert "for 100% of the images" in before
    assert "near guessing" in result.out


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["nets.py:build"], ["comes without images", "--dataset"]),
        (
            ["nets.py:build", "--dataset", "digist"],
            ["unknown data set 'digist'", "Did you mean 'digits'?", ".npz"],
        ),
        (["nets.py:build", "--dataset", "none/here"], ["no such file or folder"]),
        (["nets.py:few", *QUICK], ["(3, 10)", "got (3, 7)", "10 classes of digits"]),
        (
            ["nets.py:wide", *QUICK],
            ["fails on 3 images of shape 1×8×8 of digits", "shapes cannot be multiplied"],
        ),
        (["nets.py:Broken", *QUICK], ["Broken fails", "nets.py, line 14)"]),
        (["nets.py:Pair", *QUICK], ["must return a tensor of logits; got tuple"]),
        (["nets.py:half", *QUICK], ["torch.float16", "model.float()"]),
        (["nets.py:build", *QUICK, "--mean", "0.5"], ["--mean needs --std"]),
        (["nets.py:build", *QUICK, "--std", "0.5"], ["--std needs --mean"]),
        (["nets.py:build", *QUICK, "--mean", "a", "--std", "1"], ["--mean must be a number", "'a'"]),
        (["nets.py:build", *QUICK, "--weights", "nets.py"], ["nets.py is damaged or no weights file"]),
        (["nets.py:build", *QUICK, "--height", "9"], ["--height does not apply to digits"]),
        (["nets.py:build", *QUICK, "--split", "tset"], ["no split 'tset'"]),
        (["nets.py:build", "--height", "9"], ["add --dataset FOLDER"]),
        (["0123abc", "--weights", "half.pt"], ["--weights", "0123abc names a run"]),
        (["0123abc", "--mean", "0", "--std", "1"], ["--mean and --std", "0123abc names a run"]),
    ],
)
def test_what_does_not_fit_is_one_line(refused, nets, arguments, parts):
    line = refused("attack", *arguments)
    assert not [part for part in parts if part not in line], line


def test_own_images_come_from_an_npz_or_a_folder(foolscope, nets, half):
    from PIL import Image

    test = load(DigitsSettings()).test
    train_part = {"train_images": test.images.numpy()[:100], "train_labels": test.labels.numpy()[:100]}
    np.savez("own.npz", test_images=test.images.numpy(), test_labels=test.labels.numpy(), **train_part)
    for index, (image, label) in enumerate(zip(test.images[:60], test.labels[:60], strict=True)):
        for part in ("train", "test"):
            folder = Path("photos", part, str(int(label)))
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[0].numpy()).save(folder / f"{index:03}.png")
    model = ["attack", "nets.py:build", "--weights", "half.pt", "--mean", "0.5", "--std", "0.25", "--json"]
    quick = ["--epsilon", "0", "--attack", "fgsm"]
    whole = json_of(foolscope(*model, *quick, "--dataset", "own.npz"))
    assert whole["clean_accuracy"] == pytest.approx(accuracy_of(half, 0.5, 0.25))
    shape = ["--height", "8", "--width", "8", "--color", "grayscale"]
    few = json_of(foolscope(*model, *quick, "--dataset", "photos", *shape))
    with torch.no_grad():
        right = half((test.images[:60] / 255.0 - 0.5) / 0.25).argmax(1) == test.labels[:60]
    assert few["images"] == 60
    assert few["clean_accuracy"] == pytest.approx(right.double().mean().item())
    one = json_of(foolscope(*model, *quick, "--dataset", "photos", *shape, "--limit", "4"))
    assert one["images"] == 4


def test_the_first_images_of_one_class_are_a_doubt(foolscope, nets, half):
    test = load(DigitsSettings()).test
    order = test.labels.argsort(stable=True)
    part = {"images": test.images[order].numpy(), "labels": test.labels[order].numpy()}
    np.savez("sorted.npz", **part)
    arguments = [
        "--dataset",
        "sorted.npz",
        "--mean",
        "0.5",
        "--std",
        "0.25",
        "--epsilon",
        "0",
        "--attack",
        "fgsm",
    ]
    model = ["attack", "nets.py:build", "--weights", "half.pt", "--json", "--split", "train"]
    doubts = json_of(foolscope(*model, *arguments, "--limit", "15"))["doubts"]
    assert "all of the class 0; raise --limit" in " ".join(doubts)
    doubts = json_of(foolscope(*model, *arguments))["doubts"]
    assert doubts == []


def test_a_run_is_attacked_on_other_images_of_its_shape(foolscope, refused, small):
    foolscope("train", *small)
    (identity,) = [path.name for path in Path("foolscope-runs/trials").iterdir()]
    test = load(DigitsSettings()).test
    part = {"train_images": test.images.numpy(), "train_labels": test.labels.numpy()}
    inverted = 255 - test.images.numpy()
    np.savez("inverted.npz", test_images=inverted, test_labels=test.labels.numpy(), **part)
    quick = ("--epsilon", "0", "--attack", "fgsm", "--json")
    own = json_of(foolscope("attack", identity, *quick))
    other = json_of(foolscope("attack", identity, *quick, "--dataset", "inverted.npz"))
    assert other["run"] == own["run"] == identity
    assert other["clean_accuracy"] < own["clean_accuracy"] - 0.2
    np.savez("small.npz", images=test.images.numpy()[:, :, 1:], labels=test.labels.numpy())
    assert "fails on 3 images of shape 1×7×8" in refused("attack", identity, "--dataset", "small.npz")
