"""Attention against PyTorch's own layers, and how images become tokens."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from foolscope.core.errors import RecipeError
from foolscope.data import load
from foolscope.experiments.recipe import recipe_from
from foolscope.learning import train_pack
from foolscope.models import Attention, VisionTransformer, build_model
from foolscope.models.attention import Patches
from foolscope.models.attention_layers import SelfAttention, TransformerBlock


def tokens(count=3, number=5, width=8):
    return torch.randn(count, number, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_self_attention_is_that_of_pytorch():
    ours, theirs = SelfAttention(8, 2).double(), nn.MultiheadAttention(8, 2, batch_first=True).double()
    theirs.in_proj_weight.data, theirs.in_proj_bias.data = (
        ours.projection.weight.data,
        ours.projection.bias.data,
    )
    theirs.out_proj.load_state_dict(ours.output.state_dict())
    inputs = tokens()
    expected, weights = theirs(inputs, inputs, inputs, average_attn_weights=False)
    torch.testing.assert_close(ours(inputs), expected)
    torch.testing.assert_close(ours.weights(inputs), weights)
    queries, keys, values = (
        part.unflatten(-1, (2, 4)).transpose(1, 2) for part in ours.projection(inputs).chunk(3, -1)
    )
    mixed = functional.scaled_dot_product_attention(queries, keys, values)
    torch.testing.assert_close(ours(inputs), ours.output(mixed.transpose(1, 2).flatten(2)))


def test_a_block_is_that_of_pytorch():
    ours = TransformerBlock(8, 2, hidden=12, dropout=0.0).double()
    theirs = nn.TransformerEncoderLayer(
        8, 2, dim_feedforward=12, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    ).double()
    theirs.self_attn.in_proj_weight.data = ours.attention.projection.weight.data
    theirs.self_attn.in_proj_bias.data = ours.attention.projection.bias.data
    theirs.self_attn.out_proj.load_state_dict(ours.attention.output.state_dict())
    norm, into, _, out, _ = ours.perceptron
    for own, other in (
        (theirs.norm1, ours.norm),
        (theirs.norm2, norm),
        (theirs.linear1, into),
        (theirs.linear2, out),
    ):
        own.load_state_dict(other.state_dict())
    torch.testing.assert_close(ours(tokens()), theirs.train()(tokens()))


def test_patches_are_cut_row_by_row_and_completed_with_zeros():
    images = torch.rand(2, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    patches = Patches(3)(images)
    assert patches.shape == (2, 2 * 3, 3 * 9)
    whole = torch.zeros(2, 3, 6, 9)
    whole[:, :, :5, :7] = images
    for row in range(2):
        for column in range(3):
            own = whole[:, :, 3 * row : 3 * row + 3, 3 * column : 3 * column + 3]
            assert torch.equal(patches[:, 3 * row + column], own.flatten(1))


def build(settings, image_shape=(1, 6, 5)):
    return build_model(settings.model_copy(update={"normalization": "half"}), image_shape, 3, seed=0)


NETWORKS = pytest.mark.parametrize(
    ("settings", "shape"),
    [
        (Attention(hidden=8, layers=2), (2, 4, 4, 6, 6)),
        (VisionTransformer(hidden=8, depth=3, heads=2, patch=2), (3, 4, 2, 10, 10)),
        (VisionTransformer(hidden=8, depth=1, heads=1, patch=3, pool="mean"), (1, 4, 1, 4, 4)),
    ],
)


@NETWORKS
def test_attention_weights_sum_to_one_over_the_keys(settings, shape):
    model, images = build(settings), torch.rand(4, 1, 6, 5)
    body = model.get_submodule("body")
    weights = body.attention_weights(model.get_submodule("normalization")(images))
    assert weights.shape == shape
    assert weights.min() >= 0
    torch.testing.assert_close(weights.sum(-1), torch.ones(shape[:-1]))
    assert weights.std() > 0


@NETWORKS
def test_the_weights_are_those_of_the_forward_pass(settings, shape):
    """What each block mixes is its weights times its values."""
    model, images = build(settings), torch.rand(4, 1, 6, 5)
    body, mixed = model.get_submodule("body"), []
    for block in body.blocks:
        block.attention.projection.register_forward_hook(lambda layer, inputs, output: mixed.append(output))
        block.attention.output.register_forward_pre_hook(lambda layer, inputs: mixed.append(inputs[0]))
    model(images)
    recorded = list(mixed)
    weights = body.attention_weights(model.get_submodule("normalization")(images))
    for own, projected, result in zip(weights, recorded[::2], recorded[1::2], strict=True):
        values = projected.chunk(3, -1)[2].unflatten(-1, (own.shape[1], -1)).transpose(1, 2)
        torch.testing.assert_close((own @ values).transpose(1, 2).flatten(2), result)


def test_without_positions_the_order_of_rows_would_not_count():
    model, images = build(Attention(hidden=8)), torch.rand(4, 1, 6, 5)
    turned = images.flip(2)
    assert not torch.allclose(model(images), model(turned), atol=1e-5)
    with torch.no_grad():
        model.get_parameter("body.embedding.2.position").zero_()
    torch.testing.assert_close(model(images), model(turned))


@pytest.mark.parametrize("settings", [Attention(hidden=10, heads=4), VisionTransformer(hidden=10, heads=4)])
def test_heads_that_do_not_divide_the_width_are_one_line(settings):
    with pytest.raises(
        RecipeError, match=r"heads must divide the width 10 of a token; got 4\. Choose one of 1, 2, 5, 10"
    ):
        build(settings)


def test_dropout_acts_in_the_embedding_and_twice_in_a_block():
    model = build(VisionTransformer(hidden=8, depth=2, heads=2, dropout=0.5)).train()
    calls = []
    for layer in model.modules():
        if type(layer).__name__ == "Dropout":
            layer.generator = torch.Generator().manual_seed(0)
            layer.register_forward_hook(
                lambda layer, inputs, output: calls.append((output == 0).float().mean())
            )
    model(torch.rand(4, 1, 6, 5))
    assert len(calls) == 1 + 2 * 2
    assert min(calls) > 0.2


@pytest.mark.parametrize(
    "model",
    [
        {"name": "vit", "patch": 4, "hidden": 32, "depth": 1, "heads": 2, "pool": "mean"},
        {"name": "attention", "hidden": 32},
    ],
)
def test_it_learns_digits(model):
    fields = {
        "training": {"epochs": 5, "batch_size": 32},
        "optimizer": {"name": "adam", "learning_rate": 0.005},
    }
    recipe = recipe_from({"model": model, "precision": "float32", **fields})
    (outcome,) = train_pack([recipe], load(recipe.dataset))
    assert outcome.metrics["test_accuracy"] > 0.9
