"""Gradients of the graph against derivations by hand and against the plain gradients of PyTorch."""

import math
import warnings

import pytest
import torch
from small_models import SMALL_MODELS
from torch import nn

from foolscope import reference
from foolscope.core.errors import RecipeError
from foolscope.inspection.gradients.mirroring import described, state_of
from foolscope.inspection.graph.computational_graph import computational_graph
from foolscope.models import MODELS, build_model

CLASSES = 4


def batch(count=6, shape=(1, 8, 8)):
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(count, *shape, generator=generator, dtype=torch.float64)
    return images, torch.randint(CLASSES, (count,), generator=generator)


def model_of(name, **settings):
    chosen = MODELS[name].settings(normalization="half", **settings)
    return build_model(chosen, (1, 8, 8), CLASSES, seed=0).double()


def made_by(graph, operation, which=0):
    return [node for node in graph.nodes if node.operation == operation][which]


def edge_into(graph, operation, which=0):
    end = graph.nodes.index(made_by(graph, operation))
    return [edge for edge in graph.edges if edge.end == end][which]


def test_one_affine_layer_is_as_derived_by_hand():
    """G = softmax(z) − y by the logits, G W by the inputs, Gᵀ x / n and Σ G / n by the parameters."""
    images, labels = batch()
    affine = nn.Linear(64, CLASSES).double()
    graph = computational_graph(nn.Sequential(nn.Flatten(), affine), images, labels)
    inputs, count = images.flatten(1), len(images)
    weights, offsets = affine.weight.detach(), affine.bias.detach()
    logits = inputs @ weights.T + offsets
    by_logits = torch.softmax(logits, dim=1) - nn.functional.one_hot(labels, CLASSES)
    by_inputs = by_logits @ weights
    assert [node.operation for node in graph.nodes] == [
        *("images", "Flatten", "weight", "bias", "Linear", "labels", "loss")
    ]
    layer, weight = made_by(graph, "Linear"), made_by(graph, "weight")
    assert (layer.name, layer.shape, weight.shape) == ("1", [CLASSES], [CLASSES, 64])
    assert layer.mean == pytest.approx(float(logits.mean()))
    assert layer.deviation == pytest.approx(float(logits.std(correction=0)))
    assert layer.gradient == pytest.approx(float(by_logits.norm()) / math.sqrt(count))
    assert made_by(graph, "images").gradient == pytest.approx(float(by_inputs.norm()) / math.sqrt(count))
    assert weight.gradient == pytest.approx(float((by_logits.T @ inputs).norm()) / count)
    assert made_by(graph, "bias").gradient == pytest.approx(float(by_logits.sum(0).norm()) / count)
    assert weight.norm == pytest.approx(float(weights.norm()))
    assert edge_into(graph, "Linear").gain == pytest.approx(float(by_inputs.norm() / by_logits.norm()))
    assert edge_into(graph, "Linear", 1).gradient == weight.gradient
    assert made_by(graph, "loss").mean == pytest.approx(float(nn.functional.cross_entropy(logits, labels)))


