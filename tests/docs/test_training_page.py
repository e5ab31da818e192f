"""The recipes of the page about training are recipes, and they train."""

import tomllib
from pathlib import Path

import pytest
import torch
from sybil import Sybil
from sybil.parsers.markdown import CodeBlockParser

from foolscope.data import load
from foolscope.experiments.recipe import recipe_from, with_values
from foolscope.learning import train_pack
from foolscope.learning.parameters.treatments import treatments

PAGE = Path(__file__).parents[2] / "docs" / "training.md"
BLOCKS = [
    str(block.parsed)
    for block in Sybil(parsers=[CodeBlockParser("toml", lambda block: None)]).parse(PAGE).examples()
]
PUBLISHED = next(block for block in BLOCKS if "*bn*" in block)


@pytest.mark.parametrize("block", [block for block in BLOCKS if block != PUBLISHED])
def test_a_recipe_of_the_page_trains(block):
    recipe = recipe_from(tomllib.loads(block))
    short = with_values(recipe, {"limit": 64, "epochs": min(2, recipe.training.epochs)})
    (outcome,) = train_pack([short], load(short.dataset))
    assert outcome.status == "finished"


def test_the_published_groups_of_a_residual_network_are_as_the_page_says():
    names = ["conv1.weight", "bn1.weight", "layer1.0.bn1.bias", "layer2.0.downsample.1.weight", "fc.bias"]
    shapes = {name: torch.Size([4, 3] if "conv" in name else [4]) for name in names}
    decays = {
        name: each.weight_decay
        for name, each in treatments(recipe_from(tomllib.loads(PUBLISHED)), shapes).items()
    }
    assert decays == dict(zip(names, [5e-4, 0.0, 0.0, 5e-4, 0.0], strict=True))


def test_the_page_shows_each_feature():
    recipes = [recipe_from(tomllib.loads(block)) for block in BLOCKS]
    assert {each.optimizer.name for each in recipes} >= {"muon", "adamw"}
    assert {each.averaging.name for each in recipes} == {"none", "ema", "swa"}
    assert any(each.training.sharpness_radius for each in recipes)
    assert any(each.training.accumulation > 1 for each in recipes)
