import numpy as np
import pytest

from foolscope.core.errors import RecipeError
from foolscope.experiments.parts.demonstrations import DEMONSTRATIONS, low_rank
from foolscope.experiments.parts.demonstrations.low_rank import LowRank
from foolscope.experiments.study_file import study_from
from foolscope.reference import central_differences

CHANCE = np.random.default_rng(5)
X, A, B = CHANCE.normal(size=(5, 4)), CHANCE.normal(size=(5, 2)), CHANCE.normal(size=(2, 4))


def run(seed=0, **settings):
    return DEMONSTRATIONS["low-rank"].run(LowRank(name="it", **settings), seed)


def test_gradients_are_those_of_central_differences():
    by_a, by_b = low_rank.gradients(X, A, B)
    expected = central_differences(lambda a: low_rank.objective(X, a, B), A)
    np.testing.assert_allclose(by_a, expected, rtol=1e-7)
    expected = central_differences(lambda b: low_rank.objective(X, A, b), B)
    np.testing.assert_allclose(by_b, expected, rtol=1e-7)


def test_the_hessian_is_that_of_the_gradients_and_has_twice_the_singular_values():
    rank, size = 2, 18
    hessian = low_rank.hessian_at_origin(X, rank)
    step = 1e-4
    for place in range(size):
        moved = np.eye(size)[place] * step
        a, b = moved[:10].reshape(5, 2), moved[10:].reshape(2, 4)
        ahead = np.concatenate([part.ravel() for part in low_rank.gradients(X, a, b)])
        back = np.concatenate([part.ravel() for part in low_rank.gradients(X, -a, -b)])
        np.testing.assert_allclose(hessian[:, place], (ahead - back) / (2 * step), atol=1e-7)
    doubled = 2 * np.repeat(np.linalg.svd(X, compute_uv=False), rank)
    expected = np.sort([*doubled, *-doubled, 0, 0])
    np.testing.assert_allclose(np.linalg.eigvalsh(hessian), expected, atol=1e-12)


def test_no_random_factors_beat_the_closed_form():
    a, b = low_rank.best_factors(X, 2)
    least = low_rank.objective(X, a, b)
    assert least == pytest.approx(np.square(np.linalg.svd(X, compute_uv=False)[2:]).sum())
    for _ in range(50):
        other = CHANCE.normal(size=(5, 2))
        best_for_it = np.linalg.lstsq(other, X, rcond=None)[0]
        assert low_rank.objective(X, other, best_for_it) > least


def test_descents_arrive_at_one_product_with_factors_of_their_own():
    measures = run(rows=6, columns=5, starts=3, steps=1500).measures
    assert measures["best_value"] == pytest.approx(0.49**2 + 0.343**2 + 0.2401**2)
    assert -1e-12 < measures["descent_excess"] < 1e-9
    assert measures["product_difference"] < 1e-6
    assert measures["factor_residual"] < 1e-6
    assert measures["factor_difference"] > 0.05
    assert measures["closed_form_error"] < 1e-12
    assert measures["invariance_error"] < 1e-10
    assert (measures["least_curvature"], measures["largest_curvature"]) == pytest.approx((-2, 2))


def test_a_wrong_gradient_does_not_arrive(monkeypatch):
    right = low_rank.gradients
    monkeypatch.setattr(low_rank, "gradients", lambda x, a, b: (right(x, a, b)[0], -right(x, a, b)[1]))
    assert run(rows=6, columns=5, starts=2, steps=300).measures["descent_excess"] > 0.1


def test_too_large_a_rate_ends_with_numbers():
    outcome = run(rows=6, columns=5, starts=2, steps=300, learning_rate=5.0)
    assert outcome.measures["descent_excess"] > 1e5
    assert np.isfinite(outcome.data["losses"]).all()


def test_a_rank_that_is_not_low_is_refused():
    table = {"name": "it", "kind": "low-rank", "rows": 4, "columns": 9, "rank": 4}
    with pytest.raises(RecipeError, match="rank must be at most 3 for 4 × 9; got 4"):
        study_from({"name": "s", "title": "t", "question": "q", "demonstrations": [table]})
