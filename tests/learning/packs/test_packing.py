"""The packed program against every trial's own module, called by itself."""

import copy
import weakref

import pytest
import torch
from packable import BATCH, CLASSES, PACKED, SHAPE, UNPACKABLE, convolution, then_affine
from small_models import SMALL_MODELS
from torch import nn

from foolscope.learning.packs import packing
from foolscope.learning.packs.packing import (
    PACKED_LAYERS,
    Context,
    pack_program,
    solo_program,
    solo_reason,
    unpackable_layers,
)
from foolscope.learning.packs.stacking import stack_padded, stacked_parameters, stacked_statistics
from foolscope.models import MODELS, Dropout, build_model


def models_of(make, trials, dtype, rates=None):
    models = []
    for trial in range(trials):
        model = make(0.4 if rates is None else rates[trial]).to(dtype)
        generator = torch.Generator().manual_seed(trial)
        with torch.no_grad():
            for value in model.parameters():
                value.copy_(
                    torch.randn(value.shape, generator=generator, dtype=torch.float64)
                    / value[0].numel() ** 0.5
                )
        models.append(model)
    return models


def images_of(groups, dtype, shape=SHAPE):
    return torch.rand(
        groups, BATCH, *shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64
    ).to(dtype)


def generators(trials):
    return tuple(torch.Generator().manual_seed(100 + trial) for trial in range(trials))


def alone(models, images, training):
    """Logits, gradients for the loss Σ cos(logits), and running statistics of every module by itself."""
    logits, gradients, modules = [], [], []
    for trial, (model, generator) in enumerate(zip(models, generators(len(models)), strict=True)):
        model = copy.deepcopy(model).train(training)
        for layer in model.modules():
            if isinstance(layer, Dropout):
                layer.generator = generator
        own = model(images[trial // (len(models) // len(images))])
        names = [name for name, _ in model.named_parameters()]
        gradients.append(
            dict(zip(names, torch.autograd.grad(own.cos().sum(), list(model.parameters())), strict=True))
        )
        logits.append(own.detach())
        modules.append(model)
    stacked = {name: stack_padded([each[name] for each in gradients]) for name in gradients[0]}
    return torch.stack(logits), stacked, stacked_statistics(modules)


def packed(program, models, images, training, dtype):
    parameters = {name: value.requires_grad_() for name, value in stacked_parameters(models).items()}
    statistics = stacked_statistics(models)
    context = Context(training, dtype, generators(len(models)) if training else ())
    logits = program(parameters | statistics, images, context)
    values = torch.autograd.grad(logits.cos().sum(), list(parameters.values()))
    return logits.detach(), dict(zip(parameters, values, strict=True)), statistics


def assert_same(
    make, trials, groups, training, dtype=torch.float64, shape=SHAPE, program=pack_program, rates=None
):
    tolerance = {torch.float64: 1e-10, torch.float32: 3e-5}[dtype]
    models, images = models_of(make, trials, dtype, rates), images_of(groups, dtype, shape)
    before = torch.get_rng_state(), images.clone()
    expected = alone(models, images, training)
    result = packed(program(models), models, images, training, dtype)
    torch.testing.assert_close(result[0], expected[0], rtol=tolerance, atol=tolerance)
    for ours, theirs in zip(result[1:], expected[1:], strict=True):
        assert ours.keys() == theirs.keys()
        scale = max([1.0, *(float(value.abs().max()) for value in theirs.values())])
        for name, value in ours.items():
            torch.testing.assert_close(value, theirs[name], rtol=tolerance, atol=tolerance * scale)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.equal(images, before[1])


def fail(models):
    raise AssertionError("the models were not packed")


GROUPINGS = pytest.mark.parametrize(("trials", "groups"), [(1, 1), (3, 1), (3, 3), (6, 2)])


@pytest.mark.parametrize("make", PACKED.values(), ids=PACKED)
@pytest.mark.parametrize("training", [False, True])
@GROUPINGS
def test_a_pack_computes_what_its_trials_compute_alone(make, trials, groups, training, monkeypatch):
    monkeypatch.setattr(packing, "solo_program", fail)
    assert_same(make, trials, groups, training)


@pytest.mark.parametrize("make", PACKED.values(), ids=PACKED)
def test_also_in_single_precision(make):
    assert_same(make, 6, 2, training=True, dtype=torch.float32)


@pytest.mark.parametrize("make", [*PACKED.values(), *UNPACKABLE.values()], ids=[*PACKED, *UNPACKABLE])
def test_the_one_after_another_program_computes_the_same(make):
    assert_same(make, 6, 2, training=True, program=solo_program)


@pytest.mark.parametrize("make", UNPACKABLE.values(), ids=UNPACKABLE)
@pytest.mark.parametrize("training", [False, True])
@GROUPINGS
def test_what_cannot_be_packed_runs_one_after_another(make, trials, groups, training, monkeypatch):
    fallen_back = []

    def watched(models):
        fallen_back.append(True)
        return solo_program(models)

    monkeypatch.setattr(packing, "solo_program", watched)
    assert_same(make, trials, groups, training)
    assert fallen_back


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("unknown layer", "there is no packed form of Softplus"),
        ("tied parameters", "layers share parameters"),
        ("control flow on values", "its forward pass depends on values"),
        ("another padding", "its layers have options or connections without a packed form"),
    ],
)
def test_a_model_that_does_not_pack_has_a_reason_in_one_line(name, reason):
    told = solo_reason(UNPACKABLE[name](0.4))
    assert told.startswith(reason)
    assert "\n" not in told


