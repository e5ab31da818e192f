import numpy as np
import pytest

from foolscope.experiments.demonstrations import GradientFlow, gradient_flow


def run(seed=0, **settings):
    settings = {"hidden": 6, "rows": 7, "width": 4, "images": 5, "training_steps": 6, **settings}
    return gradient_flow.GRADIENT_FLOW.run(GradientFlow(name="it", **settings), seed)


def test_a_linear_recurrence_hands_back_a_power_of_its_norm():
    measures = run(spectral_norms=(0.5, 1.0, 2.0)).measures
    for norm in (0.5, 1.0, 2.0):
        assert measures[f"linear@{norm:g}"] == pytest.approx(norm**6, rel=1e-5)
        assert measures[f"tanh@{norm:g}"] < norm**6
    assert measures["theory_error"] < 1e-5
    assert measures["bound_share"] == pytest.approx(1, abs=1e-5)


def test_clipping_bounds_the_steps_and_only_clipping_does():
    measures = run(clipping=0.05).measures
    assert measures["clipped_step"] == pytest.approx(0.05, rel=1e-6)
    assert measures["free_step"] > 0.1


def test_an_open_gate_hands_back_more():
    measures = run(rows=15, forget_biases=(-4.0, 0.0, 4.0)).measures
    reach = [measures[f"lstm@{bias:g}"] for bias in (-4, 0, 4)]
    assert reach == sorted(reach)
    assert reach[0] < 1e-6
    assert reach[2] > 0.1


def test_the_figure_has_every_setting():
    panels = {panel["title"]: panel["lines"] for panel in run().data["panels"]}
    assert {title: len(lines) for title, lines in panels.items()} == {"linear": 3, "tanh": 3, "LSTM": 3}
    assert all(len(line["norms"]) == 7 for lines in panels.values() for line in lines)
    assert np.isfinite([line["norms"] for lines in panels.values() for line in lines]).all()
