import json

import pytest
import safetensors.torch
import torch

from foolscope.core.errors import StoreError
from foolscope.learning.checkpoints import load_tensors, save_tensors

CPU = torch.device("cpu")


def test_what_is_saved_is_loaded_bit_for_bit(tmp_path):
    tensors = {
        "transposed": torch.rand(3, 4, dtype=torch.float64).T,
        "part": torch.arange(10)[::2],
        "scalar": torch.tensor(1.5),
        "brain": torch.tensor([0.1, float("inf")], dtype=torch.bfloat16),
        "leaf": torch.rand(2, requires_grad=True),
    }
    document = {"ε": [1, None, 0.1], "deep": {"a": "b"}}
    save_tensors(tmp_path / "folder" / "file.safetensors", tensors, document)
    loaded, read = load_tensors(tmp_path / "folder" / "file.safetensors", CPU)
    assert read == document
    assert loaded.keys() == tensors.keys()
    for name, value in tensors.items():
        assert loaded[name].dtype == value.dtype
        assert torch.equal(loaded[name], value.detach())


def test_an_absent_file_is_one_line(tmp_path):
    with pytest.raises(StoreError, match="no such file"):
        load_tensors(tmp_path / "absent", CPU)


def damage(path, kind):
    content = path.read_bytes()
    if kind == "truncated":
        path.write_bytes(content[:-5])
    elif kind == "truncated header":
        path.write_bytes(content[:20])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("not a checkpoint at all")
    elif kind == "foreign":
        path.write_bytes(safetensors.torch.save({"a": torch.ones(1)}))
    elif kind == "foreign document":
        path.write_bytes(safetensors.torch.save({"a": torch.ones(1)}, metadata={"foolscope": "{"}))
    elif kind == "folder":
        path.unlink()
        path.mkdir()


@pytest.mark.parametrize(
    "kind", ["truncated", "truncated header", "empty", "text", "foreign", "foreign document", "folder"]
)
def test_a_damaged_file_says_what_to_do(tmp_path, kind):
    path = tmp_path / "file.safetensors"
    save_tensors(path, {"a": torch.rand(100)}, {})
    damage(path, kind)
    with pytest.raises(StoreError, match="delete it and run the same command again") as caught:
        load_tensors(path, CPU)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_file_is_plain_safetensors(tmp_path):
    save_tensors(tmp_path / "file", {"a": torch.ones(2)}, {"b": 1})
    with safetensors.safe_open(tmp_path / "file", framework="pt") as stream:
        assert json.loads(stream.metadata()["foolscope"]) == {"b": 1}
    assert torch.equal(safetensors.torch.load_file(tmp_path / "file")["a"], torch.ones(2))
