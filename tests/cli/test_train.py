import gzip
import io
import json
import os
import pickle
import re
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foolscope.core import files
from foolscope.reference import Affine


def trials(store):
    return sorted(Path(store).glob("trials/*/trial.json"))


def accuracy_of(outcome):
    return f"{100 * outcome['metrics']['test_accuracy']:.1f}"


def test_it_says_how_good_the_model_is_and_how_to_attack_it(foolscope, small):
    result = foolscope("train", "--model", "mlp", "--hidden", "8", *small)
    (path,) = trials("foolscope-runs")
    outcome = json.loads(path.read_text(encoding="utf-8"))["outcome"]
    assert result.code == 0
    assert re.search(
        rf"^mlp +mlp +{outcome['parameter_count']} +{accuracy_of(outcome)} ", result.out, re.MULTILINE
    )
    assert f"foolscope attack {path.parent.name[:8]}\n" in result.out
    assert "epoch 1/2" in result.err  # progress
    assert "\x1b" not in result.out + result.err

    again = foolscope("train", "--model", "mlp", "--hidden", "8", *small)
    assert again.out == result.out
    assert again.err == ""


def test_json_is_the_whole_of_standard_output(foolscope, small, tmp_path):
    result = foolscope("train", "--json", "--store", tmp_path / "here", *small)
    document = json.loads(result.out)
    (path,) = trials(tmp_path / "here")
    assert document["identity"] == path.parent.name
    assert document["recipe"]["training"]["epochs"] == 2
    assert document["metrics"] == json.loads(path.read_text(encoding="utf-8"))["outcome"]["metrics"]
    assert len(document["history"]) == 2


def test_divergence_is_a_result(foolscope, small):
    result = foolscope("train", "--model", "mlp", "--learning-rate", "1e30", *small)
    assert result.code == 0
    assert "diverged" in result.out
    assert "learning rate" in result.out
    assert "attack" not in result.out
    identity = trials("foolscope-runs")[0].parent.name
    attacked = foolscope("attack", identity)
    assert attacked.code == 2
    assert "diverged" in attacked.err


def test_the_store_can_come_from_the_environment(foolscope, small, monkeypatch, tmp_path):
    monkeypatch.setenv("FOOLSCOPE_STORE", str(tmp_path / "elsewhere"))
    assert foolscope("train", *small).code == 0
    assert len(trials(tmp_path / "elsewhere")) == 1


# ------------------------------------------------------------------ --engine reference


SMALLEST = ("--model", "mlp", "--hidden", "4", "--limit", "100", "--epochs", "2")


def test_the_reference_engine_says_how_far_it_is_from_torch(foolscope, tmp_path):
    arguments = ("train", "--engine", "reference", "--report", tmp_path / "page.html", *SMALLEST)
    result = foolscope(*arguments)
    (path,) = trials("foolscope-runs")
    document = json.loads(path.read_text(encoding="utf-8"))
    assert result.code == 0
    accuracy = accuracy_of(document["outcome"])
    assert re.findall(r"^mlp in (\w+) +mlp +\d+ +([\d.]+) ", result.out, re.MULTILINE) == [
        ("NumPy", accuracy),
        ("PyTorch", accuracy),
    ]
    assert document["recipe"]["precision"] == "float64"
    assert f"foolscope attack {path.parent.name[:8]}\n" in result.out
    assert "training in NumPy" in result.err
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "mlp in NumPy" in page
    assert "mlp in PyTorch" in page
    again = foolscope(*arguments, "--json")
    assert again.err == ""
    said = json.loads(again.out)
    assert said["torch"]["identity"] == path.parent.name
    assert said["agrees"]
    assert said["sentence"] in result.out
    assert [each["quantity"] for each in said["differences"]] == [
        "running loss",
        "validation loss",
        "weights",
    ]
    assert len(said["history"]) == len(said["differences"][0]["by_epoch"]) == 2


def test_the_reference_engine_ends_with_1_where_the_runs_differ(foolscope, monkeypatch):
    right = Affine.parameter_gradients

    def forgotten_bias(self, cache, output_gradient):
        gradients = right(self, cache, output_gradient)
        return gradients | {"bias": 0 * gradients["bias"]}

    monkeypatch.setattr(Affine, "parameter_gradients", forgotten_bias)
    result = foolscope("train", "--engine", "reference", *SMALLEST)
    assert result.code == 1
    assert "more than rounding" in result.out


@pytest.mark.parametrize("engine", ["torch", "reference"])
def test_a_minibatch_of_one_image_without_a_variance_is_refused(refused, engine):
    four_stages = ("--model", "resnet", "--channels", "[2,2,2,2]")  # digits are then a single pixel
    # Of one image each: PyTorch's convolutions can crash in the backward pass of maps of one pixel.
    line = refused("train", "--engine", engine, *four_stages, "--limit", "33", "--batch-size", "1")
    assert "at least 2 numbers per channel" in line
    assert "Choose another batch_size" in line


