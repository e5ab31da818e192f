"""Networks of the reference are our torch models: outputs, gradients, statistics, both modes."""

import numpy as np
import pytest
import torch
from mirrored import model_of
from small_models import NOT_MIRRORED
from torch.nn import functional

from foolscope.core.errors import RecipeError
from foolscope.inspection.gradients.mirroring import described, state_of
from foolscope.models import MODELS
from foolscope.reference import (
    Affine,
    CrossEntropy,
    Dropout,
    FrozenBatchNormalization,
    Identity,
    Network,
    ReLU,
    in_evaluation,
    loss_gradients,
    parameter_gradients,
    reference_network,
    relative_error,
    running_statistics,
)

SETTINGS = [
    ("softmax", {}),
    ("linear-regression", {"normalization": "none"}),
    ("mlp", {"hidden": (7, 5)}),
    *(("mlp", {"hidden": (6,), "activation": name}) for name in ("tanh", "sigmoid", "gelu")),
    ("small-cnn", {"channels": (2, 3), "units": (6, 5)}),
    ("resnet", {"channels": (3, 4), "blocks": 2}),
    *(("rnn", {"hidden": 6, "activation": name}) for name in ("tanh", "relu", "linear")),
    ("lstm", {"hidden": 5}),
    ("convnet", {"channels": (2, 3), "units": 5}),
    ("all-conv", {"base_channels": 3, "input_dropout": 0.0, "dropout": 0.0}),
]
every_model = pytest.mark.parametrize(
    ("name", "settings"),
    SETTINGS,
    ids=["-".join([name, *map(str, each.values())]) for name, each in SETTINGS],
)


def batch(shape=(3, 9, 8), count=5, classes=4):
    generator = np.random.default_rng(3)
    return generator.random((count, *shape)), generator.integers(classes, size=count)


def test_every_model_is_mirrored():
    assert {name for name, _ in SETTINGS} == MODELS.keys() - NOT_MIRRORED


@every_model
@pytest.mark.parametrize("training", [True, False])
def test_a_model_of_ours(name, settings, training):
    model = model_of(name, **settings).train(training)
    network, parameters = reference_network(described(model)), state_of(model)
    if not training:
        network = in_evaluation(network)
    images, labels = batch()
    own = loss_gradients(network, CrossEntropy(0.1), parameters, images, labels)

    leaf = torch.from_numpy(images).requires_grad_()
    loss = functional.cross_entropy(model(leaf), torch.from_numpy(labels), label_smoothing=0.1)
    by_leaf, *by_parameters = torch.autograd.grad(loss, [leaf, *model.parameters()])
    assert own.loss == pytest.approx(loss.item(), rel=1e-12)
    assert relative_error(own.inputs, by_leaf.numpy()) <= 1e-12
    names = [key for key, _ in model.named_parameters()]
    assert sorted(own.parameters) == sorted(names)
    for key, gradient in zip(names, by_parameters, strict=True):
        assert relative_error(own.parameters[key], gradient.numpy()) <= 1e-12, key


@every_model
def test_running_statistics_are_those_of_the_model(name, settings):
    model = model_of(name, **settings)
    network, parameters = reference_network(described(model)), state_of(model)
    images, _ = batch()
    _, cache = network.forward(parameters, images)
    renewed = running_statistics(network, parameters, cache)
    model.train()(torch.from_numpy(images))
    after = state_of(model)
    assert renewed.keys() == {key for key in after if "running" in key}
    for key, value in renewed.items():
        assert relative_error(value, after[key]) <= 1e-14
        assert relative_error(value, parameters[key]) > 1e-3, "the batch has changed nothing"


@every_model
def test_parameter_gradients_are_those_of_the_whole_backward_pass(name, settings):
    model = model_of(name, **settings)
    network, parameters = reference_network(described(model)), state_of(model)
    outputs, cache = network.forward(parameters, batch()[0])
    output_gradient = np.random.default_rng(0).normal(size=outputs.shape)
    _, whole = network.backward(parameters, cache, output_gradient)
    shortened = parameter_gradients(network, parameters, cache, output_gradient)
    assert shortened.keys() == whole.keys()
    for key, gradient in whole.items():
        assert np.array_equal(shortened[key], gradient)


def test_gradients_come_layer_by_layer_from_the_last():
    model = model_of("mlp", hidden=(5,))
    network, parameters = reference_network(described(model)), state_of(model)
    outputs, cache = network.forward(parameters, batch()[0])
    backwards = list(network.backwards(parameters, cache, np.ones_like(outputs)))
    assert [each.name for each in backwards] == [name for name, _ in reversed(network.layers)]
    own = {each.name: list(each.parameters) for each in backwards if each.parameters}
    assert own == {name: [f"{name}.weight", f"{name}.bias"] for name in ("body.4", "body.1")}
    assert np.array_equal(backwards[-1].inputs, network.backward(parameters, cache, np.ones_like(outputs))[0])


def test_a_network_without_anything_to_learn():
    network = reference_network([{"layer": "flatten", "name": "0"}])
    outputs, cache = network.forward({}, np.ones((2, 1, 2, 2)))
    assert parameter_gradients(network, {}, cache, outputs) == {}


def test_names_that_begin_alike_are_kept_apart():
    network = Network((("1", Affine()), ("11", Affine())))
    parameters = {"1.weight": np.full((2, 3), 2.0), "11.weight": np.full((1, 2), 5.0)}
    outputs, cache = network.forward(parameters, np.ones((1, 3)))
    assert outputs == 60
    gradients = network.backward(parameters, cache, np.ones((1, 1)))[1]
    assert {name: gradient.shape for name, gradient in gradients.items()} == {
        "1.weight": (2, 3),
        "11.weight": (1, 2),
    }


def test_evaluation_fixes_statistics_and_drops_nothing_at_any_depth():
    network = reference_network(
        [
            {
                "layer": "residual",
                "name": "0",
                "branch": [{"layer": "batch-normalization", "name": "0", "epsilon": 0.5}],
                "shortcut": [{"layer": "dropout", "name": "0", "rate": 0.5, "uniforms": np.ones}],
            },
            {"layer": "relu", "name": "1"},
        ]
    )
    (_, residual), (_, last) = in_evaluation(network).layers
    assert residual.branch.layers == (("0", FrozenBatchNormalization(0.5)),)
    assert residual.shortcut.layers == (("0", Identity()),)
    assert last == ReLU()
    assert isinstance(network.layers[0][1].shortcut.layers[0][1], Dropout)


def test_two_layers_of_one_name_are_refused():
    with pytest.raises(ValueError, match="got twice: 0"):
        Network((("0", ReLU()), ("1", ReLU()), ("0", ReLU())))


def test_a_layer_that_is_not_in_the_table_gets_the_nearest_name():
    with pytest.raises(
        RecipeError, match=r"no layer 'convolutoin' has been derived by hand. Did you mean 'convolution'"
    ):
        reference_network([{"layer": "convolutoin", "name": "0"}])
