import math

import numpy as np
import pytest
import torch
from small_models import SMALL_MODELS
from torch import nn

from foolscope import reference
from foolscope.core.errors import RecipeError
from foolscope.inspection.gradients.gradient_flow import flow_through_time
from foolscope.inspection.gradients.layer_flow import flow_by_layer
from foolscope.learning.losses import squared_error
from foolscope.models import LSTM, MLP, MODELS, RNN, Softmax, build_model
from foolscope.models.recurrent_layers import LSTMLayer, RNNLayer, Rows

STEPS, CLASSES = 9, 4
SHAPE = (2, STEPS, 3)


def model_of(settings, seed=0):
    plain = settings.model_copy(update={"normalization": "none"})
    return build_model(plain, SHAPE, CLASSES, seed=seed).double()


def layer_of(model):
    return next(layer for layer in model.modules() if isinstance(layer, RNNLayer | LSTMLayer))


def batch(count=6, seed=1):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, *SHAPE, generator=generator, dtype=torch.float64)
    return images, torch.randint(CLASSES, (count,), generator=generator)


def set_to(parameter, value):
    with torch.no_grad():
        parameter.copy_(value)


def orthogonal(units, norm, seed=0):
    generator = torch.Generator().manual_seed(seed)
    square = torch.randn(units, units, generator=generator, dtype=torch.float64)
    return norm * torch.linalg.qr(square).Q


