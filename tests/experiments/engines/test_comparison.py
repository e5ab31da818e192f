"""A recipe trained by both engines: a mistake in either is seen, and what is known is read."""

from dataclasses import replace

import numpy as np
import pytest

import foolscope
from foolscope.core.errors import RecipeError
from foolscope.experiments.engines import comparison as reference_runs
from foolscope.experiments.engines.comparison import engines_record, reference_run
from foolscope.experiments.engines.records import DifferenceRecord
from foolscope.experiments.recipe import recipe_from, with_values
from foolscope.experiments.running.run import Session, StageEvent
from foolscope.experiments.running.store import Store
from foolscope.reference import Affine
from foolscope.reports import render_html
from foolscope.reports.engines import engines_document

RECIPE = recipe_from(
    {
        "model": {"name": "mlp", "hidden": [6]},
        "dataset": {"name": "digits", "limit": 120},
        "training": {"epochs": 3, "batch_size": 32},
    }
)


@pytest.fixture
def session(tmp_path):
    return Session(Store(tmp_path / "store"), device="cpu")


def without_mean(monkeypatch):
    """Forget the 1/N of the affine layer's weights: the sum over the minibatch instead of the mean."""
    right = Affine.parameter_gradients

    def wrong(self, cache, output_gradient):
        gradients = right(self, cache, output_gradient)
        return gradients | {"weight": gradients["weight"] * len(output_gradient)}

    monkeypatch.setattr(Affine, "parameter_gradients", wrong)


def test_the_recipe_is_trained_in_float64_by_both_and_they_agree(session):
    told = []
    run = reference_run(RECIPE, session, told.append)
    assert run.record.agrees
    assert "agree to rounding" in run.record.sentence
    assert run.record.precision == run.torch.provenance["precision"] == "float64"
    assert run.torch.identity != session.identify(RECIPE)
    assert [each.quantity for each in run.record.differences] == [
        "running loss",
        "validation loss",
        "weights",
    ]
    assert all(each.largest <= 1e-13 for each in run.record.differences[:2])
    assert run.torch.outcome["best_epoch"] == run.reference.outcome["best_epoch"]
    stages = [event for event in told if isinstance(event, StageEvent)]
    assert [event.done_fraction for event in stages] == pytest.approx([1 / 3, 2 / 3, 1])
    assert session.store.has(run.torch.identity)


def test_a_planted_bug_is_seen_from_the_first_epoch(session, monkeypatch):
    without_mean(monkeypatch)
    run = reference_run(RECIPE, session)
    assert not run.record.agrees
    assert "from epoch 1 on" in run.record.sentence
    assert [each.first_epoch for each in run.record.differences] == [1, 1, None]
    assert all(each.largest > 1e-2 for each in run.record.differences)
    page = render_html(engines_document(run.record))
    assert "differ by more than rounding from epoch 1 on" in page


def test_what_is_known_is_read_until_the_code_is_another(session, monkeypatch):
    first = reference_run(RECIPE, session)
    trained = []

    def counted(*arguments):
        trained.append(arguments)
        return right(*arguments)

    right = reference_runs.train_in_numpy
    monkeypatch.setattr(reference_runs, "train_in_numpy", counted)
    again = reference_run(RECIPE, session)
    assert (first.known, again.known, trained) == (False, True, [])
    assert again.record == first.record
    assert again.reference.outcome["metrics"] == first.reference.outcome["metrics"]
    monkeypatch.setattr(reference_runs, "code_fingerprint", lambda: "another")
    assert not reference_run(RECIPE, session).known
    assert len(trained) == 1
    assert {path.suffix for path in (session.store.root / "references").iterdir()} == {".json"}


def test_runs_that_end_differently_do_not_agree(session):
    run = reference_run(RECIPE, session)
    outcome = run.torch.outcome
    assert engines_record(run.reference, run.torch, []).agrees
    for change in (
        {"best_epoch": 1 + outcome["best_epoch"]},
        {"status": "stopped early"},
        {"history": outcome["history"][:2]},
    ):
        other = replace(run.torch, outcome={**outcome, **change})
        assert not engines_record(run.reference, other, []).agrees


def test_a_loss_that_only_one_run_has_is_infinitely_far_away():
    apart = reference_runs._apart(np.array([1.0, np.nan, np.nan]), np.array([0.5, 1.0, np.nan]))
    assert apart.tolist() == [0.5, np.inf, 0.0]


def test_the_engine_can_be_chosen_in_python(session):
    trained = foolscope.train(RECIPE, session=session, engine="reference")
    assert trained.reference.record.agrees
    assert trained.reference.record.in_torch == trained.record
    assert trained.trial.recipe.precision == "float64"
    assert "Comparison with PyTorch" in trained._repr_html_()
    with pytest.raises(RecipeError, match="engine must be 'torch' or 'reference'; got 'jax'"):
        foolscope.train(RECIPE, engine="jax")


def test_two_runs_that_diverge_at_once_have_a_page(session):
    learning_rate = RECIPE.optimizer.model_copy(update={"learning_rate": 1e200})
    recipe = with_values(RECIPE, {"model": "linear-regression"}).model_copy(
        update={"optimizer": learning_rate}
    )
    run = reference_run(recipe, session)
    assert run.record.agrees
    assert run.record.differences == []
    assert run.record.sentence in render_html(engines_document(run.record))


def test_a_training_that_magnifies_rounding_excuses_differences_but_no_bug(session, monkeypatch):
    changes = {"learning_rate": 3, "momentum": 0.9, "epochs": 15, "l2": 1e-3, "batch_size": 16}
    recipe = with_values(RECIPE, {"model": "softmax", "label_smoothing": 0.1, **changes})
    run = reference_run(recipe, session)
    losses = run.record.differences[:3]
    assert all(each.largest > 1e-6 and each.largest_of_last_digit > 1e-6 for each in losses)
    assert (run.record.agrees, run.record.magnified) == (True, True)
    assert "amplifies rounding" in run.record.sentence
    assert "Last digit changed" in render_html(engines_document(run.record))
    without_mean(monkeypatch)
    monkeypatch.setattr(reference_runs, "code_fingerprint", lambda: "with a bug")
    wrong = reference_run(recipe, session)
    assert (wrong.record.agrees, wrong.record.differences[0].first_epoch) == (False, 1)


def test_what_a_last_digit_does_later_excuses_nothing_before():
    record = DifferenceRecord(
        quantity="loss", largest=0.5, where="epoch 3", goal=1e-9, by_epoch=[1e-12, 1e-3, 0.5], last_digit=[]
    )
    assert (record.agrees, record.first_epoch, record.magnified) == (False, 2, False)
    cases = {
        (1e-12, 1e-4, 0.1): (True, None),
        (1e-12, 1e-5, 0.1): (False, 2),
        (1e-2, 0.0, 0.1): (True, None),
        (1e-12, 1e-4, 1e-4): (False, 3),
        (None, 0.0, 0.0): (True, None),
    }
    for last_digit, expected in cases.items():
        beside = record.model_copy(update={"last_digit": list(last_digit)})
        assert (beside.agrees, beside.first_epoch) == expected, last_digit
        assert beside.magnified
