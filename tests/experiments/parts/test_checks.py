import pytest
import torch

from foolscope.core.errors import RecipeError
from foolscope.experiments.parts import checks as checking
from foolscope.experiments.parts.checks import check_records, range_test_record
from foolscope.experiments.recipe import recipe_from
from foolscope.experiments.running.session import Session
from foolscope.experiments.running.store import Store
from foolscope.experiments.study_file import study_from
from foolscope.experiments.study_record import read_study_record
from foolscope.experiments.study_run import run_study
from foolscope.inspection.check import Check, TensorError
from foolscope.inspection.checks import CHECKS, GRADIENT_CHECKS
from foolscope.inspection.checks.learning_rate_range import learning_rate_range

VALUES = {
    "dataset": {"name": "digits", "limit": 100},
    "model": {"name": "mlp", "hidden": [8]},
    "training": {"epochs": 1, "batch_size": 32},
    "precision": "float32",
}
RECIPE = recipe_from(VALUES)
EVERY = [*CHECKS, *GRADIENT_CHECKS]


@pytest.fixture
def session(tmp_path):
    return Session(Store(tmp_path), device="cpu")


@pytest.fixture
def counted(monkeypatch):
    """Replace every check by a quick one, and count how often each is made."""
    made = []

    def check_of(name):
        def check(trial, dataset, initialize=None):
            made.append(name)
            return Check(
                check=name,
                passed=trial.seed == 0,
                sentence=f"About {name}.",
                numbers={"seed": float(trial.seed)},
            )

        return check

    def gradient_check_of(name):
        def check(model, trial, dataset):
            made.append(name)
            error = float(next(iter(model.parameters())).detach().abs().max())
            return Check(
                check=name,
                passed=trial.seed == 0,
                sentence="It.",
                numbers={},
                tensors=[TensorError(tensor="weight", error=error, coordinates=5, kinks=1)],
                left_out=name[-1] == "d",
            )

        return check

    monkeypatch.setattr(checking, "CHECKS", {name: check_of(name) for name in CHECKS})
    replaced = {name: gradient_check_of(name) for name in GRADIENT_CHECKS}
    monkeypatch.setattr(checking, "GRADIENT_CHECKS", replaced)
    return made


def test_gradients_are_checked_at_the_weights_that_are_given(session, counted):
    initial = check_records("one", RECIPE, session)
    model = checking.initial_model(RECIPE, session.dataset(RECIPE.dataset))
    with torch.no_grad():
        next(iter(model.parameters())).fill_(0.25)
    trained = check_records("one", RECIPE, session, model=model)
    assert counted == [*EVERY, *GRADIENT_CHECKS]
    assert [record.weights for record in initial] == ["initial"] * len(EVERY)
    assert [record.weights for record in trained] == ["initial"] * len(CHECKS) + ["trained"] * 2
    assert [record.tensors[0].error for record in trained[-2:]] == [0.25, 0.25]
    assert initial[-1].tensors[0].error != 0.25
    assert [record.left_out for record in trained[-2:]] == [True, False]
    assert (trained[-1].tensors[0].coordinates, trained[-1].tensors[0].kinks) == (5, 1)


def test_gradients_are_checked_again_when_the_code_is_another(session, counted, monkeypatch):
    first = check_records("one", RECIPE, session)
    assert check_records("one", RECIPE, session) == first
    assert counted == EVERY
    monkeypatch.setattr(checking, "code_fingerprint", lambda: "another")
    assert check_records("one", RECIPE, session) == first
    assert counted == [*EVERY, *GRADIENT_CHECKS]


def test_every_check_of_the_table_is_made_once_per_recipe(session, counted):
    told = []
    records = check_records("one", RECIPE, session, lambda done, what: told.append((done, what)))
    assert [record.check for record in records] == EVERY == counted
    assert all(record.recipe == "one" and record.passed for record in records)
    assert told == [(position / len(EVERY), name) for position, name in enumerate(EVERY)]
    again = check_records("two", RECIPE, session)
    assert [record.model_copy(update={"recipe": "one"}) for record in again] == records
    assert counted == EVERY
    other = check_records("other", recipe_from({**VALUES, "seed": 1}), session)
    assert not any(record.passed for record in other)
    assert counted == [*EVERY, *EVERY]


def test_the_record_of_a_range_test_says_what_the_test_says(session):
    rates, told = (0.01, 0.1, 1.0, 1e30), []
    record = range_test_record("one", RECIPE, session, rates, 6, tell=lambda done, what: told.append(done))
    result = learning_rate_range(RECIPE, session.dataset(RECIPE.dataset), rates, 6)
    assert record == result.model_copy(update={"recipe": "one"})
    assert told == sorted(told)
    assert 0 < told[0] < told[-1] == pytest.approx(1.0)
    del told[:]
    tell = lambda done, what: told.append(done)  # noqa: E731
    assert range_test_record("one", RECIPE, session, rates, 6, tell=tell) == record
    assert told == []  # read, not computed
    assert range_test_record("one", RECIPE, session, rates, 7, tell=tell) != record
    assert range_test_record("one", RECIPE, session, rates[:2], 6, tell=tell).rates == [0.01, 0.1]


@pytest.mark.parametrize(
    ("rates", "steps"), [((), 5), ((0.0, 1.0), 5), ((1.0, float("inf")), 5), ((1.0,), 0)]
)
def test_rates_and_steps_that_make_no_sense_are_refused(session, rates, steps):
    with pytest.raises(RecipeError, match="positive rates and at least 1 step"):
        range_test_record("one", RECIPE, session, rates, steps)


def test_a_study_tests_the_recipes_that_it_names(session, counted, monkeypatch):
    monkeypatch.setattr(checking, "DEFAULT_RATES", (0.1, 1.0))
    stages = []
    study = study_from(
        {
            "name": "tiny",
            "title": "t",
            "question": "q",
            "seeds": 1,
            "recipes": {"one": VALUES, "two": {**VALUES, "seed": 5}},
            "checks": {"recipes": ["one", "two"], "learning_rates": ["two"]},
        }
    )
    record = run_study(study, session, observe=stages.append)
    assert [each.recipe for each in record.of("checks")[0].checks] == ["one"] * len(EVERY) + ["two"] * len(
        EVERY
    )
    assert [each.recipe for each in record.of("checks")[0].range_tests] == ["two"]
    assert read_study_record("tiny", session.store) == record
    done = [stage.done_fraction for stage in stages if getattr(stage, "name", "") == "checking"]
    assert done == sorted(done)
    assert done[0] == 0.0
    assert done[len(EVERY)] == pytest.approx(1 / 3)
    assert done[-1] == pytest.approx(1.0)
