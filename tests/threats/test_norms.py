import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import kstest

from foolscope.threats.norms import L1, NORMS

ALL = pytest.mark.parametrize("name", NORMS)
SIZES = {
    "linf": lambda d: np.abs(d).max(1),
    "l2": lambda d: np.sqrt((d**2).sum(1)),
    "l1": lambda d: np.abs(d).sum(1),
}


@st.composite
def cases(draw):
    """Perturbations, budgets and room, with ties, zeros and pixels that have no room at all."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    batch, pixels = draw(st.integers(1, 4)), draw(st.integers(1, 12))
    scale = draw(st.sampled_from([1e-3, 0.1, 1.0, 30.0]))
    z = rng.normal(size=(batch, pixels)) * scale
    if draw(st.booleans()):
        z = np.round(z, 1)
    inputs = np.round(rng.uniform(size=(batch, pixels)), draw(st.sampled_from([0, 1, 12])))
    epsilon = rng.uniform(size=batch) * draw(st.sampled_from([0.0, 0.01, 1.0, 5.0]))
    return tuple(torch.tensor(value) for value in (z, epsilon, -inputs, 1 - inputs))


def oracle(name, z, epsilon, lower, upper):
    """Solve each image's projection by its optimality conditions: one multiplier, found by bracketing."""
    clip = {
        "linf": lambda m: np.clip(np.clip(z, -epsilon, epsilon), lower, upper),
        "l2": lambda m: np.clip(z / (1 + m), lower, upper),
        "l1": lambda m: np.clip(np.sign(z) * np.maximum(np.abs(z) - m, 0), lower, upper),
    }[name]
    size = SIZES[name]
    if name == "linf" or size(clip(0)[None])[0] <= epsilon:
        return clip(0)
    if epsilon == 0:
        return np.zeros_like(z)
    top = np.abs(z).max() * (1 if name == "l1" else len(z) / epsilon) + 1
    return clip(
        brentq(lambda m: size(clip(m)[None])[0] - epsilon, 0, top, xtol=1e-14, rtol=1e-14, maxiter=500)
    )


@ALL
def test_size(name):
    d = torch.tensor([[3.0, -4.0, 0.0], [0.0, 0.0, 0.0]])
    expected = {"linf": [4, 0], "l2": [5, 0], "l1": [7, 0]}[name]
    assert NORMS[name].size(d).tolist() == expected
    assert NORMS[name].size(d.view(2, 1, 3, 1)).tolist() == expected
    assert NORMS[name].size(torch.zeros(0, 1, 3, 1)).shape == (0,)


@ALL
@settings(max_examples=120, deadline=None)
@given(case=cases())
def test_projection_is_the_nearest_feasible_point(name, case):
    norm = NORMS[name]
    z, epsilon, lower, upper = case
    got = norm.project(z, epsilon, lower, upper)
    expected = np.stack(
        [oracle(name, *(t[k].numpy() for t in (z, epsilon, lower, upper))) for k in range(len(z))]
    )
    np.testing.assert_allclose(got.numpy(), expected, atol=2e-7, rtol=1e-7)
    assert bool((norm.size(got) <= epsilon * (1 + 1e-12) + 1e-12).all())
    assert bool(((got >= lower) & (got <= upper)).all())
    torch.testing.assert_close(norm.project(got, epsilon, lower, upper), got, atol=1e-12, rtol=1e-12)


@ALL
@settings(max_examples=60, deadline=None)
@given(case=cases(), seed=st.integers(0, 2**32 - 1))
def test_projection_does_not_expand_and_beats_every_feasible_point(name, case, seed):
    norm = NORMS[name]
    z, epsilon, lower, upper = case
    rng = np.random.default_rng(seed)
    other = z + torch.tensor(rng.normal(size=z.shape))
    here, there = norm.project(z, epsilon, lower, upper), norm.project(other, epsilon, lower, upper)
    assert bool(((here - there).norm(dim=1) <= (z - other).norm(dim=1) + 1e-9).all())
    uniform = torch.tensor(rng.uniform(size=(len(z), z.shape[1] + 1)))
    feasible = norm.random_start(uniform, epsilon).maximum(lower).minimum(upper)
    # The angle at a projection is obtuse: this characterizes it.
    assert bool((((z - here) * (feasible - here)).sum(1) <= 1e-9).all())


