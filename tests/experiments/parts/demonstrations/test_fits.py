import numpy as np
import pytest

from foolscope.experiments.parts.demonstrations import DEMONSTRATIONS, curve_fit, linear_regression
from foolscope.experiments.parts.demonstrations.curve_fit import CurveFit
from foolscope.experiments.parts.demonstrations.linear_regression import LinearRegression
from foolscope.reference import Affine


def run(kind, seed=0, **settings):
    entry = DEMONSTRATIONS[kind]
    return entry.run(entry.settings.model_validate({"name": "it", "kind": kind, **settings}), seed)


def test_a_curve_is_fitted_as_polyfit_fits_it():
    settings = CurveFit(name="it", points=20, steps=2000, learning_rate=1e-3)
    outcome = curve_fit.CURVE_FIT.run(settings, 1)
    x, heights = curve_fit.sample(settings, 1)
    polynomial = np.polyfit(x, heights, 3)
    least = float(np.square(np.polyval(polynomial, x) - heights).mean())
    np.testing.assert_allclose(
        outcome.data["least_squares"], np.polyval(polynomial, outcome.data["grid"]), atol=1e-9
    )
    assert outcome.measures["least_squares_loss"] == pytest.approx(least)
    assert outcome.measures["final_loss"] >= least
    assert outcome.measures["loss_ratio"] == pytest.approx(outcome.measures["final_loss"] / least)
    assert outcome.measures["rises"] == 0
    assert outcome.measures["gradient_error"] < 1e-9
    shown = np.square(np.interp(x, outcome.data["grid"], outcome.data["fitted"]) - heights).mean()
    assert shown == pytest.approx(outcome.measures["final_loss"], rel=0.05)


def test_a_wrong_gradient_shows(monkeypatch):
    right = Affine.parameter_gradients

    def forgets_the_bias(layer, cache, gradient):
        return {**right(layer, cache, gradient), "bias": np.zeros(1)}

    monkeypatch.setattr(Affine, "parameter_gradients", forgets_the_bias)
    outcome = run("curve-fit", points=20, steps=10)
    assert outcome.measures["gradient_error"] > 1e-3


def test_the_bound_parts_smooth_from_unstable():
    outcome = run("linear-regression", learning_rates=(1e-4, 1e-3, 1e-2), steps=400)
    settings = LinearRegression(name="it", steps=400)
    features, targets = linear_regression.sample(settings, 0)
    design = np.hstack([features, np.ones((len(features), 1))])
    largest = np.linalg.norm(design, 2) ** 2 * 2 / len(features)
    assert outcome.measures["curvature"] == pytest.approx(largest)
    assert outcome.measures["bound"] == pytest.approx(2 / largest)
    residual = np.linalg.lstsq(design, targets, rcond=None)[1][0]
    assert outcome.measures["least_loss"] == pytest.approx(residual / len(features))
    for rate in (1e-4, 1e-3, 1e-2):
        share, rises = (outcome.measures[f"{name}@{rate:g}"] for name in ("share_of_bound", "rises"))
        assert share == pytest.approx(rate * largest / 2)
        assert (rises > 0) == (share > 1)
        assert outcome.measures[f"excess@{rate:g}"] > 0
    assert outcome.measures["rises_below"] == 0
    assert outcome.measures["growth_above"] > 10


def test_features_of_one_size_move_the_bound_beyond_either_rate():
    outcome = run("linear-regression", deviations=(1.0, 1.0, 1.0), steps=200)
    assert outcome.measures["bound"] == pytest.approx(1, abs=0.4)
    assert outcome.measures["rises@0.01"] == 0
