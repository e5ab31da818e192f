import numpy as np
import pytest
import torch

from foolscope.core.errors import RecipeError
from foolscope.data import load
from foolscope.experiments.recipe import recipe_from
from foolscope.inspection.gradients.gradient_flow import flow_through_time
from foolscope.inspection.gradients.recurrent_gradients import recurrent_gradients
from foolscope.learning import train_pack
from foolscope.learning.measuring.evaluation import channel_statistics
from foolscope.models import build_model

RATE = 0.05


def recipe_of(model, **values):
    return recipe_from(
        {
            "dataset": {"name": "digits", "limit": 150},
            "model": {"name": "rnn", "hidden": 8, **model},
            "optimizer": {"name": "sgd", "learning_rate": RATE},
            "precision": "float64",
            **values,
        }
    )


@pytest.fixture(scope="module")
def dataset():
    return load(recipe_of({}).dataset)


def same(one, other):
    return (
        one.moments == other.moments
        and all(np.array_equal(a.hidden, b.hidden) for a, b in zip(one.flows, other.flows, strict=True))
        and np.array_equal(one.losses, other.losses)
        and np.array_equal(one.update_norms, other.update_norms)
    )


def history_of(recipe, dataset, moments):
    return recurrent_gradients({"it": recipe}, dataset, moments=moments)["it"]


def test_the_first_look_is_at_the_initial_model(dataset):
    recipe = recipe_of({"activation": "linear", "spectral_norm": 0.7})
    mean, deviation = channel_statistics(dataset.train)
    model = build_model(recipe.model, (1, 8, 8), 10, seed=0, mean=mean, deviation=deviation)
    (flow,) = history_of(recipe, dataset, (0,)).flows
    expected = flow_through_time(model, dataset.train.images.double() / 255, dataset.train.labels)
    np.testing.assert_allclose(flow.hidden, expected.hidden, rtol=1e-9)
    np.testing.assert_allclose(flow.hidden, flow.bound, rtol=1e-5)
    assert flow.spectral_norm == pytest.approx(0.7, rel=1e-6)
    assert flow.loss == pytest.approx(expected.loss)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"training": {"clipping": 0.5}, "seed": 2},
        {"optimizer": {"name": "adam", "learning_rate": 0.01}},
    ],
    ids=["plain", "clipped", "adam"],
)
def test_the_steps_are_those_of_training(dataset, values):
    """The losses of an epoch's minibatches have the mean that training reports, and the weights agree."""
    size = len(dataset.train) // 3
    values = {
        **values,
        "training": {"batch_size": size, "epochs": 2, "keep": "last", **values.get("training", {})},
    }
    recipe = recipe_of({}, **values)
    assert len(dataset.train) == 3 * size
    history = history_of(recipe, dataset, (0, 6))
    (outcome,) = train_pack([recipe], dataset)
    for epoch, record in enumerate(outcome.history):
        assert history.losses[3 * epoch : 3 * epoch + 3].mean() == pytest.approx(record.running_loss)
    recurrent = outcome.weights["body.1.weight_hh_l0"]
    assert history.flows[1].spectral_norm == pytest.approx(
        float(torch.linalg.matrix_norm(recurrent, ord=2)), rel=1e-6
    )
    assert history.flows[0].spectral_norm == pytest.approx(1.0, rel=1e-6)
    assert len(history.losses) == len(history.update_norms) == 6


def test_clipping_bounds_the_norm_over_all_parameters(dataset):
    """A linear recurrence above 1 explodes; clipped, no step is longer than the rate times the threshold."""
    exploding = {"activation": "linear", "spectral_norm": 2.0}
    free = history_of(recipe_of(exploding), dataset, (0, 1))
    clipped = history_of(recipe_of(exploding, training={"clipping": 1.5}), dataset, (0, 20))
    assert free.update_norms[0] > 20 * RATE * 1.5
    assert clipped.update_norms.max() == pytest.approx(RATE * 1.5, rel=1e-9)
    assert clipped.losses[-1] < 0.9 * clipped.losses[0]


def test_a_step_is_the_learning_rate_times_the_gradient(dataset):
    recipe = recipe_of({}, training={"batch_size": len(dataset.train)})
    history = history_of(recipe, dataset, (0, 1))
    assert history.update_norms[0] == pytest.approx(RATE * history.flows[0].parameter_norm, rel=1e-9)
    assert history.losses[0] == pytest.approx(history.flows[0].loss, rel=1e-9)


def test_a_model_that_diverges_is_followed(dataset):
    recipe = recipe_of(
        {"activation": "linear", "spectral_norm": 3.0}, optimizer={"name": "sgd", "learning_rate": 9.0}
    )
    history = history_of(recipe, dataset, (0, 60))
    assert np.isfinite(history.flows[0].hidden).all()
    assert not np.isfinite(history.flows[1].hidden).any()
    assert not np.isfinite(history.losses[-1])


def test_the_settings_vanish_and_explode_as_they_say(dataset):
    models = {
        f"{kind}, ‖w‖ = {norm:g}": {"activation": kind, "spectral_norm": norm}
        for kind in ("linear", "tanh")
        for norm in (0.8, 1.0, 1.2)
    } | {f"LSTM, forget bias {bias}": {"name": "lstm", "forget_bias": float(bias)} for bias in (0, 1, 4)}
    recipes = {words: recipe_of({"hidden": 16, **model}) for words, model in models.items()}
    histories = recurrent_gradients(recipes, dataset, moments=(0,))
    first = {words: each.flows[0].memory[0] / each.flows[0].memory[-1] for words, each in histories.items()}
    assert first["linear, ‖w‖ = 0.8"] == pytest.approx(0.8**7, rel=1e-4)
    assert first["linear, ‖w‖ = 1"] == pytest.approx(1.0, rel=1e-4)
    assert first["linear, ‖w‖ = 1.2"] == pytest.approx(1.2**7, rel=1e-4)
    assert first["tanh, ‖w‖ = 0.8"] < first["tanh, ‖w‖ = 1"] < first["tanh, ‖w‖ = 1.2"] < 1.2**7
    assert first["LSTM, forget bias 0"] < first["LSTM, forget bias 1"] < first["LSTM, forget bias 4"]
    assert first["LSTM, forget bias 0"] < 0.2
    assert 1.0 < first["LSTM, forget bias 4"] < 2.0


def test_the_answer_is_the_same_again_and_the_random_state_is_left_alone(dataset):
    recipe, state = recipe_of({}), torch.get_rng_state()
    one = history_of(recipe, dataset, (0, 2))
    assert same(one, history_of(recipe, dataset, (2, 0, 2)))
    assert not same(one, history_of(recipe_of({}, seed=1), dataset, (0, 2)))
    assert torch.equal(torch.get_rng_state(), state)


def test_a_model_that_does_not_recur_is_refused(dataset):
    with pytest.raises(RecipeError, match="one recurrent layer"):
        recurrent_gradients({"it": recipe_from({"model": "mlp"})}, dataset, moments=(0,))
