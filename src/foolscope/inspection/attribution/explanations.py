"""Maps of several methods for the same images: edges, completeness, and pictures of right and wrong ones."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from foolscope.core.errors import RecipeError
from foolscope.core.randomness import numpy_generator
from foolscope.core.settings import FiniteFloat, Settings
from foolscope.inspection.attribution.edges import edge_correlations
from foolscope.inspection.attribution.integrated_gradients import IntegratedGradients
from foolscope.inspection.attribution.means import Mean, mean_over_images
from foolscope.inspection.attribution.method import Attribution, Maps, attribute

__all__ = ["AttributionPicture", "Attributions", "Completeness", "MethodMaps", "applicable", "explain"]

_IMAGES = 50  # some 150 passes each
_PICTURES = 4  # of each kind
_STRONGEST = 0.99  # quantile of a map's magnitudes that is drawn in full color

_Images = Float[Tensor, "batch channel height width"]
_Labels = Int64[Tensor, " batch"]


class Completeness(Settings):
    """How far the attributions of integrated gradients add up to the change of the logit."""

    median_error: FiniteFloat = Field(description="|Σ attributions − change| / |change|, median over images")
    largest_error: FiniteFloat = Field(description="null where the logit does not change at all")
    tolerance: float
    above: int = Field(description="images whose error is above the tolerance")
    mean_steps: float = Field(description="gradients that an image needed")
    most_steps: int


class MethodMaps(Settings):
    """The maps of one method."""

    method: str
    reading: str = Field(description="what its maps show")
    counted: int = Field(description="images whose map and edges are not flat")
    own: Mean | None = Field(description="correlation of |map| with the edges of the same image")
    other: Mean | None = Field(description="correlation with the edges of another image, the control")
    difference: Mean | None = Field(description="image by image, own minus other")
    completeness: Completeness | None = None


class AttributionPicture(Settings):
    """One image with its maps; pixels are in the arrays under these keys."""

    label: str
    predicted: str
    image: str
    maps: dict[str, str] = Field(description="method -> key of a map in [-1, 1], summed over channels")


class Attributions(Settings):
    """What several methods attribute the logit of the predicted class to."""

    images: int = Field(description="inspected")
    methods: list[MethodMaps]
    right: list[AttributionPicture]
    wrong: list[AttributionPicture]

    @property
    def doubts(self) -> list[str]:
        """Reasons not to trust the maps."""
        said = []
        for each in self.methods:
            found = each.completeness
            if found is not None and found.above:
                said.append(
                    f"Integrated gradients miss completeness by more than {100 * found.tolerance:g} % on "
                    f"{found.above} of {self.images} images with up to {found.most_steps} steps."
                )
        return said


def applicable(
    model: nn.Module, images: _Images, methods: Sequence[Attribution]
) -> tuple[list[Attribution], list[str]]:
    """Try methods on the first image; return those that apply, and one line for each of the others."""
    apply, refusals = [], []
    for method in methods:
        try:
            attribute(
                model, images[:1], torch.zeros_like(images[:1, 0, 0, 0]).long(), method, seed=0, batch_size=1
            )
        except RecipeError as error:
            refusals.append(str(error))
        else:
            apply.append(method)
    return apply, refusals


def explain(
    model: nn.Module,
    images: _Images,
    labels: _Labels,
    predictions: Int64[np.ndarray, " batch"],
    classes: Sequence[str],
    methods: Sequence[Attribution],
    *,
    numbers: Int64[np.ndarray, " batch"],
    seed: int,
    batch_size: int,
    tell: Callable[[float, str], None],
) -> tuple[Attributions, dict[str, NDArray[Any]]]:
    """Attribute the logit of the predicted class to the pixels, with each method, on up to 50 images.

    Args:
        model: from images in [0, 1] to logits.
        images: of the model's data type.
        labels: their classes.
        predictions: the class of the largest logit, which is what is attributed.
        classes: their names.
        methods: with their settings.
        numbers: of the images, from which noise derives.
        seed: root of the noise, and of the choice of the other image.
        batch_size: largest number of images that the model gets at a time.
        tell: called with the fraction done and a detail.

    Returns:
        What was found, and the pixels of a few images and their maps by key.

    Raises:
        RecipeError: a method does not apply to the model.
    """
    targets = torch.from_numpy(np.asarray(predictions)).to(labels)
    is_right = predictions == labels.cpu().numpy()
    shown = {
        kind: np.flatnonzero(chosen)[:_PICTURES].tolist()
        for kind, chosen in (("right", is_right), ("wrong", ~is_right))
    }
    rows = [*shown["right"], *shown["wrong"]]
    count = min(_IMAGES, len(labels))
    found, pictured = [], {}
    for place, method in enumerate(methods):
        tell(place / len(methods), method.title)

        def maps_of(places: Sequence[int], method: Attribution = method) -> Maps:
            chosen = list(places)
            return attribute(
                model,
                images[chosen],
                targets[chosen],
                method,
                seed=seed,
                batch_size=batch_size,
                numbers=numbers[chosen],
            )

        found.append(_method_maps(method, images[:count], maps_of(range(count)), seed))
        pictured[method.name] = maps_of(rows).values.sum(dim=1)
    arrays: dict[str, NDArray[Any]] = {}
    pictures: dict[str, list[AttributionPicture]] = {"right": [], "wrong": []}
    for row, place in enumerate(rows):
        kind = "right" if is_right[place] else "wrong"
        keys = {name: f"attribution-{place}-{name}" for name in pictured}
        image = f"attribution-{place}-image"
        arrays[image] = images[place].float().cpu().numpy()
        arrays |= {keys[name]: _scaled(maps[row]) for name, maps in pictured.items()}
        label, predicted = classes[int(labels[place])], classes[int(predictions[place])]
        pictures[kind].append(AttributionPicture(label=label, predicted=predicted, image=image, maps=keys))
    return Attributions(images=count, methods=found, **pictures), arrays


def _method_maps(method: Attribution, images: _Images, maps: Maps, seed: int) -> MethodMaps:
    generator = numpy_generator(seed, "attribution", "edges")  # the same control for every method
    found = edge_correlations(images, maps.values, generator)
    return MethodMaps(
        method=method.name,
        reading=method.reading(),
        counted=int(np.isfinite(found.own).sum()),
        own=mean_over_images(found.own),
        other=mean_over_images(found.other),
        difference=mean_over_images(found.own - found.other),
        completeness=_completeness(method, maps) if isinstance(method, IntegratedGradients) else None,
    )


def _completeness(method: IntegratedGradients, maps: Maps) -> Completeness | None:
    if maps.errors is None or maps.steps is None:
        return None
    return Completeness(
        median_error=float(maps.errors.median()),
        largest_error=float(maps.errors.max()),
        tolerance=method.tolerance,
        above=int((~(maps.errors <= method.tolerance)).sum()),
        mean_steps=float(maps.steps.double().mean()),
        most_steps=method.most_steps,
    )


def _scaled(signed: Float[Tensor, "height width"]) -> NDArray[np.float32]:
    """Scale a map to [-1, 1]; magnitudes above a quantile are cut."""
    values = signed.double().cpu().numpy()
    magnitudes = np.abs(values)
    largest = np.quantile(magnitudes, _STRONGEST) or magnitudes.max() or 1.0
    return np.asarray(np.clip(values / largest, -1, 1), dtype=np.float32)
