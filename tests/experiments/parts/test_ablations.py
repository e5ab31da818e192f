import json
import math

import numpy as np
import pytest
from scipy import stats

from foolscope.core.errors import RecipeError
from foolscope.experiments.parts.ablation_record import BASELINE, summarize
from foolscope.experiments.parts.ablations import ablate, ablation_cells
from foolscope.experiments.parts.training import METRICS
from foolscope.experiments.recipe import recipe_from, setting_words, with_values
from foolscope.experiments.running.executors import job
from foolscope.experiments.running.run import Session, run_trials
from foolscope.experiments.running.store import Store
from foolscope.statistics.blocks import BlockDesign
from foolscope.statistics.population import population_interval
from foolscope.statistics.verdicts import judge

BASE = recipe_from(
    {
        "dataset": {"name": "digits", "limit": 150},
        "model": {"name": "mlp", "hidden": [8]},
        "training": {"epochs": 2, "batch_size": 32},
        "precision": "float32",
    }
)


@pytest.fixture
def session(tmp_path):
    return Session(Store(tmp_path / "store"), device="cpu")


@pytest.fixture
def trained(monkeypatch):
    """Return the list of recipes that are trained from now on."""
    recipes = []
    train_pack = job.train_pack

    def spy(pack, *args, **kwargs):
        recipes.extend(pack)
        return train_pack(pack, *args, **kwargs)

    monkeypatch.setattr(job, "train_pack", spy)
    return recipes


# ------------------------------------------------------------------ cells


def test_cells_differ_from_the_baseline_in_one_field():
    cells = ablation_cells(BASE, {"batch_size": [16, 32], "training.epochs": [2, 3], "hidden": [[8], [4, 4]]})
    assert [cell.label for cell in cells] == [
        "baseline",
        "batch_size = 16",
        "epochs = 3",
        "hidden = 4-4",
    ]
    for cell in cells[1:]:
        assert cell.recipe == with_values(BASE, {cell.factor: cell.value})
        assert cell.recipe != BASE


def test_components_that_differ_in_their_settings_have_labels_of_their_own():
    schedules = ["cosine", {"name": "exponential", "decay": 0.9}, {"name": "exponential", "decay": 0.8}]
    labels = [
        cell.label for cell in ablation_cells(BASE, {"schedule": schedules, "model": ["mlp", "softmax"]})
    ]
    assert len(set(labels)) == len(labels) == 6
    assert "schedule = exponential (learning-rate decay 0.8)" in labels
    assert setting_words(BASE, "model") == "mlp (hidden width 8)"
    assert "model = mlp" in labels  # with its default hidden width, unlike the baseline


@pytest.mark.parametrize(
    ("vary", "message"),
    [
        ({"seed": [1, 2]}, "number of seeds"),
        ({"batch_size": [32]}, "at least one value other than the baseline's"),
        ({"batch_sise": [16]}, "unknown field 'batch_sise'.*Did you mean 'batch_size'"),
        ({"momentum": [2.0]}, "momentum"),
        ({"batch_size": [16], "training.batch_size": [64]}, "'training.batch_size' is varied twice"),
    ],
)
def test_factors_that_make_no_sense_are_refused(vary, message):
    with pytest.raises(RecipeError, match=message):
        ablation_cells(BASE, vary)


# ------------------------------------------------------------------ running


def test_verdicts_and_means_are_those_of_the_stored_trials(session):
    base = with_values(BASE, {"learning_rate": 0.5, "epochs": 6})
    vary = {"learning_rate": [0.5, 1.0, 0.001], "l2": [0.0, 1e-6]}
    record = ablate(base, vary, seeds=3, session=session, practical_difference=0.02)

    cells = ablation_cells(base, vary)
    recipes = [with_values(cell.recipe, {"seed": seed}) for cell in cells for seed in range(3)]
    trials = run_trials(recipes, session)
    correct = np.stack([trial.correct("test") for trial in trials]).reshape(len(cells), 3, -1)
    values = correct.mean(axis=2)
    assert values.ravel() == pytest.approx([trial.metric("test_accuracy") for trial in trials])
    design = BlockDesign(
        tuple(cell.label for cell in cells), (0, 1, 2), values, step=1 / correct.shape[2], correct=correct
    )
    verdicts = {verdict.cell: verdict for verdict in judge(design, BASELINE, practical_difference=0.02)}
    rows = {cell.label: row for cell, row in zip(cells, values, strict=True)}

    assert record.seeds == [0, 1, 2]
    assert [[level.label for level in factor.levels] for factor in record.factors] == [
        ["0.5", "1", "0.001"],
        ["0", "1e-06"],
    ]
    for factor in record.factors:
        for level in factor.levels:
            row = rows[level.cell]
            assert level.values == row.tolist()
            assert level.mean == pytest.approx(row.mean())
            own = correct[design.cells.index(level.cell)]
            assert (level.low, level.high) == pytest.approx(population_interval(own))
            if level.outcome == "baseline":
                assert level.cell == BASELINE
                assert level.difference is None
            else:
                assert level.difference == pytest.approx(row.mean() - rows[BASELINE].mean())
                assert level.outcome == verdicts[level.cell].outcome
                assert level.outcome_on_these_images == verdicts[level.cell].on_these_images.outcome
                assert level.p_different == verdicts[level.cell].p_different
                assert level.sentence
    outcomes = {level.cell: level.outcome for factor in record.factors for level in factor.levels}
    assert outcomes["learning_rate = 0.001"] == "hurts"
    assert record.factors[0].baseline == "0.5"
    residuals = values - values.mean(1, keepdims=True) - values.mean(0) + values.mean()
    freedom = (len(cells) - 1) * 2
    assert record.degrees_of_freedom == freedom
    assert record.residual_deviation == pytest.approx(math.sqrt((residuals**2).sum() / freedom))
    assert len(record.sentences) == 3


