import pytest
import torch
from torch import nn

from foolscope.core.modes import differentiable, frozen


def state(model):
    return [each.training for each in model.modules()], [each.requires_grad for each in model.parameters()]


@pytest.mark.parametrize(("put", "gradients"), [(frozen, False), (differentiable, True)])
def test_mode_and_gradients_are_as_said_and_restored_whatever_happens(put, gradients):
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(), nn.Linear(2, 1)).train()
    model[1].eval()
    model[0].weight.requires_grad_(False)
    model.register_parameter("count", nn.Parameter(torch.zeros(1, dtype=torch.int64), requires_grad=False))
    before = state(model)

    def interrupted():
        with put(model):
            assert state(model)[0] == [False] * 4
            assert [each.requires_grad for each in model[0].parameters()] == [gradients] * 2
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        interrupted()
    assert state(model) == before
