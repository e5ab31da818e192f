"""Every trial of a pack against a run of torch.optim of its own."""

import math

import pytest
import torch
from torch.optim._muon import _zeropower_via_newtonschulz

from foolscope.learning import OPTIMIZERS
from foolscope.learning.optimizers import SGD, Adam, AdamW, Lion, Muon, hyperparameters
from foolscope.learning.optimizers.muon import orthogonalized
from foolscope.learning.parameters.regularizers import PackRegularizers, RegularizationSettings

CPU = torch.device("cpu")
STEPS = 20
SHAPES = {"weight": (5, 4), "bias": (5,), "filter": (3, 2, 3, 3)}


def start(trials):
    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.randn(trials, *shape, generator=generator, dtype=torch.float64)
        for name, shape in SHAPES.items()
    }


def gradient_at(value, trial, step, name):
    """A gradient that depends on the parameter, the trial and the step, and is sometimes tiny."""
    phase = 1.7 * trial + 0.3 * step + len(name)
    return (value + phase).sin() * (1e-6 if step % 7 == 3 else 1.0) + 0.2 * value


def rate_at(settings, step):
    return settings.learning_rate * (1.0 + 0.5 * math.cos(step))


def run_pack(trials, steps=STEPS, penalize="all"):
    parameters = start(len(trials))
    hyper = hyperparameters(trials, CPU, torch.float64)
    entry = OPTIMIZERS[trials[0].name]
    state = entry.init(parameters, hyper)
    regularizers = PackRegularizers.gather(
        [RegularizationSettings(penalize=penalize)] * len(trials),
        [settings.weight_decay for settings in trials],
        CPU,
        torch.float64,
    )
    for step in range(steps):
        gradients = {
            name: torch.stack([gradient_at(value[trial], trial, step, name) for trial in range(len(trials))])
            for name, value in parameters.items()
        }
        rates = torch.tensor([rate_at(settings, step) for settings in trials], dtype=torch.float64)
        regularizers.decay(parameters, rates)
        entry.update(parameters, gradients, state, {"learning_rate": rates, **hyper}, step)
    return parameters


def run_torch(settings, trial, trials, steps=STEPS):
    parameters = {name: value[trial].clone().requires_grad_() for name, value in start(trials).items()}
    values = list(parameters.values())
    if isinstance(settings, Adam):
        betas = (settings.beta1, settings.beta2)
        optimizer = torch.optim.AdamW(
            values, betas=betas, eps=settings.stability, weight_decay=settings.weight_decay, foreach=False
        )
    else:
        optimizer = torch.optim.SGD(values, 0.1, settings.momentum, nesterov=settings.nesterov, foreach=False)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate_at(settings, step)
        for name, value in parameters.items():
            value.grad = gradient_at(value.detach(), trial, step, name)
        if not isinstance(settings, Adam):
            with torch.no_grad():
                for value in values:
                    value.mul_(1.0 - rate_at(settings, step) * settings.weight_decay)
        optimizer.step()
    return {name: value.detach() for name, value in parameters.items()}


PACKS = {
    "plain": [SGD()],
    "momentum": [SGD(learning_rate=0.05, momentum=0.9)],
    "Nesterov": [SGD(momentum=0.9, nesterov=True)],
    "SGD of all kinds": [
        SGD(),
        SGD(learning_rate=0.3, momentum=0.5),
        SGD(momentum=0.9, nesterov=True),
        SGD(momentum=0.9, weight_decay=0.1),
        SGD(weight_decay=0.01),
    ],
    "Adam": [Adam()],
    "Adam of all kinds": [
        Adam(learning_rate=0.1),
        Adam(learning_rate=0.01, beta1=0.5),
        Adam(learning_rate=0.01, beta1=0.0, beta2=0.9),
        Adam(learning_rate=0.01, stability=0.1),
        Adam(learning_rate=0.01, weight_decay=0.3),
    ],
    "AdamW": [AdamW()],
    "AdamW of all kinds": [
        AdamW(learning_rate=0.05, weight_decay=0.5),
        AdamW(weight_decay=0.0),
        AdamW(beta2=0.99),
    ],
}


@pytest.mark.parametrize("trials", PACKS.values(), ids=PACKS)
def test_every_trial_walks_the_path_of_pytorchs_optimizer(trials):
    parameters = run_pack(trials)
    for trial, settings in enumerate(trials):
        for name, expected in run_torch(settings, trial, len(trials)).items():
            torch.testing.assert_close(parameters[name][trial], expected, rtol=1e-10, atol=1e-10)


