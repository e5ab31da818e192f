import contextlib
import os
import pickle
import re
import shutil
import sys
import warnings
import zipfile
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from foolscope.core.errors import RecipeError
from foolscope.data import DigitsSettings, load
from foolscope.experiments.subjects.foreign_models import load_foreign, normalized

CPU = torch.device("cpu")
CODE = """
from torch import nn
from layers import Act

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 6), Act(), nn.BatchNorm1d(6), nn.Linear(6, 10))
    def forward(self, inputs):
        return self.body(inputs)

READY = Net()
NUMBER = 3
def build():
    import late
    return Net()
def build_list():
    return [Net()]
def fail():
    raise KeyError("no such checkpoint")
"""


class Hostile:
    """A pickle of it makes a file when it is opened."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@pytest.fixture
def nets(tmp_path):
    (tmp_path / "layers.py").write_text("from torch import nn\nclass Act(nn.Tanh): pass\n")
    (tmp_path / "late.py").write_text("")
    path = tmp_path / "nets.py"
    path.write_text(CODE)
    return path


@pytest.fixture
def trained(nets):
    """A model of build() with weights that no fresh one has."""
    body = load_foreign(f"{nets}:build", None, CPU).body
    generator = torch.Generator().manual_seed(5)
    for tensor in (*body.parameters(), *body.buffers()):
        if tensor.is_floating_point():
            tensor.data.copy_(torch.rand(tensor.shape, generator=generator))
    return body


def outputs(model):
    with torch.no_grad():
        return model(torch.linspace(0, 1, 3 * 64).reshape(3, 1, 8, 8))


def refusal(place, weights=None):
    with pytest.raises(RecipeError) as caught:
        load_foreign(str(place), weights, CPU)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ------------------------------------------------------------------ code


def test_a_file_is_run_alone_and_leaves_nothing_behind(nets):
    path, modules, state = list(sys.path), set(sys.modules), torch.random.get_rng_state()
    foreign = load_foreign(f"{nets}:build", None, CPU)
    assert outputs(foreign.body).shape == (3, 10)
    assert not foreign.body.training
    assert sys.path == path
    assert {name for name in set(sys.modules) - modules if not name.startswith("_foolscope_")} == set()
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not (nets.parent / "__pycache__").exists()


def test_two_files_may_import_files_of_the_same_name(nets, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(nets, other)
    shutil.copy(nets.parent / "late.py", other)
    (other / "layers.py").write_text("from torch import nn\nclass Act(nn.ReLU): pass\n")
    assert isinstance(load_foreign(f"{nets}:build", None, CPU).body.body[2], nn.Tanh)
    assert isinstance(load_foreign(f"{other}/nets.py:build", None, CPU).body.body[2], nn.ReLU)


def test_a_module_of_theirs_stays_as_it_is(nets, trained, tmp_path):
    nets.write_text(nets.read_text() + "\nimport sys\nsys.modules['kept_by_test'] = READY\n")
    torch.save(trained.state_dict(), tmp_path / "w.pt")
    foreign = load_foreign(f"{nets}:READY", tmp_path / "w.pt", CPU)
    theirs = sys.modules.pop("kept_by_test")
    assert torch.equal(outputs(foreign.body), outputs(trained))
    assert not torch.equal(theirs.body[1].weight, trained.body[1].weight)


def test_a_factory_in_a_package_is_found_from_where_the_person_is(tmp_path, monkeypatch):
    (tmp_path / "their_package").mkdir()
    (tmp_path / "their_package" / "__init__.py").write_text("")
    (tmp_path / "their_package" / "nets.py").write_text(
        "from torch import nn\nclass Nets:\n    @staticmethod\n    def flat():\n        return nn.Flatten()\n"
    )
    monkeypatch.chdir(tmp_path)
    assert isinstance(load_foreign("their_package.nets:Nets.flat", None, CPU).body, nn.Flatten)
    assert "has no 'Nets.falt'" in refusal("their_package.nets:Nets.falt")
    assert "no module 'their_package.netz'" in refusal("their_package.netz:flat")
    for name in [name for name in sys.modules if name.startswith("their_package")]:
        del sys.modules[name]


def test_what_the_code_prints_is_no_result(nets, capsys):
    nets.write_text("print('hello')\n" + nets.read_text())
    load_foreign(f"{nets}:build", None, CPU)
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "hello\n")


@pytest.mark.parametrize(
    ("factory", "parts"),
    [
        ("buidl", ["nets.py has no 'buidl'", "Did you mean 'build'?"]),
        ("NUMBER", ["NUMBER must be a module or a function", "got 3"]),
        ("build_list", ["must return a torch.nn.Module", "got list"]),
        ("fail", ["fail() of", "failed", "KeyError", "no such checkpoint", "nets.py, line 20)"]),
    ],
)
def test_a_factory_that_does_not_build_is_named(nets, factory, parts):
    line = refusal(f"{nets}:{factory}")
    assert not [part for part in parts if part not in line], line


@pytest.mark.parametrize(
    ("code", "parts"),
    [
        ("x = 1\ndef build(:\n", ["SyntaxError", "nets.py, line 2)"]),
        ("\nimport not_there_at_all\n", ["ModuleNotFoundError", "not_there_at_all", "nets.py, line 2)"]),
        ("from .blocks import x\n", ["no known parent package", "package.module:factory"]),
        ("raise SystemExit(3)\n", ["SystemExit: 3", "nets.py, line 1)"]),
        ("import layers\n", ["ZeroDivisionError", "layers.py, line 1)"]),
    ],
)
def test_errors_in_their_code_are_told_with_their_place(nets, code, parts):
    (nets.parent / "layers.py").write_text("1 / 0\n")
    nets.write_text(code)
    line = refusal(f"{nets}:build")
    assert not [part for part in parts if part not in line], line


@pytest.mark.parametrize(
    ("place", "parts"),
    [
        ("nets.py", ["does not say which factory", "nets.py:build"]),
        ("nets.py:", ["does not say which factory"]),
        ("no/such.py:build", ["cannot read the model's code", "No such file"]),
        ("not_there_at_all.x:build", ["no module 'not_there_at_all'", "path/to/file.py:build"]),
        ("no.pt2", ["cannot read the model no.pt2", "No such file"]),
    ],
)
def test_a_place_without_a_model_is_refused(place, parts):
    line = refusal(place)
    assert not [part for part in parts if part not in line], line


def test_the_fingerprint_changes_with_weights_and_code_only(nets, trained, tmp_path):
    torch.save(trained.state_dict(), tmp_path / "w.pt")

    def fingerprint():
        return load_foreign(f"{nets}:build", tmp_path / "w.pt", CPU).fingerprint

    first = fingerprint()
    assert fingerprint() == first
    (nets.parent / "layers.py").write_text("from torch import nn\nclass Act(nn.Tanh): scale = 2\n")
    second = fingerprint()
    assert second != first
    trained.body[4].bias.data[0] += 1
    torch.save(trained.state_dict(), tmp_path / "w.pt")
    assert fingerprint() not in (first, second)


# ------------------------------------------------------------------ weights


def write(kind, state, path):
    if kind == "safetensors":
        safetensors.torch.save_file(state, path)
    elif kind == "legacy":
        torch.save(state, path, _use_new_zipfile_serialization=False)
    else:
        nested = {"state_dict": state, "epoch": 3, "optimizer": {"lr": 0.1}} if kind == "nested" else state
        torch.save(nested, path)


@pytest.mark.parametrize("kind", ["safetensors", "plain", "legacy", "nested"])
@pytest.mark.parametrize(("off", "on"), [("", ""), ("", "module."), ("", "module._orig_mod."), ("body.", "")])
def test_weights_are_read_in_every_format(nets, trained, tmp_path, kind, off, on):
    state = {on + key.removeprefix(off): tensor for key, tensor in trained.state_dict().items()}
    write(kind, state, tmp_path / "weights")
    foreign = load_foreign(f"{nets}:build", tmp_path / "weights", CPU)
    assert torch.equal(outputs(foreign.body), outputs(trained))
    said = " ".join(foreign.remarks)
    assert ("state_dict" in said) == (kind == "nested")
    assert ("prefix" in said) == (off != on)
    assert (repr(on or off) in said) == (off != on)


def test_weights_of_another_model_are_refused_key_by_key(nets, trained, tmp_path):
    state = trained.state_dict()
    path = tmp_path / "w.pt"
    torch.save({key: value for key, value in state.items() if "body.4" not in key}, path)
    assert "2 of 9 keys of the model are missing (body.4.weight, body.4.bias)" in refusal(
        f"{nets}:build", path
    )
    torch.save({**state, "head.weight": torch.zeros(1)}, path)
    assert "1 of 10 keys of the file are not in the model (head.weight)" in refusal(f"{nets}:build", path)
    torch.save({**state, "body.4.bias": torch.zeros(5)}, path)
    assert "body.4.bias has shape (5,) in the file and (10,) in the model" in refusal(f"{nets}:build", path)
    torch.save({key: value for key, value in state.items() if "num_batches" not in key}, path)
    assert torch.equal(outputs(load_foreign(f"{nets}:build", path, CPU).body), outputs(trained))


@pytest.mark.parametrize(
    "content", [b"", b"hello world, I am text", b"PK\x03\x04 cut short", b"\x09" + bytes(7) + b"{"]
)
def test_damaged_weights_are_refused(nets, tmp_path, content):
    (tmp_path / "w").write_bytes(content)
    assert "safetensors or a state dict" in refusal(f"{nets}:build", tmp_path / "w")


def test_a_file_without_a_state_dict_says_what_it_holds(nets, tmp_path):
    torch.save({"epoch": 3, "loss": torch.zeros(1)}, tmp_path / "w")
    assert "has no state dict; it holds epoch, loss" in refusal(f"{nets}:build", tmp_path / "w")
    torch.save([torch.zeros(1)], tmp_path / "w")
    assert "holds a list" in refusal(f"{nets}:build", tmp_path / "w")
    assert "No such file" in refusal(f"{nets}:build", tmp_path / "none")


def hostile_pickle(hostile, path):
    path.write_bytes(pickle.dumps({"a": hostile}))


def hostile_save(hostile, path):
    torch.save({"state_dict": {"a": hostile}}, path)


def hostile_legacy(hostile, path):
    torch.save({"a": hostile}, path, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize("make", [hostile_pickle, hostile_save, hostile_legacy])
def test_a_pickle_is_refused_and_not_run(nets, tmp_path, make):
    marker, path = tmp_path / "was_run", tmp_path / "w.pt"
    make(Hostile(marker), path)
    line = refusal(f"{nets}:build", path)
    assert not marker.exists()
    assert "was not opened" in line
    assert "safetensors.torch.save_file" in line
    if make is not hostile_pickle:  # the file would have done it
        torch.load(path, weights_only=False)
        assert marker.exists()


# ------------------------------------------------------------------ archives


def export(model, path, dynamic=True):
    shapes = ({0: torch.export.Dim("batch")},) if dynamic else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(model, (torch.zeros(2, 1, 8, 8),), dynamic_shapes=shapes)
        torch.export.save(program, path)


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """A small model, and files that hold it."""
    folder = tmp_path_factory.mktemp("archives")
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.Dropout(0.5))
    model[1].weight.data.copy_(torch.rand(10, 64, generator=generator))
    export(model.train(), folder / "train.pt2")
    export(model.eval(), folder / "net.pt2")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(model, torch.zeros(2, 1, 8, 8)).save(str(folder / "net.pt"))
    torch.save(model.state_dict(), folder / "state.pt")
    return model, folder


@pytest.mark.parametrize("name", ["net.pt", "net.pt2"])
def test_a_whole_model_in_a_file_answers_as_it_did(archives, name):
    model, folder = archives
    foreign = load_foreign(str(folder / name), None, CPU)
    torch.testing.assert_close(outputs(foreign.body), outputs(model))
    inputs = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(1)).requires_grad_()
    foreign.body(inputs).sum().backward()
    torch.testing.assert_close(inputs.grad, model[1].weight.sum(0).reshape(1, 1, 8, 8).expand(5, -1, -1, -1))
    assert "omit --weights" in refusal(folder / name, folder / "state.pt")


def test_files_without_a_program_are_refused(archives, tmp_path):
    _, folder = archives
    assert "exported in train mode; call model.eval()" in refusal(folder / "train.pt2")
    assert "--weights state.pt" in refusal(folder / "state.pt")
    (tmp_path / "text.pt").write_text("text")
    assert "neither a TorchScript file nor a torch.export archive" in refusal(tmp_path / "text.pt")


def rewritten(source, target, changes):
    """Copy an archive with other entries."""
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(target, "w") as copy:
        for name in archive.namelist():
            content = archive.read(name)
            for end, change in changes.items():
                content = change(content) if name.endswith(end) else content
            copy.writestr(name, content)
    return target


def test_pickles_in_an_archive_are_refused_and_not_run(archives, tmp_path):
    _, folder = archives
    marker = tmp_path / "was_run"
    torch.save(((Hostile(marker),), {}), tmp_path / "hostile")
    hostile = (tmp_path / "hostile").read_bytes()
    target = rewritten(
        folder / "net.pt2", tmp_path / "a.pt2", {"data/sample_inputs/model.pt": lambda _: hostile}
    )
    line = refusal(target)
    assert not marker.exists()
    assert "holds a pickle" in line
    with contextlib.suppress(TypeError), warnings.catch_warnings():  # torch's own warning has a mistake
        warnings.simplefilter("ignore")
        torch.export.load(target)  # which would have run it
    assert marker.exists()

    def pickled(text):
        return re.sub(rb'"use_pickle": false', b'"use_pickle": true', text)

    target = rewritten(folder / "net.pt2", tmp_path / "b.pt2", {"weights_config.json": pickled})
    assert "holds pickled tensors" in refusal(target)
    target = rewritten(folder / "net.pt2", tmp_path / "c.pt2", {"weights_config.json": lambda _: b"{"})
    assert "cannot load the model" in refusal(target)
    shutil.copy(folder / "net.pt2", tmp_path / "e.pt2")
    with zipfile.ZipFile(tmp_path / "e.pt2", "a") as archive:
        archive.writestr("net/data/aotinductor/model.so", b"")
    assert "data/aotinductor/model.so, which is not plain data" in refusal(tmp_path / "e.pt2")
    shutil.copy(folder / "net.pt2", tmp_path / "d.pt2")
    with zipfile.ZipFile(tmp_path / "d.pt2", "a") as archive:
        archive.writestr("other/data/sample_inputs/model.pt", hostile)
    assert "names an entry twice" in refusal(tmp_path / "d.pt2")


# ------------------------------------------------------------------ normalization


def test_normalization_is_put_in_front():
    images = load(DigitsSettings()).test.images[:4] / 255.0
    body = nn.Flatten()
    wrapped = normalized(body, [0.5], [0.25], 1)
    torch.testing.assert_close(wrapped(images), body((images - 0.5) / 0.25))
    three = images.expand(-1, 3, -1, -1)
    torch.testing.assert_close(
        normalized(body, [0.5], [0.1, 0.2, 0.4], 3)(three)[:, 64:128], (body(images) - 0.5) / 0.2
    )


@pytest.mark.parametrize(
    ("mean", "deviation", "part"),
    [
        ([0.1, 0.2], [1.0], "mean needs one value, or one for each of the 3 channels; got 2"),
        ([0.1], [1.0] * 4, "std needs one value"),
        ([123.7], [0.5], "Did you mean 123.7/255?"),
        ([0.5], [0.0], "std must be above 0; got 0"),
    ],
)
def test_a_normalization_that_makes_no_sense_is_refused(mean, deviation, part):
    with pytest.raises(RecipeError) as caught:
        normalized(nn.Flatten(), mean, deviation, 3)
    assert part in str(caught.value)


def test_paths_may_begin_with_the_home_folder(nets, monkeypatch):
    monkeypatch.setenv("HOME", str(nets.parent))
    assert load_foreign("~/nets.py:build", None, CPU).name == "~/nets.py:build"
    assert Path("~").expanduser() == nets.parent
