"""ResNet-18, 34 and 50 against MONAI's, torchvision's names and shapes, and formulas."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from foolscope.core.errors import RecipeError
from foolscope.models import MODELS, build_model, from_torchvision
from foolscope.models.residual_blocks import Block, BlockOptions, basic_plan, bottleneck_plan

BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3)}
PUBLISHED = {"resnet18": (122, 11_689_512), "resnet34": (218, 21_797_672), "resnet50": (320, 25_557_032)}
"""Keys of torchvision's state dicts, and its parameters for 1000 classes."""


def build(name, image_shape=(3, 64, 64), classes=10, seed=0, **values):
    settings = MODELS[name].settings(normalization="none", **values)
    return build_model(settings, image_shape, classes, seed=seed)


def torchvision_shapes(name, classes):
    """The names and shapes of torchvision's state dict, by its rules."""
    shapes, expansion, before = {}, 4 if name == "resnet50" else 1, 64

    def norm(path, channels):
        shapes.update(
            {f"{path}.{each}": (channels,) for each in ("weight", "bias", "running_mean", "running_var")}
        )
        shapes[f"{path}.num_batches_tracked"] = ()

    shapes["conv1.weight"] = (64, 3, 7, 7)
    norm("bn1", 64)
    for stage, blocks in enumerate(BLOCKS[name]):
        width = 64 * 2**stage
        kernels = (1, 3, 1) if expansion == 4 else (3, 3)
        for block in range(blocks):
            path, channels = f"layer{stage + 1}.{block}", before
            for position, kernel in enumerate(kernels, 1):
                outputs = width * expansion if position == len(kernels) else width
                shapes[f"{path}.conv{position}.weight"] = (outputs, channels, kernel, kernel)
                norm(f"{path}.bn{position}", outputs)
                channels = outputs
            if channels != before:
                shapes[f"{path}.downsample.0.weight"] = (channels, before, 1, 1)
                norm(f"{path}.downsample.1", channels)
            before = channels
    return shapes | {"fc.weight": (classes, before), "fc.bias": (classes,)}


@pytest.mark.parametrize("name", PUBLISHED)
def test_names_and_shapes_are_torchvisions(name):
    with torch.device("meta"):  # shapes only
        body = MODELS[name].build(MODELS[name].settings(stem="large"), (3, 224, 224), 1000)
    found = {key: tuple(value.shape) for key, value in body.state_dict().items()}
    assert found == torchvision_shapes(name, 1000)
    assert (len(found), sum(each.numel() for each in body.parameters())) == PUBLISHED[name]


@pytest.mark.parametrize(
    ("name", "stem"), [("resnet18", "large"), ("resnet34", "small"), ("resnet50", "large")]
)
def test_the_logits_are_those_of_another_implementation_with_these_weights(name, stem):
    nets = pytest.importorskip("monai.networks.nets")
    small = {"conv1_t_size": 3, "conv1_t_stride": 1, "no_max_pool": True}
    options = small if stem == "small" else {"conv1_t_size": 7, "conv1_t_stride": 2}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        theirs = getattr(nets, name)(
            spatial_dims=2, n_input_channels=3, num_classes=7, bias_downsample=False, **options
        )
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for key, value in theirs.state_dict().items():
            if "bn" in key or "downsample.1" in key:  # not at their initial values
                value.add_(torch.rand(value.shape, generator=generator).to(value.dtype))
    side = 32 if stem == "small" else 64
    ours = build(name, (3, side, side), 7, stem=stem)
    ours.load_state_dict(from_torchvision(ours, theirs.state_dict()))
    image = torch.rand(1, 3, side, side, generator=generator)
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(image), theirs.eval()(image), rtol=1e-4, atol=1e-4)


def test_weights_from_before_batches_were_counted_load():
    model, other = (build("resnet18", stem="large", base_channels=2, seed=seed) for seed in (0, 1))
    weights = other.get_submodule("body").state_dict()
    old = {key: value for key, value in weights.items() if not key.endswith("num_batches_tracked")}
    model.load_state_dict(from_torchvision(model, old))
    image = torch.rand(1, 3, 64, 64)
    assert torch.equal(model.eval()(image), other.eval()(image))


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda weights: weights.pop("fc.bias"), "fc.bias is absent in the weights and 10 in the model"),
        (
            lambda weights: weights.update(more=torch.ones(2)),
            "more is 2 in the weights and absent in the model",
        ),
        (lambda weights: weights.update({"fc.bias": torch.ones(3)}), "fc.bias is 3 in the weights and 10"),
    ],
)
def test_weights_of_another_network_are_one_line(change, line):
    model = build("resnet18", base_channels=2)
    weights = model.get_submodule("body").state_dict()
    change(weights)
    with pytest.raises(RecipeError, match=line):
        from_torchvision(model, weights)