def test_the_reference_engine_refuses_what_it_has_not(refused):
    line = refused("train", "--engine", "reference", "--optimizer", "adam", *SMALLEST)
    assert "got adam" in line
    assert "--engine torch" in line
    assert "'jax'" in refused("train", "--engine", "jax", *SMALLEST)


# ------------------------------------------------------------------ bad data


def truncated_cifar(root):
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    names = {"label_names": [f"class {number}" for number in range(10)]}
    (folder / "batches.meta").write_bytes(pickle.dumps(names, protocol=2))
    for name in (
        "data_batch_1",
        "data_batch_2",
        "data_batch_3",
        "data_batch_4",
        "data_batch_5",
        "test_batch",
    ):
        (folder / name).write_bytes(b"\x80\x02}q\x01U\x05label")
    return ["--dataset", "cifar10"], ["data_batch_1"]


def corrupt_archive(root):
    root.mkdir(parents=True)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz"):
        pass
    (root / "cifar-10-python.tar.gz").write_bytes(stream.getvalue()[:-10] + b"garbage")
    return ["--dataset", "cifar10"], ["cifar-10-python.tar.gz"]


def truncated_idx(root):
    folder = root / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for name, magic, shape in (
        ("train-images-idx3-ubyte", 2051, (60000, 28, 28)),
        ("train-labels-idx1-ubyte", 2049, (60000,)),
        ("t10k-images-idx3-ubyte", 2051, (10000, 28, 28)),
        ("t10k-labels-idx1-ubyte", 2049, (10000,)),
    ):
        content = struct.pack(f">{1 + len(shape)}I", magic, *shape) + bytes(100)
        (folder / f"{name}.gz").write_bytes(gzip.compress(content))
    return ["--dataset", "fashion-mnist"], ["idx", "100"]


def corrupt_gzip(root):
    truncated_idx(root)
    for path in (root / "FashionMNIST" / "raw").iterdir():
        path.write_bytes(path.read_bytes()[:40])
    return ["--dataset", "fashion-mnist"], ["idx"]


def npz_of_wrong_shapes(root):
    root.mkdir(parents=True)
    path = root / "my.npz"
    np.savez(path, images=np.zeros((10, 8), np.uint8), labels=np.zeros(9, np.int64))
    return ["--dataset", "npz", "--path", path], ["my.npz"]


def npz_that_is_none(root):
    root.mkdir(parents=True)
    path = root / "my.npz"
    path.write_bytes(b"PK\x03\x04 but no more")
    return ["--dataset", "npz", "--path", path], ["my.npz"]


def folder_with_a_corrupt_image(root):
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (8, 8), (number, 0, 0)).save(root / name / f"{number}.png")
    broken = root / "dog" / "2.png"
    broken.write_bytes(broken.read_bytes()[:30])
    return ["--dataset", "folder", "--path", root], ["2.png"]


def missing_folder(root):
    return ["--dataset", "folder", "--path", root / "nowhere"], ["nowhere"]


def missing_data_set(root):
    return ["--dataset", "mnist"], ["mnist", "foolscope data get mnist", "--data-dir"]


def wrong_images_for_the_model(root):
    root.mkdir(parents=True)
    path = root / "my.npz"
    np.savez(path, images=np.zeros((40, 2, 2), np.uint8), labels=np.arange(40) % 2)
    return ["--dataset", "npz", "--path", path, "--model", "small-cnn"], ["2"]


@pytest.mark.parametrize(
    "make",
    [
        truncated_cifar,
        corrupt_archive,
        truncated_idx,
        corrupt_gzip,
        npz_of_wrong_shapes,
        npz_that_is_none,
        folder_with_a_corrupt_image,
        missing_folder,
        missing_data_set,
        wrong_images_for_the_model,
    ],
)
def test_bad_data_is_one_line_that_names_the_file(refused, tmp_path, make):
    arguments, parts = make(tmp_path / "data")
    line = refused("train", "--epochs", "1", "--data-dir", tmp_path / "data", *arguments)
    assert not [part for part in parts if part not in line], line
    assert trials(tmp_path / "foolscope-runs") == []


# ------------------------------------------------------------------ bad stores


def test_a_store_that_is_a_file_is_refused(refused, tmp_path):
    (tmp_path / "store").write_text("", encoding="utf-8")
    assert "is a file" in refused("train", "--store", tmp_path / "store")


