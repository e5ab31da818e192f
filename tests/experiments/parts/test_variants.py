"""A model that takes steps after training has a metric for each of them, in ablations, claims and reports."""

import pytest

from foolscope.core.errors import RecipeError
from foolscope.data import load
from foolscope.experiments.parts.ablations import ablate
from foolscope.experiments.parts.training import check_trained_metric, training_record, variant_metrics
from foolscope.experiments.recipe import recipe_from, with_values
from foolscope.experiments.running.run import run_trials
from foolscope.experiments.running.session import Session
from foolscope.experiments.running.store import Store
from foolscope.reports.parts.effects import levels_with_baseline
from foolscope.reports.parts.training import variant_tables

TREE = recipe_from(
    {
        "dataset": {"name": "digits", "limit": 60},
        "model": {"name": "prototype-tree", "channels": [3], "features": 3, "depth": 2},
        "training": {"epochs": 1},
    }
)
MLP = recipe_from({"dataset": {"name": "digits", "limit": 60}, "model": "mlp"})


def test_variants_are_metrics_of_their_model_only():
    dataset = load(TREE.dataset)
    check_trained_metric("test_accuracy_greedy", TREE, dataset)
    with pytest.raises(RecipeError, match="unknown metric 'test_accuracy_greedy'"):
        check_trained_metric("test_accuracy_greedy", MLP, dataset)


def test_variants_are_measured_ablated_and_tabulated(tmp_path):
    session = Session(Store(tmp_path), device="cpu")
    record = ablate(
        TREE, {"projection": [True, False]}, seeds=2, session=session, metric="test_accuracy_greedy"
    )
    trials = run_trials([TREE], session)  # from the store
    levels = {level.label: level.values for level in record.factors[0].levels}
    assert levels["yes"][0] == trials[0].metric("test_accuracy_greedy")
    (table,) = variant_tables([training_record("tree", trials)])
    assert [column.title for column in table.columns[1:]] == [
        "soft, %",
        "projected, %",
        "pruned, %",
        "greedy, %",
    ]
    assert len(table.rows[0]) == 1 + len(variant_metrics("prototype-tree"))
    unprojected = training_record(
        "tree",
        run_trials(
            [recipe_from({**TREE.model_dump(), "model": {**TREE.model.model_dump(), "projection": False}})],
            session,
        ),
    )
    (table,) = variant_tables([unprojected])
    assert all("projected" not in column.title for column in table.columns[1:])


def test_the_baseline_is_shown_although_no_factor_lists_it(tmp_path):
    session = Session(Store(tmp_path), device="cpu")
    short = with_values(MLP, {"epochs": 1, "hidden": [4]})
    record = ablate(short, {"loss": ["focal"]}, seeds=2, session=session)
    baseline, focal = levels_with_baseline(record, record.factors[0])
    assert (baseline.label, focal.label) == ("cross-entropy", "focal")
    measured = [trial.metric("test_accuracy") for trial in run_trials([short], session)]
    assert baseline.values[:1] == measured
    assert focal.difference == pytest.approx(focal.mean - baseline.mean)
