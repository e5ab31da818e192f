import importlib
import math

import pytest
import torch

from foolscope.experiments.recipe import recipe_from
from foolscope.inspection.checks.initial_loss import initial_loss
from foolscope.models import build_model

module = importlib.import_module("foolscope.inspection.checks.initial_loss")


@pytest.fixture
def constant_weights(monkeypatch):
    """Let every model be built with its weights and biases multiplied by a factor."""
    built = module.initial_model

    def install(factor):
        def build(*args, **kwargs):
            model = built(*args, **kwargs)
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.mul_(factor)
            return model

        monkeypatch.setattr(module, "initial_model", build)

    return install


@pytest.mark.parametrize("classes", [2, 4, 10])
def test_a_model_of_zeros_has_a_loss_of_exactly_ln_k(noise, dataset_of, constant_weights, classes):
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
    model = build_model(recipe.model, noise.image_shape, 4, seed=3)
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


def test_batch_normalization_uses_the_images_at_hand(noise):
    """In evaluation mode a deep residual network at its start has logits that double from block to block."""
    recipe = recipe_from({"model": {"name": "resnet34", "base_channels": 4, "normalization": "half"}})
    check = initial_loss(recipe, noise)
    model = build_model(recipe.model, noise.image_shape, 4, seed=0).train()
    with torch.no_grad():
        loss = torch.nn.functional.cross_entropy(model(noise.train.images / 255), noise.train.labels)
    assert check.numbers["loss"] == pytest.approx(float(loss), abs=1e-5)
    assert check.passed
