import pydantic
import pytest
import torch
from torch import nn

from foolscope.models import MLP, build_model


@pytest.mark.parametrize("hidden", [(), (7,), (7, 5), (7, 5, 9)])
def test_widths(hidden):
    model = build_model(MLP(hidden=hidden, normalization="none"), (2, 3, 4), 6, seed=0)
    layers = [each for each in model.modules() if isinstance(each, nn.Linear)]
    widths = (24, *hidden, 6)
    assert [tuple(layer.weight.shape) for layer in layers] == list(zip(widths[1:], widths[:-1], strict=True))


@pytest.mark.parametrize(
    ("name", "function"),
    [("relu", torch.relu), ("tanh", torch.tanh), ("sigmoid", torch.sigmoid), ("gelu", nn.functional.gelu)],
)
def test_the_activation_stands_between_affine_layers(name, function):
    model = build_model(MLP(hidden=(7, 5), activation=name, normalization="none"), (2, 3, 4), 6, seed=0)
    first, second, third = (each for each in model.modules() if isinstance(each, nn.Linear))
    images = torch.rand(5, 2, 3, 4)
    expected = third(function(second(function(first(images.reshape(5, 24))))))
    torch.testing.assert_close(model(images), expected)


def test_one_number_is_one_hidden_layer():
    assert MLP(hidden=50) == MLP(hidden=(50,)) == MLP(hidden=[50])


@pytest.mark.parametrize(
    "wrong", [{"hidden": 0}, {"hidden": [5, -1]}, {"hidden": True}, {"hidden": "x"}, {"dropout": 1}]
)
def test_wrong_settings(wrong):
    with pytest.raises(pydantic.ValidationError):
        MLP(**wrong)