def test_lion_is_the_published_program():
    """Chen et al. 2023, algorithm 2, line by line."""
    trials = [
        Lion(learning_rate=0.01, weight_decay=0.3),
        Lion(learning_rate=0.003, beta1=0.5, beta2=0.8),
        Lion(beta1=0.0, weight_decay=1.0),
    ]
    parameters = run_pack(trials)
    for trial, settings in enumerate(trials):
        for name, value in start(len(trials)).items():
            theta, m = value[trial], torch.zeros_like(value[trial])
            for step in range(STEPS):
                eta, g = rate_at(settings, step), gradient_at(theta, trial, step, name)
                c = settings.beta1 * m + (1 - settings.beta1) * g
                theta = theta - eta * (c.sign() + settings.weight_decay * theta)
                m = settings.beta2 * m + (1 - settings.beta2) * g
            torch.testing.assert_close(parameters[name][trial], theta, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("shape", [(4, 4), (7, 3), (3, 7), (6, 2, 3, 3), (2, 3, 2, 2)])
def test_muon_is_pytorchs_on_matrices_and_on_filters_as_matrices(shape, monkeypatch):
    """PyTorch iterates in bfloat16; here it is to keep the data type."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda tensor: tensor.clone())
    trials = [
        Muon(matrices="all"),
        Muon(matrices="all", momentum=0.8, nesterov=False, scaling="match-rms-adamw"),
        Muon(matrices="all", momentum=0.0, scaling="match-rms-adamw"),
    ]
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(len(trials), *shape, generator=generator, dtype=torch.float64)
    hyper = hyperparameters(trials, CPU, torch.float64)
    pack, (init, update) = {"w": values.clone()}, (OPTIMIZERS["muon"].init, OPTIMIZERS["muon"].update)
    state = init(pack, hyper)
    plain = [value.flatten(1).clone().requires_grad_() for value in values]
    optimizers = [
        torch.optim.Muon(
            [value],
            momentum=settings.momentum,
            nesterov=settings.nesterov,
            weight_decay=0.0,
            adjust_lr_fn=settings.scaling.replace("-", "_"),
        )
        for value, settings in zip(plain, trials, strict=True)
    ]
    for step in range(STEPS):
        gradients = torch.stack(
            [gradient_at(value, trial, step, "w") for trial, value in enumerate(pack["w"])]
        )
        rates = torch.tensor([rate_at(settings, step) for settings in trials], dtype=torch.float64)
        for value, optimizer, gradient, rate in zip(
            plain, optimizers, gradients, rates.tolist(), strict=True
        ):
            value.grad = gradient.flatten(1).clone()
            optimizer.param_groups[0]["lr"] = rate
            optimizer.step()
        update(pack, {"w": gradients}, state, {"learning_rate": rates, **hyper}, step)
    for value, own in zip(plain, pack["w"], strict=True):
        torch.testing.assert_close(own.flatten(1), value.detach(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("shape", [(4, 4), (6, 2, 3, 3)])
def test_muon_that_rescales_steps_from_matrices_of_norm_root_rows(shape):
    """The trial that rescales is one that starts from the rescaled matrix; its neighbor is left alone."""
    trials = [Muon(matrices="all", rescale=True), Muon(matrices="all")]
    hyper = hyperparameters(trials, CPU, torch.float64)
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rescaled = matrix * shape[0] ** 0.5 / matrix.norm()
    gradient = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    rates = {"learning_rate": torch.tensor([0.1, 0.1], dtype=torch.float64)}

    def stepped(starts, hyper):
        pack = {"w": torch.stack(starts)}
        state = OPTIMIZERS["muon"].init(pack, hyper)
        OPTIMIZERS["muon"].update(pack, {"w": gradient.expand(2, *shape)}, state, {**rates, **hyper}, 0)
        return pack["w"]

    plain = hyperparameters([Muon(matrices="all")] * 2, CPU, torch.float64)
    torch.testing.assert_close(stepped([matrix, matrix], hyper), stepped([rescaled, matrix], plain))
    nothing = stepped([torch.zeros(shape, dtype=torch.float64), matrix], hyper)[0]
    assert nothing.isfinite().all()


@pytest.mark.parametrize("shape", [(5, 5), (3, 8), (8, 3)])
def test_orthogonalization_keeps_the_singular_vectors_and_brings_the_values_near_one(shape):
    matrices = torch.randn(3, *shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    left, values, right = torch.linalg.svd(matrices, full_matrices=False)
    assert values.max() / values.min() > 3
    inner = left.mT @ orthogonalized(matrices) @ right.mT
    found = inner.diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(inner, torch.diag_embed(found), rtol=0, atol=1e-9)
    assert found.min() > 0.6
    assert found.max() < 1.3
    assert orthogonalized(torch.zeros(1, *shape)).abs().max() == 0


@pytest.mark.parametrize("shape", [(6, 6), (4, 40), (40, 4)])
def test_orthogonalization_in_float32_is_that_in_float64_and_nearer_than_bfloat16s(shape):
    """Singular values from 1 down to 1e-6 of the largest."""
    size = min(shape)
    generator = torch.Generator().manual_seed(2)
    left, _, right = torch.linalg.svd(
        torch.randn(2, *shape, generator=generator, dtype=torch.float64), full_matrices=False
    )
    matrices = left @ torch.diag(torch.logspace(0, -6, size, dtype=torch.float64)) @ right
    exact = orthogonalized(matrices)
    error = (orthogonalized(matrices.float()).double() - exact).abs().max()
    published = [_zeropower_via_newtonschulz(each, (3.4445, -4.775, 2.0315), 5, 1e-7) for each in matrices]
    theirs = (torch.stack(published).double() - exact).abs().max()
    assert error < 1e-3
    assert error < theirs / 10


def test_the_output_layer_and_vectors_are_left_to_muons_companion():
    parameters = start(1)
    for layers, own in {"all-but-output": {"weight"}, "hidden": set(), "all": {"weight", "filter"}}.items():
        for companion, moments in {"adamw": {"mean", "mean_square"}, "sgd": {"velocity"}}.items():
            settings = Muon(matrices=layers, companion=companion)
            state = OPTIMIZERS["muon"].init(parameters, hyperparameters([settings], CPU, torch.float64))
            assert set(state) == {"momentum"} | moments
            assert set(state["momentum"]) == own
            assert all(set(state[moment]) == set(SHAPES) - own for moment in moments)


def test_adam_is_pytorchs_adam():
    """The runs above use AdamW as the oracle for the decoupled decay; without decay it must be plain Adam."""
    settings = Adam(learning_rate=0.01, beta1=0.8, beta2=0.95)
    parameters = {name: value[0].clone().requires_grad_() for name, value in start(1).items()}
    optimizer = torch.optim.Adam(parameters.values(), 0.01, (0.8, 0.95))
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = rate_at(settings, step)
        for name, value in parameters.items():
            value.grad = gradient_at(value.detach(), 0, step, name)
        optimizer.step()
    for name, value in run_pack([settings]).items():
        torch.testing.assert_close(value[0], parameters[name].detach(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_the_gradients_are_left_alone_and_a_rate_of_zero_stands_still(name):
    settings = OPTIMIZERS[name].settings(name=name)
    parameters = start(2)
    before = {key: value.clone() for key, value in parameters.items()}
    gradients = {key: value.cos() for key, value in parameters.items()}
    kept = {key: value.clone() for key, value in gradients.items()}
    hyper = hyperparameters([settings, settings], CPU, torch.float64)
    state = OPTIMIZERS[name].init(parameters, hyper)
    rates = torch.tensor([0.0, 0.1], dtype=torch.float64)
    for step in range(3):
        OPTIMIZERS[name].update(parameters, gradients, state, {"learning_rate": rates, **hyper}, step)
    for key, value in parameters.items():
        assert torch.equal(gradients[key], kept[key])
        assert torch.equal(value[0], before[key][0])
        assert not torch.equal(value[1], before[key][1])


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_a_trial_that_explodes_leaves_its_neighbors_the_same_bits(name):
    settings = OPTIMIZERS[name].settings(name=name)
    results = []
    for factor in (1.0, math.nan):
        parameters = start(3)
        hyper = hyperparameters([settings] * 3, CPU, torch.float64)
        state = OPTIMIZERS[name].init(parameters, hyper)
        rates = torch.full((3,), 0.1, dtype=torch.float64)
        for step in range(3):
            gradients = {key: value.cos() for key, value in parameters.items()}
            for gradient in gradients.values():
                gradient[1] *= factor
            OPTIMIZERS[name].update(parameters, gradients, state, {"learning_rate": rates, **hyper}, step)
        results.append(parameters)
    for key in SHAPES:
        assert torch.equal(results[0][key][[0, 2]], results[1][key][[0, 2]])


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_float32_stays_float32(name):
    settings = OPTIMIZERS[name].settings(name=name)
    parameters = {key: value.float() for key, value in start(1).items()}
    hyper = hyperparameters([settings], CPU)
    state = OPTIMIZERS[name].init(parameters, hyper)
    gradients = {key: value.cos() for key, value in parameters.items()}
    OPTIMIZERS[name].update(parameters, gradients, state, {"learning_rate": torch.tensor([0.1]), **hyper}, 0)
    tensors = [*parameters.values(), *(value for group in state.values() for value in group.values())]
    assert {tensor.dtype for tensor in tensors} == {torch.float32}


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_the_table(name):
    entry = OPTIMIZERS[name]
    assert entry.settings.model_fields["name"].default == name
    own = set(entry.settings.model_fields) - {"name", "learning_rate", "weight_decay"}
    assert set(entry.fields) == own, "every setting of an optimizer is a tensor along the trial axis"
