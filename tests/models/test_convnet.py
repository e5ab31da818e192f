import pytest
import torch
from torch import nn

from foolscope.models import ConvNet, build_model


def build(image_shape, **values):
    return build_model(ConvNet(normalization="none", **values), image_shape, 10, seed=0)


def test_the_network_for_fashion_mnist():
    model = build((1, 28, 28))
    shapes = [tuple(value.shape) for value in model.parameters() if value.dim() > 1]
    assert shapes == [(32, 1, 3, 3), (64, 32, 3, 3), (128, 64 * 7 * 7), (10, 128)]
    assert sum(value.numel() for value in model.parameters()) == 421_642


def test_it_computes_what_the_formula_says():
    model, images = build((3, 10, 9), channels=(4, 5, 6), dropout=0.5).eval(), torch.rand(4, 3, 10, 9)
    layers = [each for each in model.modules() if isinstance(each, nn.Conv2d | nn.Linear)]
    maps = images
    for layer in layers[:3]:
        maps = nn.functional.max_pool2d(layer(maps), 2).clamp_min(0)
    torch.testing.assert_close(model(images), layers[4](layers[3](maps.flatten(1)).clamp_min(0)))


@pytest.mark.parametrize(
    ("image_shape", "features"), [((1, 8, 8), 4), ((1, 17, 4), 4), ((1, 5, 1), 5), ((3, 20, 31), 35)]
)
def test_pooling_stops_at_maps_of_one_pixel(image_shape, features):
    model = build(image_shape)
    assert (
        model.get_parameter(f"body.{len(model.get_submodule('body')) - 4}.weight").shape[1] == 64 * features
    )
    assert model(torch.rand(2, *image_shape)).shape == (2, 10)
