import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from known_functions import cone, functions

from foolscope.constructive import (
    LEAST_SHARPNESS,
    ApproximationError,
    CornerNetwork,
    approximate,
    guarantee,
    measuring,
    sup_error,
    tower,
)
from foolscope.core.errors import FoolscopeError

SHARPNESS = st.floats(LEAST_SHARPNESS, 100.0)
EITHER = st.sampled_from([1, 2]).flatmap(
    lambda dimension: st.tuples(functions(dimension), st.just(dimension))
)


def sine(x):
    return torch.sin(3 * x)


def ripples(x, y):
    return torch.sin(3 * x) * torch.cos(2 * y)


def at(module, *points):
    with torch.no_grad():
        return module(torch.tensor(points, dtype=torch.float64)).flatten()


# ------------------------------------------------------------------ the guarantee


@settings(max_examples=80)
@given(known=functions(1), ratio=st.floats(0.5, 80), sharpness=SHARPNESS)
@example(known=cone((0.5,), 1.0, 0.0), ratio=7.5, sharpness=LEAST_SHARPNESS)
def test_on_the_line_the_error_is_within_the_bound_and_the_bound_within_epsilon(known, ratio, sharpness):
    epsilon = known.gradient_bound / ratio or 0.1
    built = approximate(known.function, known.gradient_bound, epsilon, sharpness=sharpness)
    assert built.sup_error(9) <= built.bound <= epsilon


@settings(max_examples=60)
@given(known=functions(2), ratio=st.floats(0.5, 14), sharpness=SHARPNESS)
def test_in_the_plane_the_error_is_within_the_bound_and_the_bound_within_epsilon(known, ratio, sharpness):
    epsilon = known.gradient_bound / ratio or 0.1
    built = approximate(known.function, known.gradient_bound, epsilon, 2, sharpness=sharpness)
    assert built.sup_error(5) <= built.bound <= epsilon


@settings(max_examples=40)
@given(known=EITHER, sharpness=SHARPNESS)
def test_single_precision_keeps_its_guarantee_too(known, sharpness):
    (target, dimension), single = known, torch.float32
    epsilon = target.gradient_bound / 6 + 1e-3
    built = approximate(
        target.function, target.gradient_bound, epsilon, dimension, sharpness=sharpness, dtype=single
    )
    assert {weight.dtype for weight in built.module.parameters()} == {single}
    assert built.sup_error(5) <= built.bound <= epsilon


@settings(max_examples=60)
@given(
    apex=st.floats(0, 1),
    other=st.floats(0, 1),
    sharpness=SHARPNESS,
    cells=st.integers(2, 9),
    dimension=st.sampled_from([1, 2]),
)
def test_the_bound_holds_at_the_apex_of_the_steepest_function(apex, other, sharpness, cells, dimension):
    """No function with that gradient bound is farther from its mean over cells than a cone is at its apex."""
    point = (apex, other)[:dimension]
    bound = guarantee(1.0, cells, dimension, sharpness)
    built = approximate(
        cone(point, 1.0, 0.0).function, 1.0, bound * (1 + 1e-9), dimension, sharpness=sharpness
    )
    assert built.cells == cells
    assert float(at(built.module, point)) <= built.bound


@pytest.mark.parametrize("sharpness", [LEAST_SHARPNESS, 5.0, 20.0, 100.0])
@pytest.mark.parametrize("dimension", [1, 2])
def test_no_smaller_bound_would_do(dimension, sharpness):
    """A cone with its apex where cells meet is as far away as an ideal staircase must be, and a bit more."""
    apex = (0.5,) * dimension
    built = approximate(cone(apex, 1.0, 0.0).function, 1.0, 0.1 * dimension, dimension, sharpness=sharpness)
    assert built.cells % 2 == 0
    ideal = dimension / built.cells / 2
    error = float(at(built.module, apex))
    assert error > 0.999 * ideal
    assert error > 0.75 * built.bound


