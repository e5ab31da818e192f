import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, linprog

from foolscope.attacks.hyperplane import distance, smallest_step
from foolscope.threats.norms import NORMS

NORM = pytest.mark.parametrize("name", NORMS)


@st.composite
def cases(draw):
    """Hyperplanes and boxes, with ties, pixels that do not matter or cannot move, and gaps out of reach."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    batch, pixels = draw(st.integers(1, 3)), draw(st.integers(1, 8))
    normal = rng.normal(size=(batch, pixels)) * draw(st.sampled_from([1e-3, 1.0, 30.0]))
    if draw(st.booleans()):
        normal = np.round(normal, 1)
    inputs = np.round(rng.uniform(size=(batch, pixels)), draw(st.sampled_from([0, 1, 12])))
    room = np.where(normal > 0, 1 - inputs, -inputs)
    share = rng.uniform(-1, 1, size=batch) * draw(st.sampled_from([0.0, 0.1, 1.0, 1.5]))
    gap = share * (np.abs(normal) * np.where(share[:, None] < 0, 1 - np.abs(room), np.abs(room))).sum(1)
    return tuple(torch.tensor(value) for value in (normal, gap, -inputs, 1 - inputs))


def reach(normal, gap, lower, upper):
    """The change that gains most in the direction asked for, and what it gains."""
    corner = np.where(np.sign(gap) * normal > 0, upper, lower) * (normal != 0)
    return corner, abs(normal @ corner)


def smallest(name, normal, gap, lower, upper):
    """The optimal value: a linear program in L∞ and L1; in L2 by the multiplier of its Lagrangian."""
    n = len(normal)
    if name == "l2":
        change = lambda multiplier: np.clip(multiplier * normal, lower, upper)  # noqa: E731
        end = 2 / np.abs(normal[normal != 0]).min()
        return np.linalg.norm(
            change(brentq(lambda t: normal @ change(t) - gap, -end, end, xtol=1e-15, maxiter=500))
        )
    sizes = np.tile(np.eye(n), (2, 1)) * np.repeat([1, -1], n)[:, None]
    if name == "linf":  # d_i ≤ s and -d_i ≤ s; minimize s
        cost, bounds_on_size = np.r_[np.zeros(n), 1.0], -np.ones((2 * n, 1))
    else:  # d_i ≤ s_i and -d_i ≤ s_i; minimize Σ s_i
        cost, bounds_on_size = np.r_[np.zeros(n), np.ones(n)], -np.tile(np.eye(n), (2, 1))
    extra = bounds_on_size.shape[1]
    solution = linprog(
        cost,
        A_ub=np.hstack([sizes, bounds_on_size]),
        b_ub=np.zeros(2 * n),
        A_eq=np.r_[normal, np.zeros(extra)][None],
        b_eq=[gap],
        bounds=[*zip(lower, upper, strict=True), *[(0, None)] * extra],
    )
    assert solution.status == 0, solution.message
    return solution.fun


@NORM
@settings(max_examples=60, deadline=None)
@given(case=cases())
def test_the_smallest_step_is_optimal(name, case):
    norm = NORMS[name]
    normal, gap, lower, upper = case
    step = smallest_step(norm, normal, gap, lower, upper)
    assert bool(((step >= lower) & (step <= upper)).all())
    gained = (normal * step).sum(1).numpy()
    for k in range(len(gap)):
        row = [each[k].numpy() for each in case]
        corner, most = reach(*row)
        if abs(row[1]) >= most * (1 - 1e-9):
            np.testing.assert_allclose(step[k].numpy(), corner, atol=1e-8)
        else:
            np.testing.assert_allclose(gained[k], row[1], rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(norm.size(step)[k], smallest(name, *row), rtol=1e-6, atol=1e-9)


@NORM
def test_without_a_binding_box_the_step_has_the_length_of_the_distance(name):
    generator = torch.Generator().manual_seed(0)
    normal = torch.randn(5, 2, 3, 4, generator=generator, dtype=torch.float64)
    gap = torch.linspace(-0.3, 0.4, 5, dtype=torch.float64)
    room = torch.ones_like(normal)
    step = smallest_step(NORMS[name], normal, gap, -room, room)
    torch.testing.assert_close((normal * step).flatten(1).sum(1), gap)
    torch.testing.assert_close(NORMS[name].size(step), distance(NORMS[name], normal, gap))
    dual = {"linf": normal.abs().sum((1, 2, 3)), "l2": normal.flatten(1).norm(dim=1)}
    dual["l1"] = normal.abs().amax((1, 2, 3))
    torch.testing.assert_close(distance(NORMS[name], normal, gap), gap.abs() / dual[name])


@NORM
@pytest.mark.parametrize("scale", [1.0, 1e-25, 1e25])
def test_float32_on_a_real_image_size_and_steep_or_flat_models(name, scale):
    generator = torch.Generator().manual_seed(1)
    inputs = torch.rand(4, 3, 32, 32, generator=generator)
    normal = torch.randn(4, 3, 32, 32, generator=generator) * scale
    most = (normal.abs() * torch.where(normal > 0, 1 - inputs, inputs)).sum((1, 2, 3))
    gap = most * torch.tensor([1e-4, 0.1, 0.7, 0.999])
    step = smallest_step(NORMS[name], normal, gap, -inputs, 1 - inputs)
    torch.testing.assert_close((normal * step).sum((1, 2, 3)) / gap, torch.ones(4), rtol=2e-5, atol=0.0)


@NORM
def test_nothing_to_gain_and_no_way_to_gain_it(name):
    norm, room = NORMS[name], torch.ones(2, 3)
    still = smallest_step(norm, torch.tensor([[1.0, 2.0, 0.0]]).expand(2, 3), torch.zeros(2), -room, room)
    assert not still.any()
    flat = smallest_step(norm, torch.zeros(2, 3), torch.ones(2), -room, room)
    assert not flat.any()
    assert bool((distance(norm, torch.zeros(2, 3), torch.ones(2)) > 1e30).all())
    assert smallest_step(norm, torch.zeros(0, 3), torch.zeros(0), room[:0], room[:0]).shape == (0, 3)
