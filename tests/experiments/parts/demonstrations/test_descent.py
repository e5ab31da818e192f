"""Gradient descent on a parabola has a closed form of its own, step by step."""

import numpy as np
import pytest

from foolscope.experiments.parts.demonstrations.descent import (
    curvatures,
    descend,
    least_squares,
    log_spaced,
    predictions,
    rises,
)

CHANCE = np.random.default_rng(3)
FEATURES = CHANCE.normal(size=(30, 2)) * [1.0, 4.0]
TARGETS = CHANCE.normal(size=30)


def step_by_step(rate, steps):
    """The iterates from the eigenvectors: the distance from the minimum shrinks by 1 − ηλ."""
    design = np.hstack([FEATURES, np.ones((30, 1))])
    values, vectors = np.linalg.eigh(2 / 30 * design.T @ design)
    best = np.linalg.solve(design.T @ design, design.T @ TARGETS)
    distance = vectors.T @ -best
    return [
        float(
            np.square(design @ (best + vectors @ ((1 - rate * values) ** step * distance)) - TARGETS).mean()
        )
        for step in range(steps + 1)
    ]


@pytest.mark.parametrize("share", [0.02, 0.5, 0.99, 1.2])
def test_losses_are_those_of_the_closed_form_at_every_step(share):
    rate = share * 2 / curvatures(FEATURES)[-1]
    run = descend(FEATURES, TARGETS, rate, 12)
    np.testing.assert_allclose(run.losses, step_by_step(rate, 12), rtol=1e-9)
    assert (rises(run.losses) == 0) == (share < 1)


def test_it_arrives_at_the_least_squares_solution():
    run = descend(FEATURES, TARGETS, 1 / curvatures(FEATURES)[-1], 2000)
    weights, bias, loss = least_squares(FEATURES, TARGETS)
    np.testing.assert_allclose(run.weights, weights, atol=1e-10)
    assert run.bias == pytest.approx(bias, abs=1e-10)
    assert run.losses[-1] == pytest.approx(loss, rel=1e-12)
    assert np.square(predictions(FEATURES, weights, bias) - TARGETS).mean() == pytest.approx(loss)


def test_a_hopeless_descent_is_given_up_while_the_loss_is_a_number():
    run = descend(FEATURES, TARGETS, 100.0, 10_000)
    assert len(run.losses) < 10
    assert np.isfinite(run.losses).all()
    assert run.losses[-1] > 1e6 * run.losses[0] > run.losses[-2]


def test_rounding_is_no_rise():
    assert rises(np.array([1.0, 1.0 + 1e-15, 0.5, 0.5 + 1e-9])) == 1


@pytest.mark.parametrize("count", [1, 160, 161, 60_001])
def test_chosen_steps_ascend_and_have_both_ends(count):
    chosen = log_spaced(count)
    assert (chosen[0], chosen[-1]) == (0, count - 1)
    assert (np.diff(chosen) > 0).all()
    assert len(chosen) <= 160
