"""Data with 20 images of one class for each of the other: what is doubted, claimed and tabulated."""

import json

import numpy as np
import pytest

from foolscope.core.errors import RecipeError
from foolscope.experiments.parts.ablations import ablate
from foolscope.experiments.parts.searches import search_settings
from foolscope.experiments.parts.searches.driver import search
from foolscope.experiments.recipe import recipe_from, with_values
from foolscope.experiments.running.run import Session, run_trials
from foolscope.experiments.running.store import Store
from foolscope.experiments.study_file import study_from
from foolscope.experiments.study_run import run_study
from foolscope.reports import render_html, render_terminal
from foolscope.reports.pages import study_document
from foolscope.reports.parts.ablations import ablation_document
from foolscope.reports.parts.searches import search_document
from foolscope.verbs import train as train_verb

CLASSES = ["healthy", "ill"]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A recipe whose models predict the common class for every image."""
    generator, arrays = np.random.default_rng(0), {"classes": np.array(CLASSES)}
    for split, count in (("train", 420), ("test", 210)):
        labels = (np.arange(count) % 21 == 20).astype(np.int64)
        images = generator.normal(128, 20, (count, 4, 4)) + 8 * labels[:, None, None]
        arrays |= {f"{split}_images": images.clip(0, 255).astype(np.uint8), f"{split}_labels": labels}
    path = tmp_path_factory.mktemp("data") / "clinic.npz"
    np.savez(path, **arrays)
    return recipe_from(
        {
            "dataset": {"name": "npz", "path": str(path)},
            "model": "softmax",
            "training": {"epochs": 6, "batch_size": 64},
            "optimizer": {"name": "sgd", "learning_rate": 0.3},
            "precision": "float32",
        }
    )


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    return Session(Store(tmp_path_factory.mktemp("store")), device="cpu")


def test_metrics_of_a_class_follow_from_the_confusion_matrix(base, session):
    (trial,) = run_trials([with_values(base, {"class_weights": "balanced"})], session)
    confusion = np.array(trial.outcome["confusion"])
    true, false, missed = confusion[1, 1], confusion[0, 1], confusion[1, 0]
    assert trial.metric("test_recall@ill") == true / (true + missed) > 0
    assert trial.metric("test_precision@ill") == true / (true + false)
    assert trial.metric("test_f1@ill") == 2 * true / (2 * true + false + missed)
    assert trial.metric("test_auc@ill") == trial.metric("test_auc")


def test_an_ablation_says_first_that_runs_predict_one_class(base, session):
    """Before, it said how many more seeds would decide, and nothing else."""
    vary = {"batch_size": [32], "class_weights": ["balanced"]}
    record = ablate(base, vary, seeds=3, session=session)
    (doubt,) = record.prediction_doubts
    recipes = [
        with_values(base, values) for values in ({}, {"batch_size": 32}, {"class_weights": "balanced"})
    ]
    trials = [
        run_trials([with_values(each, {"seed": seed}) for seed in range(3)], session) for each in recipes
    ]
    constant = [sum(not np.array(each.outcome["confusion"])[:, 1].any() for each in own) for own in trials]
    assert (constant[0], constant[2]) == (3, 0), "this test needs a baseline that predicts one class"
    assert doubt.startswith(f"{sum(constant)} of 9 runs predict one class, 'healthy', for every test image")
    assert "(baseline with 3 of 3 seeds; batch_size = 32 with" in doubt
    assert "class_weights = balanced with" not in doubt
    printed = render_terminal(ablation_document(record), tables=["effects"])
    assert printed.index("of 9 runs predict one class") < printed.index("Undecided")
    assert "Predicting 'healthy' for every test image would reach 95.24 %." in printed
    balanced = ablate(base, vary, seeds=3, session=session, metric="test_balanced_accuracy")
    (weights,) = balanced.factors[1].levels
    assert weights.outcome == "helps"
    recalls = ablate(base, vary, seeds=3, session=session, metric="test_recall@ill")
    assert recalls.factors[1].levels[0].mean > 0.5
    losses = ablate(base, vary, seeds=3, session=session, metric="test_brier")
    assert losses.factors[1].levels[0].outcome == "hurts", "balanced weights cost calibration"


@pytest.mark.parametrize(
    ("metric", "line"),
    [
        ("test_recall@il", "unknown class 'il'. Did you mean 'ill'?"),
        ("test_loss@ill", "unknown metric of a class 'test_loss'"),
        ("test_balanced", "test_balanced_accuracy"),
    ],
)
def test_unknown_metrics_are_refused_in_one_line(metric, line, base, session):
    with pytest.raises(RecipeError) as caught:
        ablate(base, {"batch_size": [32]}, seeds=2, session=session, metric=metric)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_search_chooses_and_judges_by_the_metric_it_is_given(base, session):
    settings = search_settings(
        {"metric": "balanced_accuracy", "sampler": "random", "rounds": 1, "trials": 2, "fresh_seeds": 3}
    )
    over = {"class_weights": [[1, 1], [1, 20]]}
    record = search(base, over, session=session, settings=settings)
    assert record.winner.values["class_weights"] == (1.0, 20.0)
    assert "a validation balanced accuracy of" in record.summary
    assert record.baseline.means["test_balanced_accuracy"][0] == 0.5
    assert "test_accuracy" not in record.winner.metrics
    assert record.prediction_doubts[0].startswith("3 of 6 runs predict one class")
    page = render_html(search_document(record))
    assert "validation balanced accuracy, %" in page
    assert page.index("3 of 6 runs predict") < page.index("Better settings")


STUDY = {
    "name": "clinic",
    "title": "Clinic",
    "question": "Who is ill?",
    "seeds": 2,
    "mistakes": {"confusion": ["weighted"]},
    "claims": [
        {
            "sentence": "The plain one is no better than guessing",
            "kind": "value",
            "recipe": "plain",
            "metric": "test_balanced_accuracy",
            "is": "at most",
            "value": 0.5,
        },
        {
            "sentence": "It finds nobody",
            "kind": "value",
            "recipe": "plain",
            "metric": "test_recall@ill",
            "is": "at most",
            "value": 0.0,
        },
        {
            "sentence": "Weights help",
            "kind": "comparison",
            "subject": "weighted",
            "against": "plain",
            "metric": "test_balanced_accuracy",
            "is": "better",
        },
    ],
}


def study_of(base, **changes):
    recipes = {"plain": base, "weighted": with_values(base, {"class_weights": "balanced"})}
    tables = {name: recipe.model_dump(mode="json", exclude={"seed"}) for name, recipe in recipes.items()}
    return study_from({**STUDY, "recipes": tables, **changes})


def test_a_study_claims_doubts_and_tabulates_classes(base, session):
    record = run_study(study_of(base), session)
    assert [claim.outcome for claim in record.claims[:2]] == ["upheld", "upheld"]
    assert record.claims[2].figures[0].value > record.claims[2].figures[1].value + 0.1
    plain, weighted = record.of("training")
    assert [doubt.partition(": predicts")[0] for doubt in plain.doubts] == ["seed 0", "seed 1"]
    assert weighted.doubts == []
    (healthy, ill) = weighted.by_class
    assert (healthy.name, healthy.images, ill.name, ill.images) == ("healthy", 200, "ill", 10)
    assert ill.recall[0] == np.mean(
        [session.store.load(each).metric("test_recall@ill") for each in weighted.identities]
    )
    page = render_html(study_document(record, {}))
    assert "for every test image; its accuracy of 95.24" in page
    assert "How well weighted recognizes each class" in page
    assert "for every test image would reach 95.24" in page
    assert json.loads(record.model_dump_json())


def test_claims_about_a_class_that_is_not_there_are_refused_before_training(base, session):
    claims = [{**STUDY["claims"][1], "metric": "test_recall@il"}]
    with pytest.raises(RecipeError, match="unknown class 'il'"):
        run_study(study_of(base, claims=claims), session)


def test_a_report_of_equal_classes_mentions_no_largest_class(session):
    recipe = recipe_from({"dataset": {"name": "digits", "limit": 60}, "training": {"epochs": 1}})
    training = train_verb.train(recipe, session=session)
    assert training.record.largest_class is None
    assert len(training.record.by_class) == 10
    assert "would reach" not in render_html(training.document)
