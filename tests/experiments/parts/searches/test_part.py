import tomllib

import pytest

from foolscope.core.errors import RecipeError
from foolscope.experiments.parts.searches import SearchSettings, search
from foolscope.experiments.recipe import with_values
from foolscope.experiments.running.run import Session
from foolscope.experiments.running.store import Store
from foolscope.experiments.study_file import as_toml, study_from
from foolscope.experiments.study_record import read_study_record
from foolscope.experiments.study_run import run_study

STUDY = """
name = "tiny"
title = "A tiny study"
question = "Does it search?"
seeds = 2
practical_difference = 0.02

[recipes.mlp]
dataset = { name = "digits", limit = 150 }
model = { name = "mlp", hidden = [8] }
training = { epochs = 2, batch_size = 32 }
precision = "float32"

[[searches]]
recipe = "mlp"
rounds = 1
trials = 2
fresh_seeds = 3

[searches.over]
learning_rate = "0.01:1:log"
batch_size = [16, 32]
"""


def study(**changes):
    table = tomllib.loads(STUDY)
    table["searches"][0] |= changes
    return study_from(table)


@pytest.fixture
def session(tmp_path):
    return Session(Store(tmp_path / "store"), device="cpu")


def test_a_study_searches_as_the_function_does(session):
    plan = study()
    record = run_study(plan, session)
    own = search(
        plan.recipes["mlp"],
        {"learning_rate": "0.01:1:log", "batch_size": [16, 32]},
        session=session,
        settings=SearchSettings(rounds=1, trials=2, fresh_seeds=3),
        name="mlp",
        practical_difference=0.02,
    )
    assert record.of("searches") == [own]
    stored = len(list(session.store.root.glob("trials/*/trial.json")))
    assert record.trial_count == stored == 2 + 2 + 3 + 2  # seed 1 of the baseline is one of the study's own
    assert read_study_record("tiny", session.store).of("searches")[0].summary == own.summary


def test_a_study_goes_through_toml():
    plan = study()
    again = study_from(tomllib.loads(as_toml(plan)))
    assert again == plan
    assert plan.entries("searches")[0].over == {"learning_rate": "0.01:1:log", "batch_size": (16, 32)}


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"sampler": "tpee"}, ["searches.0.sampler", "unknown sampler 'tpee'", "Did you mean 'tpe'?"]),
        ({"round": 3}, ["unknown field 'searches.0.round'", "Did you mean 'rounds'?"]),
        ({"recipe": "mpl"}, ["unknown recipe 'mpl'", "Did you mean 'mlp'?"]),
        ({"over": {}}, ["searches.0.over"]),
    ],
)
def test_a_mistake_in_the_file_is_one_line(changes, parts):
    with pytest.raises(RecipeError) as caught:
        study(**changes)
    assert not [part for part in parts if part not in str(caught.value)], caught.value


def test_a_search_that_cannot_be_run_is_refused_before_anything_is_trained(session):
    with pytest.raises(RecipeError, match=r"^searches\.0: unknown field 'lerning_rate'.*'learning_rate'"):
        run_study(study(over={"lerning_rate": "0.1:1:log"}), session)
    bad = study()
    unsplit = with_values(bad.recipes["mlp"], {"validation": "none"})
    with pytest.raises(RecipeError, match=r"^searches\.0: .*validation"):
        run_study(bad.model_copy(update={"recipes": {"mlp": unsplit}}), session)
    assert not session.store.root.exists()
