"""The results of verbs: the shortcuts to a record, and the page that a notebook shows."""

import html
import math
import re

import numpy as np
import pytest
import torch

import foolscope
from foolscope.inspection.check import Check
from foolscope.inspection.checks.learning_rate_range import LearningRateRange

VALUES = {
    "dataset": {"name": "digits", "limit": 100},
    "model": {"name": "mlp", "hidden": [4]},
    "training": {"epochs": 1, "batch_size": 32},
    "precision": "float32",
}
STUDY = """
name = "tiny"
title = "A tiny study"
question = "Does it run?"
seeds = 1

[recipes.mlp]
dataset = { name = "digits", limit = 100 }
model = { name = "mlp", hidden = [4] }
training = { epochs = 1, batch_size = 32 }
precision = "float32"

[mistakes]
worst = ["mlp"]

"""


def checked(passed, standing_passed=True):
    """The result of two checks, the second one as said, and of a range test, as said."""
    checks = [
        Check(recipe="mlp", check=name, passed=outcome, sentence=f"It {name}.", numbers={})
        for name, outcome in (("learns", True), ('says "a & b" < c', passed))
    ]
    range_test = LearningRateRange(
        recipe="mlp",
        rates=[0.01, 0.1],
        losses=[2.0, None],
        accuracies=[0.3, None],
        sweep=[2.3, None],
        initial_loss=2.3,
        steps=80,
        own_rate=0.1,
        best_rate=0.01,
        largest_stable_rate=0.01,
        suggestion=(0.01, 0.01),
        standing="in the range",
        passed=standing_passed,
        sentence="The range is small.",
    )
    return foolscope.CheckResult(foolscope.recipe(VALUES), checks, range_test, classes=10)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """One result of each verb, and what its page must say."""
    folder = tmp_path_factory.mktemp("results")
    session, path, recipe = (
        foolscope.Session(folder / "store"),
        folder / "tiny.toml",
        foolscope.recipe(VALUES),
    )
    path.write_text(STUDY, encoding="utf-8")
    rates = [0.01, 0.1]
    search = foolscope.search(
        recipe, {"learning_rate": rates}, rounds=1, trials=2, fresh_seeds=3, session=session
    )
    training = foolscope.train(recipe, session=session)
    return {
        "Training": (training, "mlp"),
        "Ablation": (
            foolscope.ablate(recipe, {"learning_rate": rates}, seeds=2, session=session),
            "learning rate",
        ),
        "Search": (search, "Better settings"),
        "Robustness": (
            foolscope.attack(training, epsilons=[0, "8/255"], attacks=["fgsm"], limit=9),
            "Attack on mlp",
        ),
        "CheckResult": (checked(passed=False), 'It says "a & b" < c.'),
        "Inspection": (foolscope.inspect(training, parts=["filters", "histograms"], limit=9), "Inside mlp"),
        "Judgement": (
            foolscope.judge(
                {"lr": [1, 1, 2, 2], "seed": [0, 1, 0, 1], "accuracy": [0.9, 0.8, 0.7, 0.7]}, "1"
            ),
            "lr",
        ),
        "StudyResult": (foolscope.study(path, session=session), "A tiny study"),
    }


def test_a_notebook_shows_each_as_a_page_of_its_own_that_needs_no_network(results):
    assert set(results) == {
        name for name in foolscope.__all__ if hasattr(getattr(foolscope, name), "_repr_html_")
    }
    for result, said in results.values():
        found = re.fullmatch(r'<iframe srcdoc="([^"]*)"[^>]*></iframe>', result._repr_html_())
        assert found
        page = html.unescape(found[1])
        assert page.lstrip().lower().startswith("<!doctype html>")
        assert page.rstrip().endswith("</html>")
        assert said in " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())
        assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", page)
        assert not re.search(r"@import|url\((?!['\"]?(data:|#))", page)


def test_the_shortcuts_say_what_the_records_say(results):
    training, ablation, search = (results[name][0] for name in ("Training", "Ablation", "Search"))
    assert training.test_accuracy == training.record.metrics["test_accuracy"][0]
    assert 0 <= training.test_accuracy <= 1
    assert len(ablation.sentences) == 1  # 0.1 is the baseline's own rate
    assert "0.01" in ablation.sentences[0]
    assert search.recipe.optimizer.learning_rate == search.record.winner.values["learning_rate"]


def test_robustness_prints_its_accuracies_in_one_line(results):
    robustness, _ = results["Robustness"]
    at_zero, at_eight = (f"{100 * each:.1f} %" for each in robustness.robust_accuracies)
    assert repr(robustness).endswith(f"{at_zero} clean, {at_zero} at ε = 0, {at_eight} at ε = 8/255")
    images = torch.rand(3, 1, 8, 8)
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
    folder = robustness.attack.folder.parents[1]
    own = foolscope.attack(
        module, images, torch.arange(3), epsilons=[1.0], attacks=["pgd"], session=foolscope.Session(folder)
    )
    assert "<svg" in html.unescape(own._repr_html_())


def test_a_diverged_training_has_no_accuracy(tmp_path):
    recipe = foolscope.recipe({**VALUES, "optimizer": {"name": "sgd", "learning_rate": 1e30}})
    assert math.isnan(foolscope.train(recipe, session=foolscope.Session(tmp_path)).test_accuracy)


def test_a_check_has_passed_if_everything_has():
    outcomes = [checked(first, second).passed for first in (True, False) for second in (True, False)]
    assert outcomes == [True, False, False, False]
    assert checked(passed=True).sentences == ["It learns.", 'It says "a & b" < c.', "The range is small."]


def test_the_pictures_of_a_study_are_arrays(results):
    study, _ = results["StudyResult"]
    assert study.report.is_file()
    assert study.pictures
    assert all(isinstance(array, np.ndarray) for array in study.pictures.values())


def test_an_inspection_says_what_it_found(results):
    inspection, _ = results["Inspection"]
    assert inspection.record.images == 9
    assert len(inspection.arrays) == inspection.record.filters.total == 4
    assert "9 test images of digits" in inspection.sentences[0]