@ALL
def test_projection_onto_the_ball_alone(name):
    z = torch.randn(5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    epsilon = torch.tensor([0.0, 0.1, 1.0, 3.0, 100.0], dtype=torch.float64)
    got = NORMS[name].project(z, epsilon)
    torch.testing.assert_close(NORMS[name].size(got), epsilon.minimum(NORMS[name].size(z)))
    assert torch.equal(got[4], z[4])
    assert torch.equal(NORMS[name].project(z.view(5, 1, 7, 1), epsilon), got.view(5, 1, 7, 1))
    assert NORMS[name].project(z[:0], epsilon[:0]).shape == (0, 7)


@ALL
def test_projection_in_float32_on_a_real_image_size(name):
    generator = torch.Generator().manual_seed(1)
    inputs = torch.rand(8, 3072, generator=generator)
    z = torch.randn(8, 3072, generator=generator)
    epsilon = torch.tensor({"linf": 8 / 255, "l2": 0.5, "l1": 12.0}[name]).repeat(8)
    got = NORMS[name].project(z, epsilon, -inputs, 1 - inputs)
    torch.testing.assert_close(NORMS[name].size(got), epsilon, rtol=2e-6, atol=0.0)


@ALL
def test_steepest_step_has_the_size_and_the_dual_gain(name):
    generator = torch.Generator().manual_seed(2)
    gradient = torch.randn(6, 40, generator=generator, dtype=torch.float64)
    gradient[5] = 0
    step_size = torch.linspace(0.1, 0.6, 6, dtype=torch.float64)
    step = NORMS[name].steepest_step(gradient, step_size)
    torch.testing.assert_close(NORMS[name].size(step[:5]), step_size[:5])
    assert not step[5].any()
    dual = {"linf": gradient.abs().sum(1), "l2": gradient.norm(dim=1), "l1": gradient.abs().amax(1)}[name]
    torch.testing.assert_close((gradient * step).sum(1), step_size * dual)


def test_l1_step_is_sparse_and_passes_over_pixels_that_cannot_move():
    gradient = torch.tensor([[4.0, -3.0, 2.0, 1.0]])
    upper, lower = torch.tensor([[0.0, 1.0, 1.0, 1.0]]), torch.tensor([[-1.0, 0.0, 0.0, 0.0]])
    step = L1(density=0.5).steepest_step(gradient, torch.tensor([1.0]), lower, upper)
    assert step.tolist() == [[0.0, 0.0, 0.5, 0.5]]


def test_l2_step_survives_tiny_gradients():
    step = NORMS["l2"].steepest_step(torch.tensor([[3e-30, 4e-30]]), torch.tensor([1.0]))
    torch.testing.assert_close(step, torch.tensor([[0.6, 0.8]]))


@ALL
def test_random_start_is_uniform_in_the_ball(name):
    pixels, count = 5, 4000
    uniform = torch.rand(count, pixels + 1, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    epsilon = torch.linspace(0.5, 2.0, count, dtype=torch.float64)
    start = NORMS[name].random_start(uniform, epsilon)
    relative = NORMS[name].size(start) / epsilon
    assert bool((relative <= 1 + 1e-12).all())
    # The fraction of a ball's volume within r of its center is r^pixels.
    assert kstest(relative.numpy() ** pixels, "uniform").pvalue > 0.01
    assert abs(float((start / epsilon[:, None]).mean())) < 0.02
    assert bool(((start > 0).double().mean(0) - 0.5).abs().max() < 0.04)


@ALL
def test_random_start_survives_the_ends_of_the_interval(name):
    uniform = torch.tensor([[0.0] * 4, [1 - 2**-24] * 4, [0.5] * 4])
    start = NORMS[name].random_start(uniform, torch.ones(3))
    assert bool(start.isfinite().all())
    assert bool((NORMS[name].size(start) <= 1 + 1e-5).all())
