from dataclasses import replace

import pydantic
import pytest
import torch
from torch import nn

from foolscope.core.errors import RecipeError
from foolscope.data import load
from foolscope.experiments.recipe import recipe_from
from foolscope.learning import train_pack, training
from foolscope.learning.pack_checkpoints import Checkpoint
from foolscope.learning.packs.packing import solo_reason
from foolscope.models import LSTM, RNN, build_model
from foolscope.models.recurrent_layers import LSTMLayer, RNNLayer, Rows

SHAPE = (2, 5, 3)


def model_of(settings, shape=SHAPE, classes=4, seed=0):
    plain = settings.model_copy(update={"normalization": "none"})
    return build_model(plain, shape, classes, seed=seed).double()


def images(count=6, shape=SHAPE):
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, *shape, generator=generator, dtype=torch.float64)


def layer_of(model):
    return next(layer for layer in model.modules() if isinstance(layer, RNNLayer | LSTMLayer))


def by_pytorch(layer, module, steps):
    """The same layer of PyTorch's; its second bias stays zero."""
    module.double()
    own = dict(layer.named_parameters())
    with torch.no_grad():
        for name, value in module.named_parameters():
            value.copy_(own[name] if name in own else torch.zeros_like(value))
    return module(steps)[0]


# ------------------------------------------------------------------ what they compute


def test_a_step_is_a_row_of_all_channels():
    steps = Rows()(images())
    assert steps.shape == (6, 5, 6)
    for row in range(5):
        assert torch.equal(steps[:, row], images()[:, :, row].reshape(6, 6))


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_the_recurrent_layer_is_that_of_pytorch(activation):
    layer = layer_of(model_of(RNN(hidden=7, activation=activation, spectral_norm=1.3)))
    nn.init.uniform_(layer.bias_ih_l0, -1, 1, generator=torch.Generator().manual_seed(2))
    steps = Rows()(images())
    expected = by_pytorch(layer, nn.RNN(6, 7, nonlinearity=activation, batch_first=True), steps)
    torch.testing.assert_close(layer(steps), expected)


def test_the_linear_recurrence_is_a_sum_over_rows():
    """h_T = Σ_t U^(T−t) (W x_t + b)."""
    model = model_of(RNN(hidden=7, activation="linear"))
    layer, steps = layer_of(model), Rows()(images())
    nn.init.uniform_(layer.bias_ih_l0, -1, 1, generator=torch.Generator().manual_seed(2))
    expected = sum(
        torch.linalg.matrix_power(layer.weight_hh_l0, 4 - t)
        @ (layer.weight_ih_l0 @ steps[:, t].T + layer.bias_ih_l0[:, None])
        for t in range(5)
    ).T
    torch.testing.assert_close(layer(steps)[:, -1], expected)
    torch.testing.assert_close(model(images()), model.get_submodule("body.3")(expected))


def test_the_memory_is_that_of_pytorch():
    layer = layer_of(model_of(LSTM(hidden=7)))
    nn.init.uniform_(layer.bias_ih_l0, -1, 1, generator=torch.Generator().manual_seed(2))
    steps = Rows()(images())
    torch.testing.assert_close(layer(steps), by_pytorch(layer, nn.LSTM(6, 7, batch_first=True), steps))


@pytest.mark.parametrize("settings", [RNN(hidden=7), LSTM(hidden=7)], ids=["rnn", "lstm"])
def test_the_logits_see_the_last_step_and_through_it_every_row(settings):
    model = model_of(settings)
    layer, affine = layer_of(model), model.get_submodule("body.3")
    inputs = images().requires_grad_()
    logits = model(inputs)
    torch.testing.assert_close(logits, affine(layer.unrolled(Rows()(inputs))[-1].hidden))
    (gradient,) = torch.autograd.grad(logits.square().sum(), inputs)
    assert gradient.abs().amin() > 0


@pytest.mark.parametrize("settings", [RNN(hidden=7), LSTM(hidden=7)], ids=["rnn", "lstm"])
def test_a_batch_may_be_empty(settings):
    assert model_of(settings)(images(0)).shape == (0, 4)


# ------------------------------------------------------------------ where they start


@pytest.mark.parametrize("norm", [0.5, 1.0, 2.0])
def test_the_recurrent_matrix_is_orthogonal_up_to_its_norm(norm):
    weight = layer_of(model_of(RNN(hidden=20, spectral_norm=norm))).weight_hh_l0
    torch.testing.assert_close(
        weight @ weight.T, norm**2 * torch.eye(20, dtype=torch.float64), rtol=0, atol=1e-5
    )
    one = layer_of(model_of(RNN(hidden=20))).weight_hh_l0
    torch.testing.assert_close(weight, norm * one)  # the same direction for every norm