def normalized(maps, layer):
    mean, variance = maps.mean((0, 2, 3), keepdim=True), maps.var((0, 2, 3), keepdim=True, correction=0)
    scale, shift = layer.weight[:, None, None], layer.bias[:, None, None]
    return (maps - mean) / (variance + layer.eps).sqrt() * scale + shift


def by_formula(block, order, x):
    """A basic block written out."""
    first, second, down = block.conv1, block.conv2, block.downsample
    if order == "norm-relu-conv":
        start = normalized(x, block.bn1).relu()
        branch = second(normalized(first(start), block.bn2).relu())
        return branch + (x if down is None else down[0](start))
    shortcut = x if down is None else normalized(down[0](x), down[1])
    if order == "conv-relu-norm":
        return normalized(second(normalized(first(x).relu(), block.bn1)).relu(), block.bn2) + shortcut
    return (normalized(second(normalized(first(x), block.bn1).relu()), block.bn2) + shortcut).relu()


@pytest.mark.parametrize("order", ["conv-norm-relu", "conv-relu-norm", "norm-relu-conv"])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_block_in_every_order(order, stride):
    block = Block(4, basic_plan(4, stride), BlockOptions(order)).double()
    assert (block.downsample is None) == (stride == 1)
    inputs = torch.rand(3, 4, 6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for layer in block.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.weight.data.add_(torch.arange(1.0, 5.0))
            layer.bias.data.sub_(0.3)
    torch.testing.assert_close(block(inputs), by_formula(block, order, inputs))


def test_a_bottleneck_strides_in_its_middle():
    block = Block(8, bottleneck_plan(3, 2), BlockOptions())
    convolutions = [layer for layer in block.modules() if isinstance(layer, nn.Conv2d)]
    assert [(each.kernel_size[0], each.stride[0], each.out_channels) for each in convolutions] == [
        (1, 1, 3),
        (3, 2, 3),
        (1, 1, 12),
        (1, 2, 12),
    ]


@pytest.mark.parametrize("order", ["conv-norm-relu", "conv-relu-norm", "norm-relu-conv"])
def test_a_plain_network_is_the_branch_alone(order):
    inputs = torch.rand(3, 4, 6, 5, generator=torch.Generator().manual_seed(0))
    with_skip, plain = (Block(4, basic_plan(4, 1), BlockOptions(order, skip)) for skip in (True, False))
    plain.load_state_dict(with_skip.state_dict())
    branch = plain(inputs)
    if order == "conv-norm-relu":
        assert not torch.allclose(with_skip(inputs), branch)
        assert branch.min() == 0
    else:
        torch.testing.assert_close(with_skip(inputs) - inputs, branch)
    names = dict(build("resnet18", base_channels=2, skip=False, order=order).named_parameters())
    assert not any("downsample" in name for name in names)


def test_blocks_start_as_their_shortcut_where_the_last_scale_is_zero():
    model = build("resnet18", (1, 8, 8), base_channels=3, zero_last_norm=True).eval()
    body = model.get_submodule("body")
    maps = functional.relu(body.bn1(body.conv1(torch.rand(2, 1, 8, 8))))
    assert torch.equal(body.layer1(maps), maps)
    assert body.layer1[0].bn1.weight.min() == 1
    second = body.layer2(maps)
    torch.testing.assert_close(second, body.layer2[0].downsample(maps).relu())


@pytest.mark.parametrize("wrong", [{"order": "norm-relu-conv"}, {"skip": False}])
def test_a_zero_scale_needs_a_skip_connection_and_a_last_normalization(wrong):
    with pytest.raises(
        RecipeError, match="zero_last_norm = true needs order = 'conv-norm-relu' and skip = true"
    ):
        build("resnet18", zero_last_norm=True, base_channels=2, **wrong)


@pytest.mark.parametrize(
    ("image_shape", "stem", "size"),
    [
        ((3, 32, 32), "small", (4, 4)),
        ((3, 32, 32), "large", (1, 1)),
        ((3, 224, 160), "large", (7, 5)),
        ((1, 8, 8), "large", (1, 1)),
        ((1, 17, 4), "small", (5, 1)),  # the last stage does not stride
        ((1, 1, 1), "large", (1, 1)),
    ],
)
def test_the_size_of_the_last_maps(image_shape, stem, size):
    body = build("resnet18", image_shape, base_channels=1, stem=stem).eval().get_submodule("body")
    seen = []
    body.layer4.register_forward_hook(lambda layer, inputs, output: seen.append(tuple(output.shape[2:])))
    body(torch.rand(1, *image_shape))
    assert seen == [size]
