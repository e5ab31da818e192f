"""Computational graphs of a study's models before training, and of any model that is looked into."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Literal

import torch
from torch import Tensor, nn

from foolscope.core.randomness import torch_generator
from foolscope.experiments.parts.graph_records import GraphEdgeRecord, GraphNodeRecord, GraphRecord
from foolscope.experiments.recipe import Recipe
from foolscope.experiments.running.session import Session
from foolscope.inspection import initial_model
from foolscope.inspection.computational_graph import ModelGraph, computational_graph
from foolscope.learning.evaluation import to_pixels
from foolscope.learning.losses import LOSSES, CrossEntropy, LossSettings, smoothing_per_trial

__all__ = ["MOST_LAYERS", "graph_record", "initial_graphs"]

MOST_LAYERS = 60
"""How many layers and operations are drawn before parts of the model are taken as one."""

_IMAGES = 64


def graph_record(
    name: str,
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    loss: LossSettings | None = None,
    weights: Literal["initial", "trained"] = "trained",
) -> GraphRecord:
    """Follow up to 64 images through a model; where it has very many layers, its parts count as one each.

    Args:
        name: of the recipe or the model.
        model: from images to logits; it stays as it is.
        images: in [0, 1]; the first 64 are used.
        labels: of the images.
        loss: cross-entropy by default.
        weights: what the model has.

    Raises:
        RecipeError: the model cannot be followed.
    """
    settings = loss or CrossEntropy()
    smoothing = smoothing_per_trial([settings], images.device, images.dtype)
    of_pack = LOSSES[settings.name][1]
    deepest = max((path.count(".") + 1 for path, _ in model.named_modules() if path), default=1)
    for level in (None, *range(deepest - 1, 0, -1)):
        graph = computational_graph(
            model,
            images[:_IMAGES],
            labels[:_IMAGES],
            loss=lambda logits, wanted, unused: of_pack(logits, wanted, smoothing),
            level=level,
        )
        if sum(node.kind in ("layer", "operation") for node in graph.nodes) <= MOST_LAYERS:
            break
    return _record(name, graph, weights)


def initial_graphs(recipes: Mapping[str, Recipe], session: Session) -> list[GraphRecord]:
    """Draw up the graph of every model of a study at its initial weights; models of one shape share it.

    Args:
        recipes: by name.
        session: has the data.
    """
    found: dict[tuple[Any, ...], GraphRecord] = {}
    for name, recipe in recipes.items():
        dataset = session.dataset(recipe.dataset)
        train = dataset.train
        generator = torch_generator(recipe.seed, "graph", "images")
        chosen = torch.randperm(len(train), generator=generator)[:_IMAGES].to(train.labels.device)
        batch = train.take(chosen)
        record = graph_record(
            name,
            initial_model(recipe, dataset),
            to_pixels(batch.images, torch.float32),
            batch.labels,
            loss=recipe.loss,
            weights="initial",
        )
        nodes = tuple((node.name, node.operation, tuple(node.shape)) for node in record.nodes)
        key = (recipe.loss.name, nodes, tuple((edge.start, edge.end) for edge in record.edges))
        if key in found:
            record = found[key].model_copy(update={"recipes": [*found[key].recipes, name]})
        found[key] = record
    return list(found.values())


def _record(name: str, graph: ModelGraph, weights: Literal["initial", "trained"]) -> GraphRecord:
    return GraphRecord(
        recipes=[name],
        weights=weights,
        images=graph.images,
        nodes=[GraphNodeRecord.model_validate(_finite(asdict(node))) for node in graph.nodes],
        edges=[GraphEdgeRecord.model_validate(_finite(asdict(edge))) for edge in graph.edges],
    )


def _finite(fields: dict[str, Any]) -> dict[str, Any]:
    """Put null for numbers that JSON has no words for."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in fields.items()
    }
