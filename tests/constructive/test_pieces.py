import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from foolscope.constructive import bump, step, tower

LOCATIONS = st.floats(0.0, 1.0)
STEEPNESS = st.floats(1.0, 1000.0) | st.floats(-1000.0, -1.0)
HEIGHTS = st.floats(-5.0, 5.0)


def column(*values):
    return torch.tensor(values, dtype=torch.float64)[:, None]


@settings(max_examples=50)
@given(location=LOCATIONS, steepness=STEEPNESS, height=HEIGHTS)
def test_a_step_lies_at_minus_b_over_w_with_steepness_w_and_the_height_of_its_output_weight(
    location, steepness, height
):
    network = step(location, steepness, height).requires_grad_(False)
    hidden, _, output = network
    assert (-hidden.bias / hidden.weight).item() == pytest.approx(location, abs=1e-12)
    assert hidden.weight.item() == steepness
    assert output.weight.item() == height
    x = column(location).requires_grad_()
    middle = network(x)
    (slope,) = torch.autograd.grad(middle.sum(), x)
    assert middle.item() == pytest.approx(height / 2, abs=1e-10)
    assert slope.item() == pytest.approx(height * steepness / 4, rel=1e-9)  # σ' = 1/4 in the middle
    far = 40.0 / steepness
    assert network(column(location - far, location + far)).flatten().tolist() == pytest.approx(
        [0.0, height], abs=1e-15 * (1 + abs(height))
    )


@given(location=LOCATIONS, steepness=STEEPNESS, distance=st.floats(-1.0, 1.0))
def test_a_step_differs_from_the_ideal_one_by_less_than_its_tail(location, steepness, distance):
    value = step(location, steepness)(column(location + distance)).item()
    ideal = float(distance * steepness > 0)
    assert abs(value - ideal) <= np.exp(-abs(steepness * distance)) + 1e-12


def test_the_published_bump_has_the_published_weights_and_values():
    network = bump(0.4, 0.6, 500.0)
    hidden, _, output = network
    assert hidden.weight.flatten().tolist() == [500.0, -500.0]
    assert hidden.bias.tolist() == [-200.0, 300.0]
    assert output.weight.flatten().tolist() == [1.0, 1.0]
    assert output.bias.tolist() == [-1.0]
    x = np.linspace(0, 1, 2001)
    published = expit(500 * x - 200) + expit(-500 * x + 300) - 1
    np.testing.assert_allclose(network(column(*x)).detach().numpy()[:, 0], published, atol=1e-12)
    assert published[[0, 700, 800, 1000, 1200, 1300]] == pytest.approx([0, 0, 0.5, 1, 0.5, 0], abs=1e-9)


@settings(max_examples=30)
@given(
    edges=st.lists(st.floats(0, 1), min_size=3, max_size=6, unique=True),
    steepness=st.floats(1, 500),
    x=st.floats(-1, 2),
    height=HEIGHTS,
)
def test_neighboring_bumps_add_up_without_a_seam(edges, steepness, x, height):
    edges = sorted(edges)
    parts = [bump(start, end, steepness, height)(column(x)) for start, end in itertools.pairwise(edges)]
    whole = bump(edges[0], edges[-1], steepness, height)(column(x))
    assert sum(parts).item() == pytest.approx(whole.item(), abs=1e-9)


def test_a_tower_has_four_hidden_units_and_one_output_unit():
    hidden, _, output, _, height = tower((0.2, 0.5), (0.1, 0.8), 300.0, 50.0, height=-2.5)
    assert hidden.weight.shape == (4, 2)
    assert output.weight.shape == (1, 4)
    assert height.weight.item() == -2.5


@given(
    x=st.floats(0, 1),
    y=st.floats(0, 1),
    steepness=st.floats(10, 1000),
    output_steepness=st.floats(1, 100),
    height=HEIGHTS,
)
def test_a_tower_keeps_to_its_bounds_inside_and_outside(x, y, steepness, output_steepness, height):
    (west, east), (south, north) = across, up = (0.2, 0.5), (0.1, 0.8)
    network = tower(across, up, steepness, output_steepness, height)
    value = network(torch.tensor([[x, y]], dtype=torch.float64)).item()
    margin = min(x - west, east - x, y - south, north - y)
    tail = np.exp(-steepness * abs(margin))
    if margin > 0:
        share = expit(output_steepness * (0.5 - 4 * tail))
        assert abs(value) >= abs(height) * share - 1e-12
    else:
        share = expit(-output_steepness * (0.5 - tail))
        assert abs(value) <= abs(height) * share + 1e-12


def test_a_tower_has_half_its_height_on_a_side_and_next_to_nothing_at_a_corner():
    network = tower((0.2, 0.5), (0.1, 0.8), 2000.0, 40.0, height=3.0)
    points = torch.tensor([[0.35, 0.4], [0.2, 0.4], [0.35, 0.8], [0.5, 0.8]], dtype=torch.float64)
    values = network(points).flatten().tolist()
    assert values == pytest.approx([3.0, 1.5, 1.5, 3.0 * expit(-20)], rel=1e-6)


def test_no_random_number_is_drawn():
    before = torch.get_rng_state()
    step(0.5, 10.0), bump(0.4, 0.6, 10.0), tower((0.0, 1.0), (0.0, 1.0), 10.0)
    assert torch.equal(before, torch.get_rng_state())
