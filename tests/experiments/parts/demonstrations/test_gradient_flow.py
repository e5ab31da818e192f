import numpy as np
import pytest

from foolscope.experiments.parts.demonstrations import gradient_flow
from foolscope.experiments.parts.demonstrations.gradient_flow import GradientFlow


def run(seed=0, **settings):
    settings = {"hidden": 6, "rows": 7, "width": 4, "images": 5, **settings}
    return gradient_flow.GRADIENT_FLOW.run(GradientFlow(name="it", **settings), seed)


@pytest.fixture(scope="module")
def outcome():
    return run(
        spectral_norms=(0.5, 1.0, 2.0),
        forget_biases=(-4.0, 4.0),
        clipping=0.05,
        l2=5.0,
        training_steps=6,
        training_rate=0.02,
    )


def test_a_linear_recurrence_hands_back_a_power_of_its_norm(outcome):
    measures = outcome.measures
    for norm in (0.5, 1.0, 2.0):
        assert measures[f"linear@{norm:g}"] == pytest.approx(norm**6, rel=1e-5)
        assert measures[f"tanh@{norm:g}"] < norm**6
    assert measures["theory_error"] < 1e-5
    assert measures["bound_share"] == pytest.approx(1, abs=1e-5)


def test_clipping_bounds_the_steps_and_only_clipping_does(outcome):
    assert outcome.measures["clipped_step"] == pytest.approx(0.05, rel=1e-6)
    assert outcome.measures["free_step"] > 0.1


def test_weight_decay_takes_its_share_of_the_norm_in_every_step(outcome):
    """Gradients left aside, w ← (1 − η l2) w."""
    assert outcome.measures["decayed_norm"] == pytest.approx((1 - 0.02 * 5) ** 6, rel=0.05)


def test_an_open_gate_hands_back_more(outcome):
    for reach in ("lstm", "lstm_trained"):
        assert outcome.measures[f"{reach}@-4"] < 1e-3
        assert outcome.measures[f"{reach}@4"] > 0.1


def test_the_figures_have_every_setting(outcome):
    for name, counts in (("panels", (3, 3, 2)), ("trained_panels", (5, 5, 2))):
        panels = {panel["title"]: panel["lines"] for panel in outcome.data[name]}
        assert {title: len(lines) for title, lines in panels.items()} == dict(
            zip(("linear", "tanh", "LSTM"), counts, strict=True)
        )
        norms = [line["norms"] for lines in panels.values() for line in lines]
        assert all(len(each) == 7 for each in norms)
        assert np.isfinite(norms).all()


def test_what_explodes_without_clipping_is_said_to_and_learns_with_it():
    measures = run(
        rows=12, spectral_norms=(2.0,), forget_biases=(1.0,), training_steps=15, training_rate=0.05
    ).measures
    assert not np.isfinite(measures["free_loss"])
    assert measures["clipped_loss"] < 1
