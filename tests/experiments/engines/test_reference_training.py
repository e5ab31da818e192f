"""The reference engine follows torch to rounding, and ignores nothing that a recipe says."""

import numpy as np
import pytest
import torch

from foolscope.core.errors import RecipeError
from foolscope.data import load
from foolscope.experiments.engines import coverage as reference_coverage
from foolscope.experiments.engines.coverage import check_coverage
from foolscope.experiments.engines.reference_training import train_in_numpy
from foolscope.experiments.recipe import recipe_from, with_values
from foolscope.learning import train_pack

EVERYTHING = {
    "loss": {"name": "cross-entropy", "label_smoothing": 0.1},
    "optimizer": {"name": "sgd", "learning_rate": 0.2, "momentum": 0.9, "weight_decay": 1e-3},
    "regularization": {"l1": 1e-4, "l2": 1e-3},
    "schedule": {"name": "cosine", "warmup_epochs": 1},
    "training": {"epochs": 6, "batch_size": 32, "clipping": 1.0},
}
MLP = {"name": "mlp", "hidden": [12, 7]}
CASES = {
    "softmax": {"model": "softmax"},
    "softmax with everything": {"model": "softmax", **EVERYTHING},
    "mlp": {"model": MLP},
    "mlp with everything": {"model": MLP, **EVERYTHING},
    "early stopping": {
        "model": MLP,
        "optimizer": {"name": "sgd", "learning_rate": 0.8},
        "training": {"epochs": 30, "batch_size": 32, "patience": 2},
    },
    "the last checkpoint, without validation": {
        "model": MLP,
        "dataset": {"name": "digits", "limit": 150, "validation": "none"},
        "training": {"epochs": 3, "keep": "last"},
    },
    "batch normalization": {
        "model": {"name": "resnet", "channels": [2, 3]},
        "training": {"epochs": 3, "batch_size": 32},
    },
    "lstm": {"model": {"name": "lstm", "hidden": 4}, "training": {"epochs": 3}},
}


def recipe_of(**values):
    shared = {"dataset": {"name": "digits", "limit": 150}, "precision": "float64"}
    return recipe_from({**shared, "training": {"epochs": 6}, **values})


def both(recipe):
    dataset = load(recipe.dataset)
    (expected,) = train_pack([recipe], dataset)
    return train_in_numpy(recipe, dataset), expected


def numbers(record):
    return {name: -1.0 if value is None else value for name, value in vars(record).items()}


@pytest.mark.parametrize("values", CASES.values(), ids=list(CASES))
def test_the_run_is_torchs_to_rounding(values):
    got, expected = both(recipe_of(**values))
    assert (got.status, got.best_epoch, got.steps) == (expected.status, expected.best_epoch, expected.steps)
    assert got.parameter_count == expected.parameter_count
    assert got.confusion == expected.confusion
    assert got.metrics == pytest.approx(expected.metrics, rel=1e-12)
    assert len(got.history) == len(expected.history)
    for own, other in zip(got.history, expected.history, strict=True):
        assert numbers(own) == pytest.approx(numbers(other), rel=1e-12, abs=1e-13)
    for name, value in got.weights.items():
        assert value.dtype == torch.float64
        torch.testing.assert_close(value.float(), expected.weights[name], rtol=1e-6, atol=1e-8)


def test_early_stopping_stops_and_a_later_epoch_can_be_best():
    got, _ = both(recipe_of(**CASES["early stopping"]))
    assert got.status == "stopped early"
    assert 1 < got.best_epoch == len(got.history) - 2


def test_a_run_that_diverges_does_so_in_the_same_epoch():
    got, expected = both(
        recipe_of(model="linear-regression", optimizer={"name": "sgd", "learning_rate": 1e200})
    )
    assert got.status == expected.status == "diverged"
    assert len(got.history) == len(expected.history)
    assert (got.metrics, got.best_epoch) == ({}, None)


def test_float32_is_trained_in_float32():
    got, expected = both(recipe_of(model=MLP, precision="float32"))
    assert {value.dtype for value in got.weights.values()} == {torch.float32}
    losses = [[record.running_loss for record in outcome.history] for outcome in (got, expected)]
    assert 0 < np.abs(np.subtract(*losses)).max() < 1e-5


def test_every_field_that_is_said_to_be_followed_changes_the_run():
    base = recipe_of(
        optimizer={"name": "sgd", "learning_rate": 0.8}, training={"epochs": 5, "batch_size": 30}
    )
    dataset = load(base.dataset)
    changes = {
        "loss.label_smoothing": 0.3,
        "optimizer.learning_rate": 0.1,
        "optimizer.momentum": 0.5,
        "optimizer.weight_decay": 0.1,
        "regularization.l1": 0.01,
        "regularization.l2": 0.1,
        "training.batch_size": 50,
        "training.clipping": 0.1,
        "training.epochs": 3,
        "training.keep": "last",
        "training.patience": 1,
        "seed": 1,
    }
    assert changes.keys() == reference_coverage._FOLLOWED

    def said(recipe):
        document = train_in_numpy(recipe, dataset).as_document()
        del document["duration_seconds"]
        return document

    unchanged = said(base)
    assert unchanged["best_epoch"] == 3
    for path, value in changes.items():
        assert said(with_values(base, {path: value})) != unchanged, path


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"optimizer": "adam"}, "optimizer must be sgd .* got adam. Use --optimizer sgd, or --engine torch"),
        ({"optimizer": {"name": "sgd", "momentum": 0.9, "nesterov": True}}, "nesterov must be false"),
        ({"defense": "pgd"}, "defense must be none"),
        ({"regularization": {"l2": 0.1, "penalize": "all"}}, "penalize must be weights"),
        ({"precision": "bfloat16"}, "precision must be auto, float64 or float32"),
    ],
    ids=["optimizer", "nesterov", "defense", "penalize", "precision"],
)
def test_what_has_not_been_derived_is_refused(values, message):
    with pytest.raises(RecipeError, match=message):
        check_coverage(recipe_of(**values))


def test_dropout_that_acts_is_refused_and_names_its_layer():
    recipe = recipe_of(model={**MLP, "dropout": 0.5})
    with pytest.raises(RecipeError, match=r"Dropout \(body\.\d\) has rate = 0\.5.*--engine torch"):
        train_in_numpy(recipe, load(recipe.dataset))
