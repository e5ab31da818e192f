import pydantic
import pytest
import torch
from torch import nn

from foolscope.core.errors import RecipeError
from foolscope.models import SmallCNN, build_model


def build(image_shape, classes=10, **values):
    return build_model(SmallCNN(normalization="none", **values), image_shape, classes, seed=0)


def test_the_published_network():
    """conv 3→8 of 5×5, conv 8→16 of 3×3, affine 576→120→84→10."""
    model = build((3, 32, 32))
    shapes = {name: tuple(value.shape) for name, value in model.named_parameters() if value.dim() > 1}
    assert list(shapes.values()) == [(8, 3, 5, 5), (16, 8, 3, 3), (120, 576), (84, 120), (10, 84)]
    published = (3 * 25 + 1) * 8 + (8 * 9 + 1) * 16 + (576 + 1) * 120 + (120 + 1) * 84 + (84 + 1) * 10
    assert published == 82_030
    assert sum(value.numel() for value in model.parameters()) == published


def test_it_computes_what_the_formula_says():
    model, images = build((3, 32, 32)), torch.rand(4, 3, 32, 32)
    layer = [each for each in model.modules() if isinstance(each, nn.Conv2d | nn.Linear)]
    maps = nn.functional.max_pool2d(layer[0](images).clamp_min(0), 2)
    maps = nn.functional.max_pool2d(layer[1](maps).clamp_min(0), 2)
    features = layer[3](layer[2](maps.reshape(4, -1)).clamp_min(0)).clamp_min(0)
    torch.testing.assert_close(model(images), layer[4](features))


@pytest.mark.parametrize(
    ("image_shape", "features"),
    [((1, 8, 8), 2 * 2), ((1, 4, 4), 1), ((1, 28, 28), 5 * 5), ((3, 16, 16), 2 * 2), ((3, 15, 40), 3 * 10)],
)
def test_small_images_are_padded(image_shape, features):
    model = build(image_shape)
    assert model.get_parameter("body.7.weight").shape == (120, 16 * features)
    assert model(torch.rand(2, *image_shape)).shape == (2, 10)


@pytest.mark.parametrize("image_shape", [(1, 3, 3), (3, 3, 32), (1, 32, 2)])
def test_images_that_are_too_small_are_one_line(image_shape):
    with pytest.raises(RecipeError, match="needs images of at least 4×4 pixels; got"):
        build(image_shape)


def test_settings():
    model = build((3, 32, 32), 2, channels=(4, 6), units=(20, 10))
    assert model.get_parameter("body.3.weight").shape == (6, 4, 3, 3)
    assert model.get_parameter("body.13.weight").shape == (2, 10)
    for wrong in ({"channels": (0, 8)}, {"units": (120, -1)}, {"channels": (8,)}, {"dropout": 1.0}):
        with pytest.raises(pydantic.ValidationError):
            SmallCNN(**wrong)


def test_dropout_acts_after_both_hidden_layers():
    model, images = build((1, 8, 8), dropout=0.5).train(), torch.rand(2, 1, 8, 8)
    seen = []
    for layer in model.modules():
        if type(layer).__name__ == "Dropout":
            layer.generator = torch.Generator().manual_seed(0)
            layer.register_forward_hook(
                lambda layer, inputs, output: seen.append((output == 0).sum(1).tolist())
            )
    model(images)
    assert len(seen) == 2
    for zeros in seen:
        assert min(zeros) > 20
