from dataclasses import replace

import pytest
import torch

from foolscope.data import load
from foolscope.data.dataset import Dataset
from foolscope.experiments.recipe import recipe_from
from foolscope.inspection.checks.overfitting import overfit_one_batch, overfits_small_subset


@pytest.fixture(autouse=True)
def _briefly(train_briefly):
    train_briefly(steps=60, epochs=30)


BOTH = pytest.mark.parametrize("check", [overfit_one_batch, overfits_small_subset])


@pytest.mark.parametrize("model", ["mlp", "softmax"])
@pytest.mark.parametrize(("check", "images"), [(overfit_one_batch, 64), (overfits_small_subset, 100)])
def test_a_sound_model_learns_a_few_images_by_heart(noise, check, images, model):
    result = check(recipe_from({"model": model}), noise)
    assert result.passed, result.sentence
    assert result.numbers["images"] == images
    assert result.numbers["best_accuracy"] == 1.0
    assert f"Fits {images} images perfectly" in result.sentence


@BOTH
def test_a_model_too_small_for_the_labels_fails(noise, check):
    result = check(recipe_from({"model": {"name": "mlp", "hidden": [1]}}), noise)
    assert not result.passed
    assert result.numbers["best_accuracy"] < 1.0
    assert f"{result.numbers['best_accuracy']:.0%}" in result.sentence
    assert "capacity" in result.sentence


@BOTH
def test_nothing_holds_the_model_back(noise, check, train_briefly):
    held = recipe_from(
        {
            "model": {"name": "mlp", "hidden": [50], "dropout": 0.9},
            "loss": {"name": "cross-entropy", "label_smoothing": 0.5},
            "optimizer": {"name": "sgd", "learning_rate": 1e-9},
            "regularization": {"l2": 10.0},
            "training": {"epochs": 1, "patience": 1},
        }
    )
    free = recipe_from({"model": {"name": "mlp", "hidden": [50]}})
    train_briefly(steps=5, epochs=3)
    assert check(held, noise) == check(free, noise)


@BOTH
def test_fewer_images_than_it_wants_are_all_of_them(noise, check, train_briefly):
    train_briefly(steps=1, epochs=1)
    few = replace(noise, train=noise.train.take(torch.arange(10)))
    assert check(recipe_from({"model": "mlp"}), few).numbers["images"] == 10


@BOTH
def test_the_seed_draws_the_images(noise, check, train_briefly):
    train_briefly(steps=15, epochs=20)
    recipes = [recipe_from({"model": {"name": "mlp", "hidden": [2]}, "seed": seed}) for seed in (0, 1)]
    assert check(recipes[0], noise).numbers != check(recipes[1], noise).numbers


# ------------------------------------------------------------------ the subset and its validation


def trained_on(monkeypatch):
    """Keep the data sets that are trained on."""
    import foolscope.inspection.checks.overfitting as module

    seen, train_pack = [], module.train_pack

    def train(trials, dataset, **settings):
        seen.append(dataset)
        return train_pack(trials, dataset, **settings)

    monkeypatch.setattr(module, "train_pack", train)
    return seen


def test_every_class_has_its_share_and_validation_is_on_other_images(noise, monkeypatch, train_briefly):
    train_briefly(steps=1, epochs=1)
    labels = torch.arange(120) // 30
    even = replace(noise, train=replace(noise.train, labels=labels))
    seen = trained_on(monkeypatch)
    overfits_small_subset(recipe_from({"model": {"name": "mlp", "hidden": [2]}}), even)
    (subset,) = seen
    assert torch.bincount(subset.train.labels).tolist() == [25] * 4
    assert len(subset.validation) == 20  # the rest: this data set has no validation images

    def pixels(split):
        return {image.numpy().tobytes() for image in split.images}

    assert pixels(subset.train) | pixels(subset.validation) == pixels(even.train)
    assert pixels(subset.train).isdisjoint(pixels(subset.validation))


def test_validation_on_noise_does_not_follow(noise):
    result = overfits_small_subset(recipe_from({"model": "mlp"}), noise)
    numbers = result.numbers
    assert numbers["validation_accuracy"] < 0.6
    assert numbers["last_validation_loss"] > 1.1 * numbers["lowest_validation_loss"]
    assert f"{100 * numbers['validation_accuracy']:.1f} %" in result.sentence
    assert "validation loss rises" in result.sentence


def test_validation_follows_where_a_hundred_images_say_enough(train_briefly):
    train_briefly(steps=1, epochs=50)
    recipe = recipe_from({"model": "softmax", "dataset": {"name": "digits", "limit": 300}})
    result = overfits_small_subset(recipe, load(recipe.dataset))
    assert result.passed
    assert result.numbers["validation_accuracy"] > 0.8
    assert "stays near its lowest" in result.sentence


def test_without_other_images_validation_is_not_mentioned(noise):
    few = noise.train.take(torch.arange(40))
    alone = Dataset.build("alone", noise.classes, few, None, few)
    result = overfits_small_subset(recipe_from({"model": "mlp"}), alone)
    assert result.passed
    assert "validation" not in result.sentence
    assert set(result.numbers) == {"images", "best_accuracy", "epochs"}