def test_only_new_cells_and_seeds_are_trained(session, trained):
    def run(values, seeds):
        trained.clear()
        record = ablate(BASE, {"learning_rate": values}, seeds=seeds, session=session)
        return record, {(recipe.optimizer.learning_rate, recipe.seed) for recipe in trained}

    first, new = run([0.1, 0.5], 2)
    assert new == {(0.1, 0), (0.1, 1), (0.5, 0), (0.5, 1)}
    again, new = run([0.1, 0.5], 2)
    assert new == set()
    assert again == first
    _, new = run([0.1, 0.5, 1.0], 2)
    assert new == {(1.0, 0), (1.0, 1)}
    more, new = run([0.1, 0.5], 3)
    assert new == {(0.1, 2), (0.5, 2)}
    assert [level.values[:2] for level in more.factors[0].levels] == [
        level.values for level in first.factors[0].levels
    ]


def test_seeds_count_upwards_from_the_recipes_own(session):
    record = ablate(with_values(BASE, {"seed": 5}), {"l2": [0.1]}, seeds=2, session=session)
    assert record.seeds == [5, 6]


def test_a_diverged_cell_is_a_result(session):
    record = ablate(BASE, {"learning_rate": [0.1, 1e30]}, seeds=2, session=session)
    level = record.factors[0].levels[1]
    assert level.outcome == "diverged"
    assert level.values == [None, None]
    assert (level.mean, level.low, level.high, level.difference) == (None, None, None, None)
    assert "diverged in 2 of 2 seeds" in level.sentence
    json.dumps(record.model_dump(mode="json"), allow_nan=False)


def test_a_diverged_baseline_decides_nothing(session):
    wild = with_values(BASE, {"learning_rate": 1e30})
    record = ablate(wild, {"learning_rate": [0.1, 0.5]}, seeds=2, session=session)
    assert [level.outcome for level in record.factors[0].levels] == ["undecided", "undecided"]
    assert all("baseline" in level.sentence for level in record.factors[0].levels)
    json.dumps(record.model_dump(mode="json"), allow_nan=False)


@pytest.mark.parametrize(
    ("arguments", "message"), [({"seeds": 1}, "2 seeds"), ({"metric": "test_acc"}, "test_acc")]
)
def test_mistakes_are_found_before_anything_is_trained(session, trained, arguments, message):
    with pytest.raises(RecipeError, match=message):
        ablate(BASE, {"l2": [0.1]}, **{"seeds": 2, **arguments}, session=session)
    assert trained == []


def test_the_listed_metrics_are_those_that_trials_have(session):
    (trial,) = run_trials([BASE], session)
    assert set(trial.outcome["metrics"]) == set(METRICS)


# ------------------------------------------------------------------ summaries


def summary_of(values, metric="test_accuracy", published=None):
    vary = {"batch_size": [16, 32, 64]}
    cells = ablation_cells(BASE, vary)
    design = BlockDesign(tuple(cell.label for cell in cells), (0, 1, 2), np.array(values))
    return summarize(
        "one", cells, design, vary, metric=metric, practical_difference=0.01, published=published
    ).factors[0]


RISING = [[0.50, 0.51, 0.52], [0.60, 0.61, 0.63], [0.70, 0.71, 0.71]]  # baseline, 16, 64


def test_levels_keep_the_order_in_which_they_were_given():
    factor = summary_of(RISING)
    assert [(level.label, level.outcome) for level in factor.levels] == [
        ("16", "helps"),
        ("32", "baseline"),
        ("64", "helps"),
    ]


def test_a_larger_loss_is_worse():
    factor = summary_of(RISING, metric="test_loss")
    assert [level.outcome for level in factor.levels] == ["hurts", "baseline", "hurts"]


def test_published_figures_stand_beside_their_values():
    factor = summary_of(RISING, published={"batch_size": [0.6, 0.5, None]})
    assert [level.published for level in factor.levels] == [0.6, 0.5, None]


def test_published_differences_are_held_against_what_single_runs_differ_by():
    rows = np.array(RISING)
    residuals = rows - rows.mean(axis=1, keepdims=True) - rows.mean(axis=0) + rows.mean()
    noise = stats.t.ppf(0.975, 4) * np.sqrt(2) * np.sqrt((residuals**2).sum() / 4)
    published = [0.5 + 0.99 * noise, 0.5, 0.5 - 1.01 * noise]
    below, base, above = summary_of(RISING, published={"batch_size": published}).levels
    assert below.published_difference == pytest.approx(0.99 * noise)
    assert (below.rests_on_noise, above.rests_on_noise) == (True, False)
    assert (base.published_difference, base.rests_on_noise) == (None, None)
    for figures in ([0.6, None, 0.5], None):  # without a published baseline there is no difference
        levels = summary_of(RISING, published=figures and {"batch_size": figures}).levels
        assert {level.rests_on_noise for level in levels} == {None}


def test_runs_without_spread_make_no_noise():
    levels = summary_of([[0.5] * 3, [0.6] * 3, [0.7] * 3], published={"batch_size": [0.6, 0.5, 0.5]}).levels
    assert [level.rests_on_noise for level in levels] == [False, None, True]
