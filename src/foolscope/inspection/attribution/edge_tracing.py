"""Whether the gradient with respect to the pixels traces the edges of the image."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from numpy.typing import NDArray
from torch import Tensor, nn

from foolscope.core.modes import frozen
from foolscope.inspection.attribution.input_gradients import edge_correlations, edges, input_gradients
from foolscope.inspection.attribution.results import GradientPicture, InputGradients, Mean
from foolscope.statistics.estimate import Estimate, interval

__all__ = ["edge_tracing", "mean_over_images"]

_IMAGES = 500  # a backward pass each
_PICTURES = 4  # of each kind
_BRIGHTEST = 0.99  # quantile of a gradient's pixels that is drawn white


def edge_tracing(
    model: nn.Module,
    images: Float[Tensor, "batch channel height width"],
    labels: Int64[Tensor, " batch"],
    predictions: Int64[np.ndarray, " batch"],
    classes: Sequence[str],
    generator: np.random.Generator,
    *,
    batch_size: int,
) -> tuple[InputGradients, dict[str, NDArray[Any]]]:
    """Correlate the gradient with respect to the pixels with edges, on up to 500 images.

    Args:
        model: from images in [0, 1] to logits.
        images: of the model's data type.
        labels: of the images.
        predictions: the model's.
        classes: their names.
        generator: see :func:`~foolscope.inspection.attribution.input_gradients.edge_correlations`.
        batch_size: images per backward pass.

    Returns:
        The correlations, and the pixels of a few images, gradients and edges by key.
    """

    def gradients_at(places: Sequence[int]) -> Float[Tensor, "batch channel height width"]:
        rows = torch.tensor(list(places), device=images.device)
        with frozen(model):
            return input_gradients(model, images[rows], labels[rows], batch_size=batch_size)

    arrays: dict[str, NDArray[Any]] = {}

    def pictures(kind: str, places: Sequence[int]) -> list[GradientPicture]:
        if not places:
            return []
        shown, gradients = images[list(places)], gradients_at(places)
        strengths, outlines = gradients.abs().sum(dim=1), edges(shown)
        own = edge_correlations(shown, gradients, np.random.default_rng(0)).own  # the others are not used
        found = []
        for row, place in enumerate(places):
            keys = {part: f"{kind}-{place}-{part}" for part in ("image", "gradient", "edges")}
            arrays[keys["image"]] = shown[row].float().cpu().numpy()
            arrays[keys["gradient"]] = _bright(strengths[row])
            arrays[keys["edges"]] = _bright(outlines[row])
            label, predicted = classes[int(labels[place])], classes[predictions[place]]
            picture = GradientPicture(label=label, predicted=predicted, correlation=float(own[row]), **keys)
            found.append(picture)
        return found

    count = min(_IMAGES, len(labels))
    found = edge_correlations(images[:count], gradients_at(range(count)), generator)
    is_right = predictions == labels.cpu().numpy()
    result = InputGradients(
        images=count,
        counted=int(np.isfinite(found.own).sum()),
        own=mean_over_images(found.own),
        other=mean_over_images(found.other),
        difference=mean_over_images(found.own - found.other),
        right=pictures("right", np.flatnonzero(is_right)[:_PICTURES].tolist()),
        wrong=pictures("wrong", np.flatnonzero(~is_right)[:_PICTURES].tolist()),
    )
    return result, arrays


def mean_over_images(values: Float64[np.ndarray, " image"]) -> Mean | None:
    """Return the mean of the finite values with its 95 % t interval; None where no value is finite.

    Example:
        >>> mean_over_images(np.array([1.0, float("nan")]))
        Mean(mean=1.0, low=None, high=None)
    """
    known = values[np.isfinite(values)]
    if not known.size:
        return None
    mean = float(known.mean())
    if known.size < 2:
        return Mean(mean=mean)
    error = float(known.std(ddof=1)) / math.sqrt(known.size)
    low, high = interval(Estimate(mean, error, known.size - 1, known.size))
    return Mean(mean=mean, low=low, high=high)


def _bright(strengths: Float[Tensor, "height width"]) -> NDArray[np.float32]:
    """Scale nonnegative values to a picture from black to white."""
    values = strengths.double().cpu().numpy()
    largest = np.quantile(values, _BRIGHTEST) or values.max() or 1.0
    return np.asarray(np.clip(values / largest, 0, 1), dtype=np.float32)