@pytest.mark.parametrize("name", ["mlp", "small-cnn", "lstm"])
def test_layers_have_the_gradients_derived_by_hand(name):
    model, (images, labels) = model_of(name), batch()
    graph = computational_graph(model, images, labels)
    network = reference.reference_network(described(model))
    loss, parameters = reference.CrossEntropy(), state_of(model)
    outputs, cache = network.forward(parameters, images.numpy())
    gradient = loss.backward(loss.forward(outputs, labels.numpy())[1])
    found = {each.name: each for each in network.backwards(parameters, cache, gradient)}
    for place, node in enumerate(graph.nodes):
        if node.kind == "layer":
            before = next(edge for edge in graph.edges if edge.end == place)
            size = float((found[node.name].inputs ** 2).sum()) ** 0.5 * math.sqrt(len(images))
            assert before.gradient == pytest.approx(size)
            assert graph.nodes[before.start].gradient == pytest.approx(size)
        elif node.kind == "parameter":
            own = found[node.name.rpartition(".")[0]].parameters[node.name]
            assert node.gradient == pytest.approx(float((own**2).sum()) ** 0.5)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_of_ours_can_be_followed(name):
    model, (images, labels) = model_of(name, **SMALL_MODELS.get(name, {})).train(), batch()
    before, state = str(model), torch.random.get_rng_state()
    graph = computational_graph(model, images, labels)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(module.training for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert str(model) == before
    model.eval()
    images.requires_grad_()
    names, parameters = zip(*model.named_parameters(), strict=True)
    loss = nn.functional.cross_entropy(model(images), labels)
    by_images, *gradients = torch.autograd.grad(loss, [images, *parameters])
    found = {node.name: node for node in graph.nodes if node.kind == "parameter"}
    assert set(found) == set(names)
    for own, gradient in zip(names, gradients, strict=True):
        assert found[own].gradient == pytest.approx(float(gradient.norm()))
    assert graph.nodes[0].gradient == pytest.approx(float(by_images.norm()) * math.sqrt(len(images)))
    assert all(edge.start < edge.end for edge in graph.edges)


class Residual(nn.Module):
    """x + a x, a way each."""

    def __init__(self, factor):
        super().__init__()
        self.way = nn.Linear(64, 64, bias=False).double()
        self.way.weight.data = factor * torch.eye(64, dtype=torch.float64)

    def forward(self, images):
        inputs = images.flatten(1)
        return (inputs + self.way(inputs))[:, :CLASSES]


@pytest.mark.parametrize("factor", [0.5, -0.25, -1.0])
def test_what_flows_back_along_both_ways_of_a_residual_adds_up(factor):
    graph = computational_graph(Residual(factor), *batch())
    place = graph.nodes.index(made_by(graph, "flatten"))
    straight, around = sorted(
        (edge for edge in graph.edges if edge.start == place), key=lambda each: -each.end
    )
    total = made_by(graph, "+")
    assert straight.gradient == pytest.approx(total.gradient)
    assert around.gradient == pytest.approx(abs(factor) * total.gradient)
    assert graph.nodes[place].gradient == pytest.approx(abs(1 + factor) * total.gradient, abs=1e-12)


class Odd(nn.Module):
    """Writes over tensors, uses a layer twice and a parameter of its own, branches, returns early."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(1, 4, 3, padding=1)
        self.rectifier = nn.ReLU(inplace=True)
        self.mix = nn.Linear(64, 64)
        self.scale = nn.Parameter(torch.ones(4, 1))
        self.unused = nn.Linear(3, 3)
        self.out = nn.Linear(64, CLASSES)

    def forward(self, images):
        before = self.convolution(images)
        hidden = self.rectifier(before) + before
        hidden *= 0.5
        hidden[:, :1] = hidden[:, 1:2]
        tokens = hidden.flatten(2) * self.scale
        if tokens.sum() > -1e9:
            tokens = self.mix(torch.tanh(self.mix(tokens)))
        self.unused(images[:, 0, :3, :3])
        gathered = torch.zeros_like(tokens[:, 0])
        for place in range(tokens.shape[1]):
            gathered += tokens[:, place] / tokens.shape[1]
        return self.out(gathered)


def test_anyones_module_is_followed_as_it_runs():
    images, labels = batch()
    with torch.random.fork_rng(devices=[]):
        model = Odd().double()
    graph = computational_graph(model, images, labels)
    loss = nn.functional.cross_entropy(model(images), labels)
    used = {name: each for name, each in model.named_parameters() if not name.startswith("unused")}
    gradients = torch.autograd.grad(loss, list(used.values()))
    found = {node.name: node.gradient for node in graph.nodes if node.kind == "parameter"}
    assert found == pytest.approx(
        {name: float(each.norm()) for name, each in zip(used, gradients, strict=True)}
    )
    assert made_by(graph, "loss").mean == pytest.approx(loss.item())
    assert [node.operation for node in graph.nodes if node.kind in ("layer", "operation")] == [
        *("Conv2d", "ReLU", "+", "×", "getitem", "setitem", "flatten", "×", "Linear", "tanh", "Linear"),
        *["getitem", "÷", "+"] * 4,
        "Linear",
    ]
    sum_ = graph.nodes.index(made_by(graph, "+"))
    rectifier = graph.nodes.index(made_by(graph, "ReLU"))
    assert [edge.start for edge in graph.edges if edge.end == sum_] == [rectifier, rectifier]
    shared = next(place for place, node in enumerate(graph.nodes) if node.name == "mix.weight")
    assert [edge.gradient for edge in graph.edges if edge.start == shared] == [None, None]


def test_parts_of_a_model_can_count_as_one_layer():
    model, (images, labels) = model_of("resnet", channels=(4, 8)), batch()
    whole = computational_graph(model, images, labels, level=2)
    full = computational_graph(model, images, labels)
    blocks = [node for node in whole.nodes if node.operation == "ResidualBlock"]
    inside = {node.name: node for node in full.nodes if node.kind != "operation"}
    assert [node.gradient for node in blocks] == pytest.approx(
        [inside[f"{node.name}.activation"].gradient for node in blocks]
    )
    assert {node.name for node in whole.nodes if node.kind == "parameter"} == {
        name for name, _ in model.named_parameters()
    }


class Part(nn.Module):
    def forward(self, images):
        scores = images.flatten(1)[:, :CLASSES] * 1
        scores[:, 0].mul_(7)
        return scores


class PartOfZeros(nn.Module):
    def forward(self, images):
        scores = torch.zeros(len(images), CLASSES, dtype=images.dtype)
        scores[:, 0].add_(images[:, 0, 0, 0])
        return scores + images.mean()


def traced():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated; people still have it
        return torch.jit.trace(nn.Flatten(), torch.zeros(2, 1, 8, 8))


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (Part, "computes something else"),
        (PartOfZeros, "a part of a tensor"),
        (traced, "TorchScript"),
        (nn.Conv3d, "cannot be followed"),
    ],
)
def test_a_model_that_cannot_be_followed_is_refused(build, words):
    model = build(1, 1, 9) if build is nn.Conv3d else build()
    with pytest.raises(RecipeError, match=words):
        computational_graph(model, *batch())
