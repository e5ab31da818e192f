"""Which parameters are decayed is shown group by group, from the training to the page."""

import pytest

from foolscope.experiments.parts.training import training_record
from foolscope.experiments.recipe import recipe_from, with_values
from foolscope.experiments.running.run import Session, run_trials
from foolscope.experiments.running.store import Store
from foolscope.reports import document as doc
from foolscope.reports import render_markdown
from foolscope.reports.parts.parameter_groups import group_table, groups_by_recipe
from foolscope.reports.parts.training import training_document

RECIPE = recipe_from(
    {
        "dataset": {"name": "digits", "limit": 60},
        "model": {"name": "mlp", "hidden": [4]},
        "optimizer": {"name": "adamw", "weight_decay": 0.125},
        "training": {"epochs": 1},
        "parameter_groups": [{"names": "body.4.*", "learning_rate_factor": 2.5, "l2": 0.0625}],
    }
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    session = Session(Store(tmp_path_factory.mktemp("store")), device="cpu")

    def train(**changes):
        return training_record(
            changes.pop("name", "mlp"), run_trials([with_values(RECIPE, changes)], session)
        )

    return train


def test_the_page_of_a_training_has_every_group(trained):
    record = trained()
    assert sum(each.numbers for each in record.groups) == record.parameter_count
    table = group_table(record)
    assert [list(row) for row in table.rows] == [
        ["weights", 1, 256, "0.001", "0.125", "0"],
        ["biases and normalization layers", 1, 4, "0.001", "0", "0"],
        ["body.4.*: weights", 1, 40, "0.0025", "0.125", "0.0625"],
        ["body.4.*: biases and normalization layers", 1, 10, "0.0025", "0", "0.0625"],
    ]
    page = render_markdown(training_document(record))[0]
    assert "How each group of parameters was trained: mlp" in page
    assert "body.4.\\*: weights" in page or "body.4.*: weights" in page


def test_a_study_shows_them_once_for_recipes_that_have_the_same(trained):
    plain = {"parameter_groups": [], "weight_decay": 0.0}
    alike = [trained(), trained(name="again"), trained(name="plain", **plain)]
    (details,) = groups_by_recipe(alike)
    (table,) = details.blocks
    assert isinstance(table, doc.Table)
    assert "mlp, again" in str(table.caption)
    assert "plain" not in str(table.caption)
    assert groups_by_recipe(alike[2:]) == [], "where nothing is set apart there is nothing to show"
