"""Claims about gradient checks: one error per seed, refused where there can be none."""

import pytest
from foolscope.experiments.parts.check_metrics import check_errors, check_of

from foolscope.core.errors import RecipeError
from foolscope.experiments.recipe import recipe_from
from foolscope.experiments.running.run import ignore_events
from foolscope.experiments.running.session import Session
from foolscope.experiments.running.store import Store
from foolscope.experiments.study_file import study_from
from foolscope.experiments.study_run import run_study
from foolscope.inspection import GRADIENT_CHECKS, initial_model

RECIPE = {
    "dataset": {"name": "digits", "limit": 60},
    "model": {"name": "mlp", "hidden": [4]},
    "training": {"epochs": 1},
    "precision": "float32",
}


def study_with(*bounds, recipe=RECIPE, **changes):
    claims = [
        {
            "sentence": f"{name} is at most {bound}",
            "kind": "value",
            "recipe": "one",
            "metric": f"check:{name}",
            "is": "at most",
            "value": bound,
            **changes,
        }
        for name, bound in bounds
    ]
    names = {"name": "tiny", "title": "t", "question": "q"}
    return study_from({**names, "seeds": 3, "recipes": {"one": recipe}, "claims": claims})


@pytest.fixture
def session(tmp_path):
    return Session(Store(tmp_path), device="cpu")


def test_claims_are_decided_by_the_errors_of_every_seed(session):
    by_hand, by_differences = GRADIENT_CHECKS
    study = study_with((by_hand, 1e-12), (by_hand, 1e-19), (by_differences, 1e-7))
    record = run_study(study, session)
    assert [claim.outcome == "upheld" for claim in record.claims] == [True, False, True]
    errors = []
    for seed in range(3):
        recipe = recipe_from({**RECIPE, "seed": seed})
        dataset = session.dataset(recipe.dataset)
        check = GRADIENT_CHECKS[by_hand](initial_model(recipe, dataset), recipe, dataset)
        errors.append(check.numbers["error"])
    assert check_errors(study, session, ignore_events)["one", by_hand] == errors
    assert record.claims[0].figures[0].value == pytest.approx(sum(errors) / 3)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"metric": "check:gradients by hands"}, "no gradient check 'gradients by hands'. Did you mean"),
        ({"settings": {"hidden": [5]}}, "of a recipe as it is"),
    ],
)
def test_what_cannot_be_tested_is_refused_before_anything_is_trained(session, changes, words):
    study = study_with(("gradients by hand", 1e-12), **changes)
    with pytest.raises(RecipeError, match=words):
        run_study(study, session)
    assert not (session.store.root / "trials").exists()


def test_a_check_that_is_left_out_can_carry_no_claim(session):
    recipe = {**RECIPE, "model": {"name": "mlp", "hidden": [4], "dropout": 0.5}}
    with pytest.raises(RecipeError, match="by hand of one: Left out: Dropout"):
        run_study(study_with(("gradients by hand", 1e-12), recipe=recipe), session)


def test_the_name_is_what_follows_the_colon():
    assert [check_of(f"check:{name}") for name in GRADIENT_CHECKS] == list(GRADIENT_CHECKS)
