"""Graphs of a study's models: one for each shape of model, light enough to be drawn."""

import pytest
import torch
from torch import nn

from foolscope.experiments.parts.graphs import MOST_LAYERS, graph_record, initial_graphs
from foolscope.experiments.recipe import recipe_from
from foolscope.experiments.running.session import Session
from foolscope.experiments.running.store import Store
from foolscope.inspection.checks.initial_loss import initial_model
from foolscope.inspection.graph.computational_graph import ModelGraph
from foolscope.learning.measuring.evaluation import to_pixels

DIGITS = {"name": "digits", "limit": 90}


def recipe(**values):
    return recipe_from({"dataset": DIGITS, "model": {"name": "mlp", "hidden": [8]}, **values})


def test_recipes_whose_models_have_one_shape_share_a_graph(tmp_path):
    session = Session(Store(tmp_path))
    recipes = {
        "first": recipe(),
        "faster": recipe(optimizer={"name": "sgd", "learning_rate": 0.5}),
        "wide": recipe(model={"name": "mlp", "hidden": [9]}),
        "squared": recipe(loss={"name": "squared-error"}),
    }
    found = initial_graphs(recipes, session)
    assert [graph.recipes for graph in found] == [["first", "faster"], ["wide"], ["squared"]]
    losses = [graph.nodes[-1].mean for graph in found]
    assert losses[0] == pytest.approx(losses[1], abs=0.5)
    assert losses[2] < 2 < losses[0]
    assert initial_graphs(recipes, session) == found
    assert {graph.images for graph in found} == {64}


def test_the_loss_of_the_recipe_is_followed(tmp_path):
    session = Session(Store(tmp_path))
    smooth = recipe(loss={"name": "cross-entropy", "label_smoothing": 0.3})
    dataset = session.dataset(smooth.dataset)
    model = initial_model(smooth, dataset)
    images, labels = to_pixels(dataset.test.images, torch.float32), dataset.test.labels
    expected = nn.functional.cross_entropy(model(images[:64]), labels[:64], label_smoothing=0.3).item()
    found = graph_record("smooth", model, images, labels, loss=smooth.loss)
    assert found.nodes[-1].mean == pytest.approx(expected, rel=1e-5)


def test_a_deep_model_is_drawn_by_its_parts_and_a_broken_one_without_numbers():
    with torch.random.fork_rng(devices=[]):
        blocks = [nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Tanh()) for _ in range(MOST_LAYERS // 3)]
        model = nn.Sequential(nn.Flatten(), nn.Sequential(*blocks), nn.Linear(64, 3))
    images, labels = torch.rand(4, 1, 8, 8), torch.arange(4) % 3
    deep = graph_record("deep", model, images, labels)
    assert [node.operation for node in deep.nodes if node.kind == "layer"] == [
        *("Flatten", *["Sequential"] * len(blocks), "Linear")
    ]
    nn.init.constant_(model[2].bias, float("nan"))
    broken = graph_record("broken", model, images, labels)
    assert broken.nodes[-1].mean is None
    assert ModelGraph.model_validate_json(broken.model_dump_json()) == broken
