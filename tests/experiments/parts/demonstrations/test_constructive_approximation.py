import numpy as np
import pytest
import torch

from foolscope.constructive import EXAMPLES
from foolscope.experiments.parts.demonstrations import constructive_approximation as module
from foolscope.experiments.parts.demonstrations.constructive_approximation import ConstructiveApproximation


@pytest.fixture(scope="module")
def outcome():
    settings = ConstructiveApproximation(
        name="it", line_ratios=(5.0, 10.0), plane_ratios=(5.0, 10.0), training_steps=1
    )
    return module.CONSTRUCTIVE_APPROXIMATION.run(settings, 0)


def test_the_pieces_are_the_published_ones(outcome):
    measures = outcome.measures
    assert measures["bump_error"] < 1e-12
    assert measures["bump_height"] == pytest.approx(1, abs=1e-12)
    assert measures["bump_outside"] == pytest.approx(1 / (1 + np.exp(10)), rel=1e-6)  # σ(−500 · 0.02)
    assert measures["tower_height"] == pytest.approx(1, abs=1e-6)
    assert measures["tower_outside"] < 1e-6


def test_another_bump_shows(monkeypatch):
    right = module.bump
    monkeypatch.setattr(module, "bump", lambda start, end, steepness: right(start, end + 0.01, steepness))
    assert module._pieces()["bump_error"] > 0.1


def test_guarantees_hold_and_units_grow_with_the_dimension(outcome):
    measures = outcome.measures
    assert measures["bound_share"] <= 1
    assert measures["error_share"] <= 1
    assert measures["line_slope"] == pytest.approx(1, abs=0.5)
    assert measures["plane_slope"] == pytest.approx(2, abs=0.5)


def test_the_function_shown_stays_within_its_band(outcome):
    shown = outcome.data["stated"]
    x, network = torch.tensor(shown["x"], dtype=torch.float64), np.array(shown["network"])
    exact = EXAMPLES[0].function(x).numpy()
    np.testing.assert_allclose(shown["function"], exact)
    assert np.abs(network - exact).max() <= shown["epsilon"]
    assert np.abs(network - exact).max() > shown["epsilon"] / 10
