"""Computational graphs of a study's models before training, and of any inspected model."""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from foolscope.core.randomness import torch_generator
from foolscope.experiments.parts.part import Part
from foolscope.experiments.recipe import Recipe
from foolscope.experiments.running.initial_weights import initial_weights
from foolscope.experiments.running.session import Session
from foolscope.inspection.checks.initial_loss import initial_model
from foolscope.inspection.graph.computational_graph import ModelGraph, computational_graph
from foolscope.learning.losses import CrossEntropy, LossSettings, evaluation_loss, smoothing_per_trial
from foolscope.learning.measuring.evaluation import to_pixels

__all__ = ["MOST_LAYERS", "PART", "graph_record", "initial_graphs"]

MOST_LAYERS = 60
"""Largest number of layers and operations that are drawn before modules are drawn as one."""

_IMAGES = 64


def graph_record(
    name: str,
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    loss: LossSettings | None = None,
    weights: Literal["initial", "trained"] = "trained",
) -> ModelGraph:
    """Follow up to 64 images through a model; in a model with very many layers, modules count as one each.

    The images are in [0, 1], and the model is not changed. The loss is cross-entropy by default.

    Raises:
        RecipeError: the model cannot be followed.
    """
    settings = loss or CrossEntropy()
    smoothing = smoothing_per_trial([settings], images.device, images.dtype)
    of_pack = evaluation_loss([settings], images.device, images.dtype)
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
    return graph.model_copy(update={"recipes": [name], "weights": weights})


def initial_graphs(recipes: Mapping[str, Recipe], session: Session) -> list[ModelGraph]:
    """Compute the graph of every model of a study at its initial weights; models of one shape share it."""
    found: dict[tuple[Any, ...], ModelGraph] = {}
    for name, recipe in recipes.items():
        dataset = session.dataset(recipe.dataset)
        train = dataset.train
        generator = torch_generator(recipe.seed, "graph", "images")
        chosen = torch.randperm(len(train), generator=generator)[:_IMAGES].to(train.labels.device)
        batch = train.take(chosen)
        record = graph_record(
            name,
            initial_model(recipe, dataset, initial_weights(recipe)),
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


PART = Part(
    plan=tuple,
    record=ModelGraph,
    run=lambda names, context, entry: initial_graphs(context.study.recipes, context.session),
    activity="drawing graphs",
    plans=lambda study: (tuple(study.recipes),) if study.recipes else (),
)
