import math
from dataclasses import replace

import pytest
import torch

from foolscope.data.dataset import Dataset, LabeledImages
from foolscope.experiments.recipe import recipe_from
from foolscope.inspection import checks, initial_loss, overfit_one_batch


def dataset_of(images, labels, classes):
    split = LabeledImages(images, labels)
    return Dataset.build("made up", tuple(map(str, range(classes))), split, None, split)


@pytest.fixture
def noise():
    """Pixels that say nothing about the labels."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (120, 1, 12, 11), generator=generator, dtype=torch.uint8)
    return dataset_of(images, torch.randint(4, (120,), generator=generator), 4)


@pytest.fixture
def constant_weights(monkeypatch):
    """Let every model be built with its weights and biases multiplied by a factor."""
    built = checks.build_model

    def install(factor):
        def build(*args, **kwargs):
            model = built(*args, **kwargs)
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.mul_(factor)
            return model

        monkeypatch.setattr(checks, "build_model", build)

    return install


@pytest.mark.parametrize("classes", [2, 4, 10])
def test_a_model_of_zeros_has_a_loss_of_exactly_ln_k(noise, constant_weights, classes):
    constant_weights(0.0)
    dataset = dataset_of(noise.train.images, noise.train.labels % classes, classes)
    check = initial_loss(recipe_from({"model": "softmax"}), dataset)
    assert check.numbers["loss"] == pytest.approx(math.log(classes), abs=1e-6)
    assert check.numbers["expected"] == pytest.approx(math.log(classes))
    assert check.passed
    assert f"ln {classes}" in check.sentence


def test_the_loss_is_the_cross_entropy_of_the_initial_model(noise):
    recipe = recipe_from({"model": {"name": "softmax", "normalization": "half"}, "seed": 3})
    check = initial_loss(recipe, noise)
    model = checks.build_model(recipe.model, noise.image_shape, 4, seed=3)
    with torch.no_grad():
        loss = torch.nn.functional.cross_entropy(model(noise.train.images / 255), noise.train.labels)
    assert check.numbers["loss"] == pytest.approx(float(loss), abs=1e-5)


def test_it_is_the_cross_entropy_for_models_trained_with_another_loss(noise, constant_weights):
    constant_weights(0.0)
    check = initial_loss(recipe_from({"model": "linear-regression"}), noise)
    assert check.numbers["loss"] == pytest.approx(math.log(4), abs=1e-6)


def test_large_logits_fail_and_the_sentence_says_what_to_look_at(noise, constant_weights):
    constant_weights(100.0)
    check = initial_loss(recipe_from({"model": "softmax"}), noise)
    assert not check.passed
    assert check.numbers["loss"] > math.log(4) + 1
    assert "initial weights" in check.sentence


@pytest.mark.parametrize("model", ["mlp", "softmax"])
def test_a_sound_model_learns_a_batch_by_heart(noise, model):
    check = overfit_one_batch(recipe_from({"model": model}), noise)
    assert check.passed, check.sentence
    assert check.numbers["images"] == 64
    assert check.numbers["best_accuracy"] == 1.0
    assert 1 <= check.numbers["steps"] <= 400


def test_a_model_too_small_for_the_labels_fails(noise):
    check = overfit_one_batch(recipe_from({"model": {"name": "mlp", "hidden": [1]}}), noise)
    assert not check.passed
    assert check.numbers["best_accuracy"] < 1.0
    assert f"{check.numbers['best_accuracy']:.0%}" in check.sentence
    assert "capacity" in check.sentence


def test_nothing_holds_the_model_back(noise):
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
    assert overfit_one_batch(held, noise) == overfit_one_batch(free, noise)


def test_fewer_images_than_a_batch_are_all_of_them(noise):
    few = replace(noise, train=noise.train.take(torch.arange(10)))
    check = overfit_one_batch(recipe_from({"model": "mlp"}), few)
    assert check.numbers["images"] == 10


def test_the_seed_draws_the_batch_and_global_randomness_is_untouched(noise):
    before = torch.get_rng_state()
    first, again, other = (
        overfit_one_batch(recipe_from({"model": {"name": "mlp", "hidden": [2]}, "seed": seed}), noise)
        for seed in (0, 0, 1)
    )
    assert first == again
    assert first.numbers != other.numbers
    initial_loss(recipe_from({"model": "mlp"}), noise)
    assert torch.equal(before, torch.get_rng_state())
