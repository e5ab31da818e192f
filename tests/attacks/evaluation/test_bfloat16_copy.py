import copy

import pytest
import torch
from torch import nn

from foolscope.attacks.evaluation import bfloat16_copy as module
from foolscope.attacks.evaluation.bfloat16_copy import bfloat16_copy


@pytest.fixture(autouse=True)
def _a_machine_that_multiplies_bfloat16(monkeypatch):
    monkeypatch.setattr(module, "multiplies_bfloat16", lambda device: True)


@pytest.fixture
def setting(make_network, make_images):
    model, images = make_network(1, 6, 5, 3).eval().float(), make_images(40, 1, 6, 5).float()
    with torch.no_grad():
        return model, images, model(images)


def test_the_copy_says_nearly_the_same_and_the_model_stays(setting):
    model, images, logits = setting
    before = copy.deepcopy(model.state_dict())
    rough, asked = bfloat16_copy(*setting)
    assert asked == 40
    found = rough(images)
    assert found.dtype == torch.float32
    assert 0 < (found - logits).abs().max() < 0.05 * logits.abs().max()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_no_copy_where_it_would_say_something_else(setting):
    model, images, logits = setting
    assert bfloat16_copy(model, images, -logits) == (None, 40)


class Refusing(nn.Module):
    def __deepcopy__(self, memo):
        raise RuntimeError


def test_no_copy_where_none_can_be_had(setting, monkeypatch):
    model, images, logits = setting
    assert bfloat16_copy(Refusing(), images, logits) == (None, 0)
    assert bfloat16_copy(model.double(), images.double(), logits.double()) == (None, 0)
    assert bfloat16_copy(model, images[:0], logits[:0]) == (None, 0)
    monkeypatch.setattr(module, "multiplies_bfloat16", lambda device: False)
    assert bfloat16_copy(model.float(), images, logits) == (None, 0)
