import pytest
import torch

from foolscope.core import precision
from foolscope.core.errors import RecipeError
from foolscope.core.precision import resolve_device, resolve_precision


def test_auto_takes_the_gpu_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto") == torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == torch.device("cpu")


def test_a_named_device_is_taken():
    assert resolve_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["banana", "", "hpu", "privateuseone", "cuda:99", "mps:9", "meta"])
def test_a_device_that_is_not_there_is_one_line(name):
    with pytest.raises(
        RecipeError, match=f"device must be 'auto', 'cpu' or an available device; got {name!r}"
    ):
        resolve_device(name)


def test_auto_precision_follows_the_instructions(monkeypatch):
    device = torch.device("cpu")
    monkeypatch.setattr(precision, "multiplies_bfloat16", lambda device: True)
    assert resolve_precision("auto", device) == "bfloat16"
    monkeypatch.setattr(precision, "multiplies_bfloat16", lambda device: False)
    assert resolve_precision("auto", device) == "float32"
    for name in ("float32", "bfloat16", "float64"):
        assert resolve_precision(name, device) == name


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_gpus_have_bfloat16_units_since_ampere(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert precision.multiplies_bfloat16(torch.device("cuda")) is expected


@pytest.mark.parametrize("amx", [False, True])
@pytest.mark.parametrize("avx512", [False, True])
def test_processors_have_them_as_tiles_or_as_dot_products(monkeypatch, amx, avx512):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    assert precision.multiplies_bfloat16(torch.device("cpu")) is (amx or avx512)
