"""What is true of every check, over the table, so that a new one cannot be forgotten."""

import json

import pytest
import torch

from foolscope.experiments.recipe import recipe_from
from foolscope.inspection.check import Check
from foolscope.inspection.checks import CHECKS, GRADIENT_CHECKS
from foolscope.inspection.checks.initial_loss import initial_model
from foolscope.inspection.gradients import differences


@pytest.fixture(autouse=True)
def _briefly(train_briefly, monkeypatch):
    train_briefly(steps=8, epochs=2)
    monkeypatch.setattr(differences, "_COORDINATES", 2)


EVERY = CHECKS | {
    name: lambda trial, dataset, check=check: check(initial_model(trial, dataset), trial, dataset)
    for name, check in GRADIENT_CHECKS.items()
}


@pytest.fixture(params=EVERY, ids=[name.replace(" ", "-") for name in EVERY])
def name(request):
    return request.param


@pytest.mark.parametrize("model", ["linear-regression", "small-cnn"])
def test_it_answers_in_a_sentence_with_numbers(noise, name, model):
    result = EVERY[name](recipe_from({"model": model}), noise)
    assert isinstance(result, Check)
    assert result.check == name
    assert result.sentence.endswith(".")
    assert "\n" not in result.sentence
    assert json.loads(json.dumps(result.numbers)) == result.numbers


def test_it_changes_neither_the_data_nor_the_global_random_state(noise, name):
    images, labels, state = noise.train.images.clone(), noise.train.labels.clone(), torch.get_rng_state()
    recipe = recipe_from({"model": {"name": "mlp", "hidden": [1], "dropout": 0.5}})
    assert EVERY[name](recipe, noise) == EVERY[name](recipe, noise)
    assert torch.equal(noise.train.images, images)
    assert torch.equal(noise.train.labels, labels)
    assert torch.equal(torch.get_rng_state(), state)