def test_every_gate_has_an_orthogonal_matrix_of_its_own():
    gates = layer_of(model_of(LSTM(hidden=20))).weight_hh_l0.detach().reshape(4, 20, 20)
    eye = torch.eye(20, dtype=torch.float64).expand(4, 20, 20)
    torch.testing.assert_close(gates @ gates.mT, eye, rtol=0, atol=1e-5)
    assert len({float(gate[0, 0]) for gate in gates}) == 4


@pytest.mark.parametrize("bias", [-2.0, 0.0, 1.0])
def test_of_the_biases_only_the_forget_gates_is_not_zero(bias):
    own = layer_of(model_of(LSTM(hidden=3, forget_bias=bias))).bias_ih_l0
    assert own.tolist() == [0.0] * 3 + [bias] * 3 + [0.0] * 6
    assert layer_of(model_of(RNN(hidden=3))).bias_ih_l0.tolist() == [0.0] * 3


@pytest.mark.parametrize("settings", [RNN(hidden=300), LSTM(hidden=100)], ids=["rnn", "lstm"])
def test_the_weights_of_the_inputs_are_uniform_by_fan_in(settings):
    weight, bound = layer_of(model_of(settings)).weight_ih_l0.detach(), 6**-0.5
    assert 0.98 * bound < weight.abs().max() <= bound
    assert float(weight.std()) == pytest.approx(bound / 3**0.5, rel=0.05)


# ------------------------------------------------------------------ how they are used


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        (RNN, {"hidden": 0}),
        (RNN, {"hidden": (3, 4)}),
        (RNN, {"activation": "gelu"}),
        (RNN, {"spectral_norm": 0.0}),
        (RNN, {"spectral_norm": float("inf")}),
        (LSTM, {"hidden": 0}),
        (LSTM, {"forget_bias": float("nan")}),
        (LSTM, {"spectral_norm": 1.0}),
    ],
)
def test_wrong_settings(settings, wrong):
    with pytest.raises(pydantic.ValidationError):
        settings(**wrong)


def test_an_unknown_field_gets_the_nearest_name():
    with pytest.raises(RecipeError, match="Did you mean 'spectral_norm'"):
        recipe_from({"model": {"name": "rnn", "spectral_norms": 1.0}})


@pytest.mark.parametrize(("name", "layer"), [("rnn", "RNNLayer"), ("lstm", "LSTMLayer")])
def test_why_they_train_one_after_another(name, layer):
    model = model_of(recipe_from({"model": name}).model)
    assert solo_reason(model) == f"there is no packed form of {layer}"


@pytest.fixture(scope="module")
def digits():
    return load(recipe_from({"dataset": {"name": "digits"}}).dataset)


@pytest.mark.parametrize(
    "values",
    [
        {"model": {"name": "rnn", "hidden": 16}},
        {"model": {"name": "lstm", "hidden": 16}, "precision": "bfloat16"},
        {"model": {"name": "rnn", "hidden": 8}, "defense": {"name": "pgd", "attack_steps": 1}},
    ],
    ids=["rnn", "lstm, bfloat16", "rnn, defended"],
)
def test_a_killed_run_goes_on_to_the_same_bits(values, digits, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "_CHECKPOINT_SECONDS", 0.0)
    recipe = recipe_from({"training": {"epochs": 2, "clipping": 1.0}, **values})
    few = replace(digits, train=digits.train.take(torch.arange(256)))
    (undisturbed,) = train_pack([recipe], few)

    def kill(progress):
        if progress.epoch == 2:
            raise KeyboardInterrupt

    path = tmp_path / "pack.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train_pack([recipe], few, checkpoint=Checkpoint(path, ("p",)), report=kill)
    epochs = []
    (resumed,) = train_pack(
        [recipe],
        few,
        checkpoint=Checkpoint(path, ("p",)),
        report=lambda progress: epochs.append(progress.epoch),
    )
    assert epochs == [2]
    assert resumed.history == undisturbed.history
    assert all(torch.equal(value, resumed.weights[name]) for name, value in undisturbed.weights.items())


@pytest.mark.parametrize("model", [{"name": "rnn", "hidden": 32}, {"name": "lstm", "hidden": 32}])
def test_it_learns_digits(model, digits):
    recipe = recipe_from(
        {"model": model, "optimizer": {"name": "adam", "learning_rate": 0.01}, "training": {"epochs": 5}}
    )
    (outcome,) = train_pack([recipe], digits)
    gates = 4 if model["name"] == "lstm" else 1
    assert outcome.parameter_count == gates * 32 * (8 + 32 + 1) + 33 * 10
    assert outcome.metrics["test_accuracy"] > 0.8