def normal(shape, scale, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(shape, generator=generator, dtype=torch.float64)


# ------------------------------------------------------------------ through time


@pytest.mark.parametrize("norm", [0.25, 0.9, 1.0, 1.7])
def test_a_linear_recurrence_loses_or_gains_the_same_factor_every_step(norm):
    """∂L/∂h_t = (Uᵀ)^(T−t) Vᵀ (p − y), and an orthogonal matrix times a factor scales every vector by it."""
    model = model_of(RNN(hidden=12, activation="linear"))
    set_to(layer_of(model).weight_hh_l0, orthogonal(12, norm))
    images, labels = batch()
    flow = flow_through_time(model, images, labels)
    errors = torch.softmax(model(images), dim=1) - nn.functional.one_hot(labels, CLASSES)
    at_the_end = (errors @ model.get_parameter("body.3.weight")).norm(dim=1).mean()
    expected = norm ** np.arange(STEPS - 1.0, -1.0, -1.0) * float(at_the_end.detach())
    np.testing.assert_allclose(flow.hidden, expected, rtol=1e-12)
    np.testing.assert_allclose(flow.bound, expected, rtol=1e-12)
    assert flow.spectral_norm == pytest.approx(norm, rel=1e-12)
    assert flow.cell is None
    assert flow.memory is flow.hidden


@pytest.mark.parametrize("activation", ["linear", "tanh", "relu"])
@pytest.mark.parametrize("scale", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_nothing_exceeds_the_bound(activation, scale, seed):
    model = model_of(RNN(hidden=10, activation=activation), seed)
    set_to(layer_of(model).weight_hh_l0, normal((10, 10), scale, seed))
    flow = flow_through_time(model, *batch(seed=seed))
    assert flow.bound[-1] == flow.hidden[-1] > 0
    assert (flow.hidden <= flow.bound * (1 + 1e-12)).all()
    assert flow.hidden[0] < 0.9 * flow.bound[0], "a matrix that is not orthogonal does not attain it"


def test_the_bound_needs_the_spectral_norm_and_every_step():
    """Both would be exceeded with the largest entry for the norm, or with one step less."""
    model = model_of(RNN(hidden=10, activation="linear", spectral_norm=0.9))
    flow = flow_through_time(model, *batch())
    largest = float(layer_of(model).weight_hh_l0.detach().abs().max())
    assert flow.hidden[0] > flow.hidden[-1] * largest ** (STEPS - 1)
    assert flow.hidden[0] > flow.hidden[-1] * 0.9**STEPS


def reference_flow(model, layer, kind, images, labels):
    """The norms by the hand-derived backward passes of the reference."""
    parameters = {name: value.detach().numpy() for name, value in layer.named_parameters()}
    steps = Rows()(images).numpy()
    hidden, cache = kind.forward(parameters, steps)
    affine = {name: model.get_parameter(f"body.3.{name}").detach().numpy() for name in ("weight", "bias")}
    logits, affine_cache = reference.Affine().forward(affine, hidden[:, -1])
    _, loss_cache = reference.CrossEntropy().forward(logits, labels.numpy())
    by_logits = reference.CrossEntropy().backward(loss_cache) * len(images)
    by_last, _ = reference.Affine().backward(affine, affine_cache, by_logits)
    by_outputs = np.zeros_like(hidden)
    by_outputs[:, -1] = by_last
    return np.linalg.norm(kind.hidden_gradients(parameters, cache, by_outputs), axis=2).mean(axis=0)


@pytest.mark.parametrize("activation", ["linear", "tanh", "relu", "lstm"])
def test_it_is_the_gradient_derived_by_hand(activation):
    settings = LSTM(hidden=7) if activation == "lstm" else RNN(hidden=7, activation=activation)
    kind = reference.LSTM() if activation == "lstm" else reference.RNN(activation)
    model = model_of(settings)
    layer = layer_of(model)
    for parameter in layer.parameters():
        set_to(parameter, normal(parameter.shape, 0.5))
    images, labels = batch()
    expected = reference_flow(model, layer, kind, images, labels)
    np.testing.assert_allclose(flow_through_time(model, images, labels).hidden, expected, rtol=1e-11)


def test_the_cells_of_an_lstm_multiply_the_forget_gates():
    """Without recurrent weights ∂L/∂c_t = Π_{s>t} f_s ∂L/∂c_T, and c_T alone sees the loss."""
    model = model_of(LSTM(hidden=7, forget_bias=0.5))
    layer = layer_of(model)
    set_to(layer.weight_hh_l0, torch.zeros(28, 7))
    images, labels = batch()
    sums = Rows()(images) @ layer.weight_ih_l0.T + layer.bias_ih_l0
    _, forget, _, let_out = sums.detach().chunk(4, dim=2)
    with torch.no_grad():
        last = layer.unrolled(Rows()(images))[-1].cell
        errors = torch.softmax(model(images), dim=1) - nn.functional.one_hot(labels, CLASSES)
        by_cell = errors @ model.get_parameter("body.3.weight")
        by_cell = by_cell * torch.sigmoid(let_out[:, -1]) * (1 - torch.tanh(last) ** 2)
    expected = [
        float((by_cell * torch.sigmoid(forget[:, step + 1 :]).prod(dim=1)).norm(dim=1).mean())
        for step in range(STEPS)
    ]
    flow = flow_through_time(model, images, labels)
    np.testing.assert_allclose(flow.cell, expected, rtol=1e-12)
    np.testing.assert_array_equal(flow.hidden[:-1], 0.0)
    assert flow.memory is flow.cell
    assert flow.bound is None


def test_a_large_forget_bias_keeps_the_gradient_and_a_small_one_loses_it():
    def kept(bias):
        model = model_of(LSTM(hidden=12, forget_bias=bias))
        for weight in (layer_of(model).weight_hh_l0, layer_of(model).weight_ih_l0):
            set_to(weight, 0.03 * weight)
        cell = flow_through_time(model, *batch()).cell
        return cell[0] / cell[-1]

    def gate(bias):
        return 1 / (1 + math.exp(-bias))

    assert kept(20.0) == pytest.approx(1.0, abs=0.1)
    for bias in (0.0, 1.0, 2.0):
        assert kept(bias) == pytest.approx(gate(bias) ** (STEPS - 1), rel=0.35)


def test_means_over_images_do_not_depend_on_how_many_there_are():
    model, (images, labels) = model_of(RNN(hidden=5)), batch(4)
    alone = [flow_through_time(model, images[[n]], labels[[n]]) for n in range(4)]
    flow = flow_through_time(model, images, labels)
    np.testing.assert_allclose(flow.hidden, np.mean([each.hidden for each in alone], axis=0), rtol=1e-12)
    assert flow.loss == pytest.approx(np.mean([each.loss for each in alone]))


@pytest.mark.parametrize("loss", [nn.functional.cross_entropy, None])
def test_the_norm_over_all_parameters_is_that_of_the_mean_loss(loss):
    model, (images, labels) = model_of(LSTM(hidden=5)), batch()
    logits = model(images)
    if loss is None:
        value = 0.5 * (logits - nn.functional.one_hot(labels, CLASSES)).square().sum(dim=1).mean()
        flow = flow_through_time(model, images, labels, loss=squared_error)
    else:
        value, flow = loss(logits, labels), flow_through_time(model, images, labels)
    value.backward()
    expected = math.sqrt(sum(float(each.grad.square().sum()) for each in model.parameters()))
    assert flow.parameter_norm == pytest.approx(expected, rel=1e-12)
    assert flow.loss == pytest.approx(value.item(), rel=1e-12)


@pytest.mark.parametrize("measure", [flow_through_time, flow_by_layer])
def test_the_model_is_left_alone(measure):
    model = model_of(RNN(hidden=5)).float().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    images, labels = batch()
    copies, state = (images.clone(), labels.clone()), torch.get_rng_state()
    measure(model, images.float(), labels)
    assert model.training
    assert torch.equal(images, copies[0])
    assert torch.equal(torch.get_rng_state(), state)
    for name, value in model.named_parameters():
        assert value.grad is None
        assert value.dtype == torch.float32
        assert torch.equal(value, before[name])
    assert not any(layer._forward_hooks for layer in model.modules())


def test_what_is_not_finite_is_passed_on():
    model = model_of(RNN(hidden=5))
    set_to(layer_of(model).weight_hh_l0, torch.full((5, 5), float("nan")))
    flow = flow_through_time(model, *batch())
    assert np.isnan([flow.loss, flow.spectral_norm, flow.hidden[0], flow.bound[0]]).all()


def test_a_bound_beyond_all_numbers_is_infinite():
    model = model_of(RNN(hidden=5))
    set_to(layer_of(model).weight_hh_l0, orthogonal(5, 1e60))
    assert flow_through_time(model, *batch()).bound[0] == math.inf


def test_a_model_that_does_not_recur_is_one_line():
    with pytest.raises(RecipeError, match="such as rnn or lstm; got one with 0") as caught:
        flow_through_time(model_of(MLP()), *batch())
    assert "\n" not in str(caught.value)


# ------------------------------------------------------------------ by layer


def test_by_layer_of_a_perceptron():
    model, (images, labels) = model_of(MLP(hidden=(7,))), batch()
    first, second = model.get_submodule("body.1"), model.get_submodule("body.4")
    sums = first(images.flatten(1))
    with torch.no_grad():
        logits = torch.softmax(second(sums.relu()), dim=1) - nn.functional.one_hot(labels, CLASSES)
        hidden = logits @ second.weight
        by_sums = hidden * (sums > 0)
        inputs = by_sums @ first.weight
    flow = flow_by_layer(model, images, labels)
    expected = {
        "images": inputs,
        "normalization": inputs,
        "body.0": inputs,
        "body.1": by_sums,
        "body.2": hidden,
        "body.3": hidden,
        "body.4": logits,
    }
    assert [each.layer for each in flow] == list(expected)
    for each, gradient in zip(flow, expected.values(), strict=True):
        assert each.output_norm == pytest.approx(float(gradient.norm(dim=1).mean()), rel=1e-12)


@pytest.mark.parametrize("name", list(MODELS))
def test_by_layer_of_every_model_ends_at_the_images(name):
    settings = MODELS[name].settings(name=name, normalization="half", **SMALL_MODELS.get(name, {}))
    model = build_model(settings, (1, 8, 8), CLASSES, seed=0).double().eval()
    images, labels = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0)).double(), batch(3)[1]
    leaf = images.clone().requires_grad_()
    loss = nn.functional.cross_entropy(model(leaf), labels, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, leaf)
    flow = flow_by_layer(model, images, labels)
    assert flow[0].layer == "images"
    assert flow[0].output_norm == pytest.approx(float(gradient.flatten(1).norm(dim=1).mean()), rel=1e-10)
    assert all(each.output_norm is None or each.output_norm > 0 for each in flow)


def test_by_layer_of_a_recurrent_model_meets_the_flow_through_time():
    model, (images, labels) = model_of(RNN(hidden=5)), batch()
    by_layer = flow_by_layer(model, images, labels)
    norms = {each.layer: each.output_norm for each in by_layer}
    last = flow_through_time(model, images, labels).hidden[-1]
    assert norms["body.1"] == norms["body.2"] == pytest.approx(last, rel=1e-12)


def test_one_image_of_a_softmax():
    model, (images, labels) = model_of(Softmax()), batch(1)
    flow = flow_by_layer(model, images, labels)
    with torch.no_grad():
        errors = torch.softmax(model(images), dim=1) - nn.functional.one_hot(labels, CLASSES)
    assert flow[-1].output_norm == pytest.approx(float(errors.norm()), rel=1e-12)
