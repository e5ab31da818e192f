import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from foolscope.learning import SCHEDULES
from foolscope.learning.schedules import (
    Constant,
    Cosine,
    Exponential,
    Linear,
    OneCycle,
    Step,
    Triangular,
    learning_rates,
)

PER_EPOCH, EPOCHS = 7, 9
TOTAL = PER_EPOCH * EPOCHS


def ours(settings, base=0.2, per_epoch=PER_EPOCH, epochs=EPOCHS):
    return learning_rates(
        settings, base, np.arange(per_epoch * epochs), steps_per_epoch=per_epoch, epochs=epochs
    )


def torchs(make, steps=TOTAL, base=0.2):
    """The rates of a torch scheduler that is stepped once a step."""
    optimizer = torch.optim.SGD([torch.zeros(1)], base)
    scheduler = make(optimizer)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scheduler.step()
    return np.array(rates)


def test_constant():
    assert ours(Constant()).tolist() == [0.2] * TOTAL


def test_exponential_is_pytorchs_stepped_every_epoch():
    expected = torchs(lambda optimizer: lr_scheduler.ExponentialLR(optimizer, 0.8), EPOCHS)
    np.testing.assert_allclose(ours(Exponential(decay=0.8)), expected.repeat(PER_EPOCH))


def test_step_is_pytorchs_stepped_every_epoch():
    expected = torchs(lambda optimizer: lr_scheduler.StepLR(optimizer, 4, 0.1), EPOCHS)
    np.testing.assert_allclose(ours(Step(step_epochs=4, factor=0.1)), expected.repeat(PER_EPOCH))


@pytest.mark.parametrize("fraction", [0.0, 0.1])
def test_cosine_is_pytorchs_with_its_end_at_the_last_step(fraction):
    """PyTorch reaches the end ``T_max`` steps after the first, so ``T_max`` is one less than the steps."""
    expected = torchs(
        lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, TOTAL - 1, eta_min=0.2 * fraction)
    )
    rates = ours(Cosine(final_fraction=fraction))
    np.testing.assert_allclose(rates, expected, atol=1e-15)
    assert rates[0] == 0.2
    assert rates[-1] == pytest.approx(0.2 * fraction, abs=1e-15)


@pytest.mark.parametrize("peak", [0.3, 0.5, 0.9])
def test_one_cycle_is_pytorchs(peak):
    expected = torchs(
        lambda optimizer: lr_scheduler.OneCycleLR(
            optimizer, 0.2, total_steps=TOTAL, pct_start=peak, cycle_momentum=False
        )
    )
    np.testing.assert_allclose(ours(OneCycle(peak_fraction=peak)), expected, rtol=1e-12)


def test_one_cycle_begins_and_ends_where_it_says():
    rates = ours(OneCycle(peak_fraction=1 / 3))
    assert rates[0] == pytest.approx(0.2 / 25)
    assert rates.max() == pytest.approx(0.2)
    assert int(rates.argmax()) == TOTAL // 3 - 1
    assert rates[-1] == pytest.approx(0.2 / 25 / 1e4)


@pytest.mark.parametrize("step_size", [1, 5, 10, 500])
def test_triangular_is_pytorchs_cyclic(step_size):
    expected = torchs(
        lambda optimizer: lr_scheduler.CyclicLR(
            optimizer, 0.01, 0.2, step_size_up=step_size, cycle_momentum=False
        )
    )
    np.testing.assert_allclose(
        ours(Triangular(minimum_learning_rate=0.01, step_size=step_size)), expected, rtol=1e-9
    )


@pytest.mark.parametrize("fraction", [0.0, 0.2])
def test_linear_is_pytorchs_over_all_steps(fraction):
    expected = torchs(lambda optimizer: lr_scheduler.LinearLR(optimizer, 1.0, fraction, TOTAL))
    np.testing.assert_allclose(ours(Linear(final_fraction=fraction)), expected, rtol=1e-12)


@pytest.mark.parametrize("name", list(SCHEDULES))
@pytest.mark.parametrize("warmup_epochs", [0.5, 2.0, 100.0])
def test_warm_up_rises_in_a_straight_line_to_the_schedule(name, warmup_epochs):
    plain = ours(SCHEDULES[name][0](name=name))
    warm = ours(SCHEDULES[name][0](name=name, warmup_epochs=warmup_epochs))
    length = warmup_epochs * PER_EPOCH
    for step in range(TOTAL):
        assert warm[step] == pytest.approx(plain[step] * min(1.0, (step + 1) / length))


@pytest.mark.parametrize("name", list(SCHEDULES))
@given(data=st.data())
def test_contract(name, data):
    """Finite, never negative, at most the base rate; a step's rate does not depend on the others asked."""
    per_epoch, epochs = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 6))
    base = data.draw(st.floats(1e-4, 10.0))
    settings = SCHEDULES[name][0](name=name)
    rates = ours(settings, base, per_epoch, epochs)
    assert rates.dtype == np.float64
    assert rates.shape == (per_epoch * epochs,)
    assert np.isfinite(rates).all()
    assert (rates >= 0).all()
    assert (rates <= base * (1 + 1e-12)).all()
    for step in range(per_epoch * epochs):
        alone = learning_rates(settings, base, np.array([step]), steps_per_epoch=per_epoch, epochs=epochs)
        assert alone[0] == rates[step]


@pytest.mark.parametrize("name", list(SCHEDULES))
def test_the_table(name):
    assert SCHEDULES[name][0].model_fields["name"].default == name


def test_cosine_halfway_is_half():
    assert ours(Cosine(), per_epoch=1, epochs=3)[1] == pytest.approx(0.1)
    assert ours(Cosine(final_fraction=0.5), per_epoch=1, epochs=3)[1] == pytest.approx(0.15)
    assert math.isclose(ours(Cosine(), per_epoch=1, epochs=1)[0], 0.2)