def test_gentle_steps_cost_more_cells():
    sharpnesses = (LEAST_SHARPNESS, 3.0, 20.0)
    cells = [approximate(sine, 3.0, 0.052, sharpness=q).cells for q in sharpnesses]
    assert (
        cells == [math.ceil(3 / 0.052 * (0.5 + 2 / (math.exp(q) - 1))) for q in sharpnesses] == [68, 35, 29]
    )


# ------------------------------------------------------------------ towers that add up


@settings(max_examples=25)
@given(x=st.floats(0, 1), y=st.floats(0, 1), cells=st.integers(2, 4), sharpness=st.floats(0.5, 100.0))
def test_towers_are_weights_with_the_margins_of_the_line(x, y, cells, sharpness):
    def steps(place):
        inner = torch.sigmoid(sharpness * cells * (place - torch.arange(1, cells).double() / cells))
        return torch.cat([torch.ones(1).double(), inner, torch.zeros(1).double()])

    weights = torch.zeros(cells, cells, dtype=torch.float64)
    for cell in np.ndindex(cells, cells):
        height = torch.zeros(cells, cells, dtype=torch.float64)
        height[cell] = 1.0
        weights[cell] = float(at(CornerNetwork(height, sharpness * cells, torch.float64), (x, y)))
    assert float(weights.min()) >= -1e-12
    torch.testing.assert_close(weights.sum(dim=1), -steps(x).diff(), atol=1e-12, rtol=0)
    torch.testing.assert_close(weights.sum(dim=0), -steps(y).diff(), atol=1e-12, rtol=0)


def test_published_towers_leave_holes_that_no_steepness_closes():
    def flat(x, y):
        return 1.0 + 0.0 * x * y

    sides, corners = [(0.2, 0.3), (0.5, 0.6)], [(0.2, 0.2), (0.4, 0.8)]  # cells are 0.2 wide
    for steepness in (500.0, 5e4):
        towers = [
            tower((column / 5, (column + 1) / 5), (row / 5, (row + 1) / 5), steepness)
            for column, row in np.ndindex(5, 5)
        ]
        assert sum(at(each, *sides) for each in towers).tolist() == pytest.approx([1.0] * 2, abs=1e-6)
        assert sum(at(each, *corners) for each in towers).tolist() == pytest.approx([0.0] * 2, abs=1e-6)
    built = approximate(flat, 0.0, 0.1, dimension=2)
    assert built.sup_error() < 1e-12


# ------------------------------------------------------------------ units


def units(ratios, dimension):
    flat = (lambda x: 0 * x) if dimension == 1 else (lambda x, y: 0 * x * y)
    return np.array([approximate(flat, 1.0, 1.0 / ratio, dimension).hidden_units for ratio in ratios])