def test_no_space_leaves_nothing_half_written_and_the_same_command_finishes(
    foolscope, tmp_path, small, monkeypatch
):
    command = ["train", "--model", "mlp", "--hidden", "8", *small]

    def no_space(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(files.os, "fsync", no_space)
        result = foolscope(*command)
    assert result.code == 2
    (line,) = [line for line in result.err.splitlines() if line.startswith("foolscope")]
    assert "No space left on device" in line
    assert "free some space" in line
    assert result.err.splitlines()[-1] == line
    assert [path for path in Path("foolscope-runs").rglob("*") if path.is_file()] == []
    assert foolscope(*command).code == 0
    assert len(trials("foolscope-runs")) == 1


@pytest.mark.skipif(shutil.which("mount") is None or os.geteuid() != 0, reason="only root can mount")
def test_a_full_disk(foolscope, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting is not allowed here")
    command = ["train", "--limit", "100", "--epochs", "1", "--store", disk / "store"]
    try:
        (disk / "filler").write_bytes(bytes(60_000))
        result = foolscope(*command)
        assert result.code == 2
        assert "No space left on device" in result.err
        assert trials(disk / "store") == []
        assert [path for path in disk.rglob("*") if "partial" in path.name] == []
        (disk / "filler").unlink()
        assert foolscope(*command).code == 0
        assert len(trials(disk / "store")) == 1
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_store_that_cannot_be_written_names_another_way(foolscope, small):
    result = foolscope("train", "--store", "/proc/nowhere", *small)
    assert result.code == 2
    line = result.err.splitlines()[-1]
    assert line.startswith("foolscope: cannot write /proc/nowhere")
    assert "--store" in line


def test_a_damaged_run_is_named(foolscope, refused, small):
    foolscope("train", *small)
    (path,) = trials("foolscope-runs")
    path.write_text(path.read_text(encoding="utf-8")[:-100], encoding="utf-8")
    assert str(path) in refused("train", *small)
    assert str(path) in refused("attack", path.parent.name[:5])


# ------------------------------------------------------------------ Ctrl-C


def heed_interrupts():
    """Undo what a shell does to the processes that it starts in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_in_mid_training_is_one_line_and_the_same_command_goes_on(foolscope, tmp_path):
    arguments = ["train", "--model", "mlp", "--epochs", "500", "--limit", "300"]
    command = [sys.executable, "-m", "foolscope", *arguments, "--store", str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=heed_interrupts,
    ) as process:
        assert "epoch" in process.stderr.readline()
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out == ""
    lines = [line for line in err.splitlines() if line and not line.startswith("training:")]
    assert lines == ["foolscope: interrupted; the same command continues where it stopped"]
    assert trials(tmp_path) == []
    assert foolscope(*arguments, "--store", tmp_path).code == 0
    assert len(trials(tmp_path)) == 1


def test_ctrl_c_in_numpy_says_that_the_same_command_starts_anew(foolscope, monkeypatch):
    def interrupted(*given):
        raise KeyboardInterrupt  # what Ctrl-C raises; the signal itself is ignored in a background job

    monkeypatch.setattr(Affine, "forward", interrupted)
    result = foolscope("train", "--engine", "reference", *SMALLEST)
    assert result.code == 130
    assert result.out == ""
    assert (
        result.err.splitlines()[-1]
        == "foolscope: interrupted; the same command starts from the beginning in NumPy"
    )
    assert not Path("foolscope-runs").exists()


@pytest.mark.parametrize(
    ("flags", "is_nesterov"),
    [
        (["--nesterov", "--weight-decay", "5e-4"], True),
        (["--weight-decay", "5e-4", "--nesterov"], True),
        (["--nesterov", "true"], True),
        (["--nesterov", "false", "--weight-decay", "5e-4"], False),
    ],
)
def test_a_field_that_is_true_or_false_may_be_a_flag_alone(foolscope, small, flags, is_nesterov):
    trained = json.loads(foolscope("train", "--json", "--momentum", "0.9", *flags, *small).out)
    assert trained["recipe"]["optimizer"]["nesterov"] is is_nesterov


@pytest.mark.parametrize("score", ["loss", "balanced_accuracy", "auc"])
def test_a_checkpoint_is_not_selected_by_images_that_are_not_there(refused, score):
    line = refused("train", "--validation", "none", "--select-by", score, "--limit", "100", "--epochs", "1")
    assert f"select_by = '{score}' needs validation images" in line
    assert "omit select_by" in line


def test_a_parameter_group_that_sets_nothing_is_refused(refused, foolscope, small):
    line = refused("train", "--parameter-groups", "*bias")
    assert "*bias" in line
    assert "sets nothing" in line
    assert "learning_rate, weight_decay or l2" in line
    same = foolscope("train", "--parameter-groups", "*bias:learning_rate_factor=1", *small)  # one of several
    assert same.code == 0, same.err