@pytest.mark.parametrize("make", PACKED.values(), ids=PACKED)
def test_a_model_that_packs_has_none(make):
    assert solo_reason(make(0.4)) is None


def test_every_layer_of_the_table_has_an_example():
    tested = {type(layer) for make in PACKED.values() for layer in make(0.4).modules()}
    assert set(PACKED_LAYERS) <= tested


SOLO = {
    "rnn": "RNNLayer",
    "lstm": "LSTMLayer",
    "attention": "PositionEmbedding",
    "vit": "ClassToken",
    "prototype-tree": "GradientLeaves",
}


@pytest.mark.parametrize("name", sorted(MODELS.keys() - SOLO.keys()))
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 20, 31)])
@pytest.mark.parametrize("training", [False, True])
def test_every_model_packs(name, shape, training, monkeypatch):
    """In one of the groupings: every layer has been tested in all."""
    monkeypatch.setattr(packing, "solo_program", fail)
    settings = MODELS[name].settings
    options = SMALL_MODELS.get(name, {}) | ({"dropout": 0.4} if "dropout" in settings.model_fields else {})

    def make(rate):
        mean = torch.full((shape[0],), 0.4)
        return build_model(settings(name=name, **options), shape, CLASSES, seed=0, mean=mean, deviation=mean)

    assert_same(make, 4, 2, training, shape=shape)


@pytest.mark.parametrize("name", SOLO)
def test_models_of_sequences_run_one_trial_after_another(name):
    def make(rate):
        settings = MODELS[name].settings(name=name, normalization="none", **SMALL_MODELS.get(name, {}))
        return build_model(settings, SHAPE, CLASSES, seed=0)

    assert SOLO[name] in solo_reason(make(0.0))
    assert_same(make, 6, 2, training=True)


@pytest.mark.parametrize(
    "make", [PACKED["Dropout twice"], PACKED["Dropout on maps"]], ids=["features", "maps"]
)
@pytest.mark.parametrize("groups", [1, 4])
def test_trials_may_differ_in_their_dropout_rate(make, groups, monkeypatch):
    """Also where one drops nothing: it then draws nothing, and its later masks stay what they are alone."""
    monkeypatch.setattr(packing, "solo_program", fail)
    assert_same(make, 4, groups, training=True, rates=[0.4, 0.0, 0.9, 0.1])