def test_units_are_proportional_to_the_ratio_on_the_line_and_to_its_square_in_the_plane():
    ratios = np.array([8, 32, 128, 512, 1024])
    assert units(ratios, 1).tolist() == (ratios // 2).tolist()
    assert units(ratios, 2).tolist() == ((ratios + 1) ** 2 - 1).tolist()


@pytest.mark.parametrize("dimension", [1, 2])
def test_the_number_of_hidden_units_is_that_of_the_module(dimension):
    built = approximate((sine, ripples)[dimension - 1], 3.0, 0.4, dimension)
    inner = []
    for layer in built.module.modules():
        layer.register_forward_hook(lambda layer, inputs, output: inner.append((type(layer), output)))
    at(built.module, (0.3,) * dimension)
    if dimension == 1:
        (count,) = [output.numel() for kind, output in inner if kind is torch.nn.Sigmoid]
    else:
        steps = [output.numel() for kind, output in inner if kind is torch.nn.Linear]
        count = sum(steps) + steps[0] * steps[1]
        assert built.module.corner_heights.numel() == steps[0] * steps[1]
    assert built.hidden_units == count


def test_steps_lie_on_the_borders_and_are_as_high_as_the_values_differ():
    built = approximate(sine, 3.0, 0.4, sharpness=30.0)
    hidden, _, output = built.module.requires_grad_(False)
    n = built.cells
    borders = -hidden.bias / hidden.weight[:, 0]
    assert borders.tolist() == pytest.approx([k / n for k in range(1, n)])
    assert hidden.weight.flatten().tolist() == [30.0 * n] * (n - 1) == [built.steepness] * (n - 1)
    values = np.sin(3 * (np.arange(n) + 0.5) / n)
    assert output.weight.flatten().tolist() == pytest.approx(np.diff(values).tolist())
    assert float(output.bias) == pytest.approx(values[0])


# ------------------------------------------------------------------ measuring


def spoil(built, name, change):
    with torch.no_grad():
        weight = built.module.get_parameter(name)
        weight.copy_(change(weight))
    return built.sup_error()


@pytest.mark.parametrize(
    ("dimension", "name", "change"),
    [
        (1, "0.bias", lambda bias: bias * 1.05),
        (1, "0.weight", lambda weight: weight / 20),
        (1, "2.weight", lambda heights: heights.roll(1, dims=1)),
        (1, "2.bias", lambda bias: bias + 0.1),
        (2, "corner_heights", lambda heights: heights.T.clone()),
        (2, "corner_heights", torch.zeros_like),
        (2, "across_heights", lambda heights: heights.flip(0)),
        (2, "up.bias", lambda bias: bias * 1.6),
    ],
)
def test_the_measurement_sees_a_wrong_weight(dimension, name, change):
    function = (lambda x: (x - 0.5).abs(), lambda x, y: (x - 0.5).abs() * (1 - y))[dimension - 1]
    built = approximate(function, 1.0, 0.1 * dimension, dimension)
    assert built.sup_error() <= built.bound
    assert spoil(built, name, change) > built.bound


@pytest.mark.parametrize("dimension", [1, 2])
def test_the_error_is_the_largest_on_the_grid_whatever_the_batches(dimension, monkeypatch):
    function = (sine, ripples)[dimension - 1]
    built = approximate(function, 3.0, 0.5, dimension)
    axis = np.linspace(0, 1, 4 * built.cells + 1)
    grid = torch.tensor(np.stack(np.meshgrid(*[axis] * dimension), axis=-1).reshape(-1, dimension))
    expected = float((at(built.module, *grid.tolist()) - function(*grid.T)).abs().max())
    for numbers in (1, 700, 2**21):
        monkeypatch.setattr(measuring, "_BATCH_NUMBERS", numbers)
        assert built.sup_error(4) == pytest.approx(expected, rel=1e-9)


def test_the_error_of_any_module_can_be_measured():
    identity = torch.nn.Linear(1, 1, device="meta", dtype=torch.float64).to_empty(device="cpu")
    torch.nn.init.ones_(identity.weight)
    torch.nn.init.zeros_(identity.bias)
    error = sup_error(identity, lambda x: x**2, dimension=1, points_per_axis=101, hidden_units=1)
    assert error == pytest.approx(0.25)


def test_an_output_that_is_not_a_number_is_an_infinite_error():
    built = approximate(sine, 3.0, 0.5)
    assert spoil(built, "2.bias", lambda bias: bias * math.nan) == math.inf


@settings(max_examples=30)
@given(heights=st.lists(st.floats(-1, 1), min_size=4, max_size=40), sharpness=SHARPNESS)
def test_rounding_stays_within_its_part_of_the_bound(heights, sharpness):
    """A zigzag with many high steps, in float32 and, with the same settings, in float64."""
    places, zigzag = np.linspace(0, 1, len(heights)), np.array(heights) + 50.0

    def function(x):
        return torch.as_tensor(np.interp(x.numpy(), places, zigzag))

    slope = float(np.abs(np.diff(zigzag)).max() * (len(heights) - 1)) + 0.1
    exact = approximate(function, slope, slope / 50, sharpness=sharpness)
    rough = approximate(function, slope, slope / 50, sharpness=sharpness, dtype=torch.float32)
    if rough.cells != exact.cells:
        exact = approximate(
            function, slope, 1.000001 * guarantee(slope, rough.cells, 1, sharpness), sharpness=sharpness
        )
    points = torch.rand(300, 1, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        difference = (rough.module(points).double() - exact.module(points.double())).abs().max()
    assert rough.cells == exact.cells
    assert float(difference) <= rough.rounding


# ------------------------------------------------------------------ the person's mistakes


def nan_at_half(x):
    return torch.where((x - 0.5).abs() < 0.1, math.nan, x)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: approximate(sine, 3.0, 0.0), "epsilon must be positive and finite; got 0.0"),
        (lambda: approximate(sine, 3.0, -1.0), "epsilon must be positive and finite; got -1.0"),
        (lambda: approximate(sine, 3.0, math.nan), "epsilon must be positive"),
        (lambda: approximate(sine, -3.0, 0.1), "gradient_bound must be at least 0 and finite; got -3.0"),
        (lambda: approximate(sine, math.inf, 0.1), "gradient_bound must be at least 0"),
        (lambda: approximate(sine, 3.0, 0.1, dimension=3), r"dimension must be 1 .* or 2 .*; got 3"),
        (
            lambda: approximate(sine, 3.0, 0.1, sharpness=1.0),
            r"sharpness must be in \[2 ln 2, 100\]; got 1.0",
        ),
        (lambda: approximate(sine, 3.0, 0.1, dtype=torch.float16), "dtype must be torch.float32 or"),
        (lambda: approximate(sine, 1.0, 0.1), "gradient_bound is 1, but the function rises by 2.6"),
        (lambda: approximate(lambda x: x[:3], 1.0, 0.1), r"of shape \(6,\); got shape \(3,\)"),
        (lambda: approximate(lambda x: 1.0, 1.0, 0.1), r"got shape \(\). Compute with tensors"),
        (lambda: approximate(lambda x: x[:, None], 1.0, 0.1), r"got shape \(6, 1\)"),
        (lambda: approximate(nan_at_half, 1.0, 0.1), r"finite on the whole unit interval; got nan at \(0.41"),
        (lambda: approximate(lambda x, y: 1 / (0 * x), 1.0, 0.5, 2), r"unit square; got inf at \(0.16"),
        (
            lambda: approximate(sine, 3.0, 1e-7),
            "needs 1.5e.07 hidden units, more than 4,000,000; raise epsilon",
        ),
        (lambda: approximate(ripples, 3.0, 1e-3, 2), "needs 9.01e.06 hidden units"),
        (lambda: approximate(sine, 1e200, 1e-200), "needs inf hidden units"),
        (lambda: approximate(ripples, 1e200, 1.0, 2), "needs inf hidden units"),
        (lambda: approximate(sine, 3.0, 0.5).sup_error(0), "at least 2 points per axis; got 1"),
        (lambda: approximate(sine, 3.0, 1e-4, dtype=torch.float32), "too small for float32: .* use float64"),
        (lambda: approximate(lambda x: x + 1e15, 1.0, 0.01), "too small for float64: .* raise epsilon"),
    ],
)
def test_mistakes_get_one_line(call, message):
    with pytest.raises(ApproximationError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, FoolscopeError)


def test_the_advised_epsilon_is_enough():
    with pytest.raises(ApproximationError) as caught:
        approximate(ripples, 3.0, 1e-4, dimension=2)
    advised = float(str(caught.value).rsplit(" ", 1)[1])
    assert approximate(ripples, 3.0, advised, dimension=2).hidden_units <= 4_000_000


def test_settings_and_results_do_not_change():
    built = approximate(sine, 3.0, 0.1)
    with pytest.raises(AttributeError):
        built.cells = 3
    assert replace(built, epsilon=0.2).epsilon == 0.2
