import itertools

import pytest
import torch
from torch import nn

from foolscope.models import AllConv, build_model


def build(image_shape=(3, 32, 32), **values):
    return build_model(AllConv(normalization="none", **values), image_shape, 10, seed=0)


def test_the_published_network():
    """Springenberg et al. 2015, All-CNN-C of tables 1 and 2: 1.4 million parameters, averages of 6×6 maps."""
    model, sizes = build().eval(), []
    convolutions = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    for layer in convolutions:
        layer.register_forward_hook(lambda layer, inputs, output: sizes.append(output.shape[-1]))
    model(torch.rand(1, 3, 32, 32))
    assert [(each.kernel_size[0], each.stride[0], each.out_channels) for each in convolutions] == [
        *((3, 1, 96), (3, 1, 96), (3, 2, 96), (3, 1, 192), (3, 1, 192), (3, 2, 192)),
        *((3, 1, 192), (1, 1, 192), (1, 1, 10)),
    ]
    assert sizes == [32, 32, 16, 16, 16, 8, 6, 6, 6]
    widths = (3, 96, 96, 96, 192, 192, 192, 192)
    published = sum((9 * before + 1) * after for before, after in itertools.pairwise(widths))
    published += (192 + 1) * 192 + (192 + 1) * 10
    assert sum(parameter.numel() for parameter in model.parameters()) == published == 1_369_738


def test_dropout_acts_on_the_image_and_after_both_strides():
    model, rates = build((1, 16, 16), base_channels=8).train(), []
    for layer in model.modules():
        if type(layer).__name__ == "Dropout":
            layer.generator = torch.Generator().manual_seed(0)
            layer.register_forward_hook(
                lambda layer, inputs, output: rates.append(float((output[inputs[0] > 0] == 0).float().mean()))
            )
    model(torch.rand(8, 1, 16, 16))
    assert rates == pytest.approx([0.2, 0.5, 0.5], abs=0.05)


@pytest.mark.parametrize(
    ("image_shape", "sizes"), [((1, 28, 28), [14, 7, 5]), ((1, 8, 8), [4, 2, 2]), ((1, 1, 1), [1, 1, 1])]
)
def test_small_images(image_shape, sizes):
    model, found = build(image_shape, base_channels=2).eval(), []
    for position in (5, 12, 15):
        model.get_submodule(f"body.{position}").register_forward_hook(
            lambda layer, inputs, output: found.append(output.shape[-1])
        )
    model(torch.rand(1, *image_shape))
    assert found == sizes
