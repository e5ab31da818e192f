"""Sanity of attributions: maps must change where the weights that they explain are randomized."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from jaxtyping import Float64, Int64
from pydantic import Field
from torch import Tensor, nn

from foolscope.core.randomness import numpy_generator
from foolscope.core.settings import Settings
from foolscope.inspection.attribution.means import Mean, mean_over_images
from foolscope.inspection.attribution.method import Attribution, attribute
from foolscope.inspection.attribution.randomization import layers_from_top, randomized
from foolscope.inspection.attribution.similarity import other_images, spearman, structural_similarity
from foolscope.threats.prediction import Images

__all__ = ["AttributionSanity", "MethodSanity", "Stage", "sanity"]

_IMAGES = 20
_DEPTHS = 6  # of a deep model's layers, so that the price does not grow with depth
_UNCHANGED = 0.9  # a rank correlation above it is no change, whatever the control

_Maps = Float64[Tensor, "batch height width"]


class Stage(Settings):
    """How alike maps are before and after some weights are randomized; null where a map is flat."""

    depth: int = Field(description="of the layer, counted from the logits, the first being 1")
    layer: str
    own: Mean | None = Field(description="Spearman's correlation of the magnitudes of an image's two maps")
    other: Mean | None = Field(description="with the changed map of another image, the control")
    similarity: Mean | None = Field(description="structural similarity of the magnitudes")


class MethodSanity(Settings):
    """What randomized weights do to the maps of one method."""

    method: str
    title: str
    cascading: list[Stage] = Field(description="all layers from the logits down to this one are randomized")
    independent: list[Stage] = Field(description="this layer alone is randomized")

    @property
    def final(self) -> Stage:
        """What remains once all weights are randomized."""
        return self.cascading[-1]

    @property
    def barely_changes(self) -> bool:
        """Whether the correlation that remains is nearer to 1 than to that with another image."""
        own, other = self.final.own, self.final.other
        if own is None:
            return False
        limit = _UNCHANGED if other is None else min(_UNCHANGED, (1 + other.mean) / 2)
        return (own.mean if own.low is None else own.low) > limit


class AttributionSanity(Settings):
    """Whether attributions depend on the weights of the model."""

    images: int
    layers: int = Field(description="with weights")
    methods: list[MethodSanity]

    @property
    def doubts(self) -> list[str]:
        """Methods whose maps hardly depend on what the model has learned."""
        return [
            f"Maps by {each.title} barely change when all weights are randomized (rank correlation "
            f"{each.final.own.mean:.2f}): they show the image rather than what the model has learned."
            for each in self.methods
            if each.barely_changes and each.final.own is not None
        ]


def sanity(
    model: nn.Module,
    images: Images,
    predictions: Int64[np.ndarray, " batch"],
    methods: Sequence[Attribution],
    *,
    numbers: Int64[np.ndarray, " batch"],
    seed: int,
    batch_size: int,
    tell: Callable[[float, str], None],
) -> AttributionSanity | None:
    """Compare maps of the trained model with those of models with randomized weights.

    Layers are randomized from the logits downwards, each on top of those before it (cascading) and alone
    (independent). The class that is attributed stays the one that the trained model predicts, noise stays the
    same, and magnitudes summed over channels are compared. Where pixels have unequal influence on any model,
    such as at the borders of a convolution, even unrelated maps correlate; the control is the changed map of
    another image. A deep model is compared at six depths.

    Args:
        model: from images in [0, 1] to logits; its weights are changed meanwhile, and restored.
        images: of the model's data type; up to 20 are used.
        predictions: of the trained model.
        methods: with their settings.
        numbers: of the images, from which noise derives.
        seed: root of the noise, of the randomized weights, and of the choice of the other image.
        batch_size: largest number of images that a model gets at a time.
        tell: called with the fraction done and a detail.

    Returns:
        What was found; None for a model that shows no weights.

    References:
        Adebayo et al. 2018, arXiv:1810.03292, sections 3.1 and 3.2.
    """
    count = min(_IMAGES, len(images))
    layers = layers_from_top(model, images[:1])
    if not layers:
        return None
    targets = torch.from_numpy(np.asarray(predictions[:count])).to(images.device)
    maps_of = partial(
        _magnitudes, images[:count], targets, seed=seed, batch_size=batch_size, numbers=numbers[:count]
    )
    others = other_images(count, numpy_generator(seed, "attribution", "other images"))
    trained = [maps_of(model, method) for method in methods]
    stages: list[dict[str, list[Stage]]] = [{"cascading": [], "independent": []} for _ in methods]
    depths = _depths(len(layers))
    for place, depth in enumerate(depths):
        layer = layers[depth - 1]
        tell(place / len(depths), f"{layer or 'model'} randomized")
        for kind, chosen in (("cascading", layers[:depth]), ("independent", [layer])):
            if depth == 1 and kind == "independent":  # the first layer alone is both
                continue
            with randomized(model, chosen, seed=seed):
                changed = [maps_of(model, method) for method in methods]
            for before, after, kinds in zip(trained, changed, stages, strict=True):
                found = _stage(depth, layer or "model", before, after, others)
                for each in kinds if depth == 1 else (kind,):
                    kinds[each].append(found)
    found_methods = [
        MethodSanity(method=method.name, title=method.title, **kinds)
        for method, kinds in zip(methods, stages, strict=True)
    ]
    return AttributionSanity(images=count, layers=len(layers), methods=found_methods)


def _magnitudes(
    images: Images,
    targets: Int64[Tensor, " batch"],
    model: nn.Module,
    method: Attribution,
    *,
    numbers: Int64[np.ndarray, " batch"],
    seed: int,
    batch_size: int,
) -> _Maps:
    """Return the magnitudes of each image's map, the largest being 1."""
    found = attribute(model, images, targets, method, seed=seed, batch_size=batch_size, numbers=numbers)
    sizes = found.values.double().abs().sum(dim=1).cpu()
    return sizes / sizes.amax(dim=(1, 2), keepdim=True)


def _stage(depth: int, layer: str, before: _Maps, after: _Maps, others: Int64[Tensor, " batch"]) -> Stage:
    own = spearman(before, after)
    other = spearman(before, after[others]) if len(others) > 1 else torch.full_like(own, torch.nan)
    return Stage(
        depth=depth,
        layer=layer,
        own=mean_over_images(own.numpy()),
        other=mean_over_images(other.numpy()),
        similarity=mean_over_images(structural_similarity(before, after).numpy()),
    )


def _depths(layers: int) -> list[int]:
    """Return at most six depths, evenly spread, with the first and the last layer."""
    return sorted(set(np.linspace(1, layers, min(layers, _DEPTHS)).round().astype(int).tolist()))