@pytest.mark.parametrize("program", [pack_program, solo_program])
@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("kind", ["features", "maps"])
def test_trials_may_differ_in_width(kind, groups, program):
    """The narrow ones are padded: same logits, same gradients, and none at all where there is padding."""
    widths = iter([5, 2, 7, 5, 2, 7])

    def make(rate):
        width = next(widths)
        if kind == "features":
            return then_affine(nn.Flatten(), nn.Linear(96, width), nn.Tanh(), features=width)
        body = (nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2), convolution(width, width + 1), nn.GELU())
        return then_affine(convolution(2, width), *body, features=12 * (width + 1))

    assert_same(make, 3, groups, training=True, program=program)


def test_products_are_in_the_asked_precision_and_logits_in_the_masters():
    models, images = models_of(PACKED["Conv2d twice"], 3, torch.float32), images_of(1, torch.float32)
    exact, *_ = packed(pack_program(models), models, images, False, torch.float32)
    for program in (pack_program, solo_program):
        logits, gradients, _ = packed(program(models), models, images, False, torch.bfloat16)
        assert logits.dtype == torch.float32
        assert {value.dtype for value in gradients.values()} == {torch.float32}
        difference = (logits - exact).abs().max() / exact.abs().max()
        assert 1e-4 < difference < 0.03, "bfloat16 has 8 bits: not exact, and not far off"


def test_the_loss_of_one_trial_has_no_gradient_in_another():
    models, images = models_of(PACKED["Conv2d twice"], 3, torch.float64), images_of(1, torch.float64)
    parameters = {
        name: torch.stack([model.get_parameter(name).detach() for model in models]).requires_grad_()
        for name, _ in models[0].named_parameters()
    }
    logits = pack_program(models)(parameters, images, Context(False, torch.float64))
    for gradient in torch.autograd.grad(logits[1].sum(), list(parameters.values())):
        assert gradient[[0, 2]].abs().max() == 0
        assert gradient[1].abs().max() > 0


def test_unpackable_layers_are_named():
    assert unpackable_layers(nn.Sequential(nn.Linear(2, 2), nn.Softplus(), nn.ELU())) == ("ELU", "Softplus")
    recurrent = nn.Sequential(nn.Softplus(), nn.LSTM(2, 2), nn.Linear(2, 2), nn.GRU(2, 2))
    assert unpackable_layers(recurrent) == ("GRU", "LSTM")
    for make in PACKED.values():
        assert unpackable_layers(make(0.4)) == ()


def watched(layer, made, alive):
    """Note after each call how many of the tensors that the layers made are alive."""

    def note(module, inputs, output):
        made.append(weakref.ref(output))
        alive.append(sum(each() is not None for each in made))

    layer.register_forward_hook(note)
    return layer


def test_a_value_is_freed_after_its_last_user():
    """In a chain a layer finds its input alive and nothing before it."""
    made, alive = [], []
    chain = nn.Sequential(*(watched(nn.Tanh(), made, alive) for _ in range(6)), nn.Flatten())
    program = pack_program([chain])
    program({"unused": torch.zeros(1, 1)}, images_of(1, torch.float64), Context(False, torch.float64))
    assert alive == [1, 2, 2, 2, 2, 2]


class Skipping(nn.Module):
    """The first activation is added again after four layers; one more reads it, and nobody reads that."""

    def __init__(self, made, alive):
        super().__init__()
        self.first, self.unread, *body, self.last = (watched(nn.Tanh(), made, alive) for _ in range(7))
        self.body, self.flatten = nn.Sequential(*body), nn.Flatten()

    def forward(self, images):
        first = self.first(images)
        self.unread(first)
        return self.flatten(self.last(self.body(first) + first))


def test_a_value_is_kept_until_its_last_user_and_one_that_nobody_reads_is_not():
    made, alive = [], []
    model, images = Skipping(made, alive), images_of(1, torch.float64)
    expected = model(images[0])
    made.clear()
    alive.clear()
    program = pack_program([model])
    logits = program({"unused": torch.zeros(1, 1)}, images, Context(False, torch.float64))
    torch.testing.assert_close(logits[0], expected)
    assert alive == [1, 2, 2, 3, 3, 3, 1]
