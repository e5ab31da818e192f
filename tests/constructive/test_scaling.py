import numpy as np
import pytest
import torch

from foolscope.constructive import (
    EXAMPLES,
    ApproximationError,
    Scaling,
    Target,
    approximate,
    fitted_slope,
    scaling,
    sup_error,
    train_network,
)
from foolscope.core.randomness import torch_generator

LINE = [target for target in EXAMPLES if target.dimension == 1]
PLANE = [target for target in EXAMPLES if target.dimension == 2]


@pytest.mark.parametrize("target", EXAMPLES, ids=lambda target: target.name)
def test_the_gradient_bounds_of_the_examples_hold_and_are_not_wasteful(target):
    axis = torch.linspace(0, 1, 301, dtype=torch.float64)
    points = [
        x.clone().requires_grad_()
        for x in torch.cartesian_prod(*[axis] * target.dimension).reshape(-1, target.dimension).T
    ]
    gradients = torch.autograd.grad(target.function(*points).sum(), points)
    steepest = max(float(gradient.abs().max()) for gradient in gradients)
    assert 0.95 * target.gradient_bound < steepest <= target.gradient_bound


@pytest.mark.parametrize(("functions", "slope"), [(LINE, 1.0), (PLANE, 2.0)], ids=["line", "plane"])
def test_units_grow_with_the_measured_error_as_the_theory_says(functions, slope):
    ratios = np.geomspace(20, 200, 4) if slope == 1.0 else np.array([6, 11, 16])
    built = [
        [
            approximate(each.function, each.gradient_bound, each.gradient_bound / ratio, each.dimension)
            for ratio in ratios
        ]
        for each in functions
    ]
    units = np.array([[one.hidden_units for one in row] for row in built])
    reached = np.array([[one.gradient_bound / one.sup_error() for one in row] for row in built])
    assert fitted_slope(reached, units) == pytest.approx(slope, abs=0.06)
    assert abs(fitted_slope(reached, units) - (3.0 - slope)) > 0.9


def test_a_slope_is_fitted_with_a_constant_for_each_function():
    reached = np.array([[1.0, 2.0, 8.0], [10.0, 20.0, 30.0]])
    units = np.round(1e6 * np.array([[3.0], [0.5]]) * reached**1.5).astype(np.int64)
    assert fitted_slope(reached, units) == pytest.approx(1.5, abs=1e-6)


@pytest.fixture(scope="module")
def measured():
    before = torch.get_rng_state()
    answer = scaling(LINE[:2], [10.0, 40.0], seeds=2, training_steps=150)
    assert torch.equal(before, torch.get_rng_state())
    return answer


def test_every_construction_keeps_its_promise(measured):
    assert measured.units.tolist() == [[5, 20]] * 2
    assert measured.sizes.tolist() == [1, 2, 5, 20]
    epsilons = measured.gradient_bounds[:, None] / measured.ratios
    assert np.all(measured.errors <= measured.bounds)
    assert np.all(measured.bounds <= epsilons)
    assert measured.trained_errors.shape == (2, 4, 2)
    np.testing.assert_allclose(
        measured.reached * measured.errors, measured.gradient_bounds[:, None] * np.ones((2, 2))
    )


def test_trained_networks_learn_and_larger_ones_learn_more(measured):
    typical = measured.typical_errors
    assert np.all(typical[:, 3] < 0.7 * typical[:, 0])
    assert measured.trained_errors[0, 3, 0] != measured.trained_errors[0, 3, 1]


def test_the_answer_is_the_same_again_and_another_for_another_seed(measured):
    again = scaling(LINE[:1], [10.0, 40.0], seeds=1, training_steps=150)
    np.testing.assert_array_equal(again.trained_errors, measured.trained_errors[:1, :, :1])
    other = scaling(LINE[:1], [10.0, 40.0], seed=1, seeds=1, training_steps=20)
    assert not np.isin(other.trained_errors, measured.trained_errors).any()


def numbers(errors, trained):
    return Scaling(
        names=("f",),
        dimension=2,
        gradient_bounds=np.array([1.0]),
        ratios=np.array([5.0, 10.0, 20.0]),
        units=np.array([[4, 8, 16]]),
        bounds=np.array([[0.2, 0.1, 0.05]]),
        errors=np.array([errors]),
        sizes=np.array([1, 2, 4, 8, 16]),
        trained_errors=np.array([trained])[:, :, None] * np.array([0.5, 1.0, 7.0]),
    )


def test_which_needs_fewer():
    answer = numbers([0.2, 0.1, 0.05], [0.9, 0.15, 0.12, 0.08, 0.06])
    assert answer.fewest_trained.tolist()[0][:2] == [2.0, 8.0]
    assert np.isnan(answer.fewest_trained[0, 2])
    np.testing.assert_allclose(answer.as_many_trained, [[0.12, 0.08, 0.06]])
    assert answer.sentence == (
        "For the same sup-norm error in the plane, a trained network needed fewer units than a "
        "constructed one in 1 of 3 cases, 50% as many in their median;"
        " with as many units its error was smaller in 2."
    )
    none = numbers([1e-3, 1e-3, 1e-3], [1.0] * 5)
    assert none.sentence.endswith("in 0 of 3 cases; with as many units its error was smaller in 0.")


def test_a_trained_network_gets_nearer_with_more_steps_in_the_plane():
    target = PLANE[2]
    errors = []
    for steps in (1, 400):
        network = train_network(
            target.function, 20, 2, generator=torch_generator(0, "test"), training_steps=steps
        )
        assert network[0].weight.shape == (20, 2)
        errors.append(sup_error(network, target.function, dimension=2, points_per_axis=41, hidden_units=20))
    assert errors[1] < 0.5 * errors[0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: scaling(EXAMPLES, [10, 20]), r"functions of one dimension; got dimensions \[1, 2\]"),
        (lambda: scaling([], [10, 20]), r"got dimensions \[\]"),
        (lambda: scaling(LINE, [10.0]), "at least two different ratios t/epsilon above 4; got"),
        (lambda: scaling(LINE, [4.0, 10.0]), "above 4"),
        (lambda: scaling(LINE, [8.0, 10.0], seeds=0), "at least 1; got 0 and"),
        (
            lambda: train_network(torch.sin, 0, generator=torch_generator(0, "test")),
            "at least 1 hidden unit and 1 step; got 0 and",
        ),
        (lambda: scaling([Target("flat", torch.zeros_like, 0.0, 1)], [8.0, 10.0]), "that of 'flat' is not"),
    ],
)
def test_mistakes_get_one_line(call, message):
    with pytest.raises(ApproximationError, match=message):
        call()
