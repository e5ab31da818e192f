"""The loss's gradient with respect to the pixels, and whether it traces the edges of the image."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from foolscope.core.modes import frozen
from foolscope.core.settings import FiniteFloat, Settings
from foolscope.learning.losses import PackLoss, cross_entropy
from foolscope.statistics.estimate import Estimate, interval

__all__ = [
    "EdgeCorrelations",
    "GradientPicture",
    "InputGradients",
    "Mean",
    "edge_correlations",
    "edge_tracing",
    "edges",
    "input_gradients",
    "mean_over_images",
]


class Mean(Settings):
    """A mean over images with its interval."""

    mean: float
    low: float | None = Field(None, description="lower end of the 95 % t interval; null for a single image")
    high: float | None = None


class GradientPicture(Settings):
    """One image with its gradient and its edges; their pixels are in the arrays under these keys."""

    label: str
    predicted: str
    image: str
    gradient: str
    edges: str
    correlation: FiniteFloat = Field(description="of gradient and edges; null where one is flat")


class InputGradients(Settings):
    """The loss's gradient with respect to the pixels, and its correlation with edges."""

    images: int = Field(description="inspected")
    counted: int = Field(description="images whose gradient and edges are not flat")
    own: Mean | None = Field(description="correlation of |gradient| with the edges of the same image")
    other: Mean | None = Field(description="correlation with the edges of another image, the control")
    difference: Mean | None = Field(description="image by image, own minus other")
    right: list[GradientPicture]
    wrong: list[GradientPicture]


_Images = Float[Tensor, "batch channel height width"]
_Maps = Float[Tensor, "batch height width"]

_SOBEL = ((-1.0, 0.0, 1.0), (-2.0, 0.0, 2.0), (-1.0, 0.0, 1.0))


@dataclass(frozen=True)
class EdgeCorrelations:
    """Correlations of gradients with edges, image by image.

    Args:
        own: Pearson's correlation over the pixels of |gradient| with the edges of the same image; NaN where
            either is constant.
        other: correlation with the edges of another image; each image is the other of exactly one.
    """

    own: Float64[np.ndarray, " image"]
    other: Float64[np.ndarray, " image"]


def input_gradients(
    model: nn.Module,
    images: _Images,
    labels: Int64[Tensor, " batch"],
    *,
    batch_size: int,
    loss: PackLoss = cross_entropy,
) -> _Images:
    """Return ∂L/∂x of each image with the loss L of its label.

    The loss is computed in float64, so that its gradient does not vanish where the model is certain. The
    model is in evaluation mode, and the images are of its data type.
    """
    gradients = []
    for pixels, classes in zip(torch.split(images, batch_size), torch.split(labels, batch_size), strict=True):
        with torch.enable_grad():
            variables = pixels.detach().clone().requires_grad_()
            losses = loss(model(variables * 1).double()[None], classes[None], None)[0]
            if losses.requires_grad:
                found = torch.autograd.grad(losses.sum(), variables, materialize_grads=True)[0]
            else:  # the model detaches its input
                found = torch.zeros_like(variables)
        gradients.append(found.detach())
    return torch.cat(gradients)


def edges(images: _Images) -> _Maps:
    """Return the strength of the edges: √(gₓ² + g_y²) by Sobel's two 3 × 3 filters, of the mean channel.

    The border is replicated, so that it is no edge itself.

    Example:
        >>> step = torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(1, 1, 3, 4)
        >>> edges(step)[0, 1]
        tensor([0., 4., 4., 0.])

    References:
        Sobel and Feldman 1968, *A 3 × 3 isotropic gradient operator for image processing*.
    """
    across = images.new_tensor(_SOBEL)
    padded = functional.pad(images.mean(dim=1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    slopes = functional.conv2d(padded, torch.stack([across, across.T])[:, None])
    return slopes.square().sum(dim=1).sqrt()


def edge_correlations(
    images: _Images, gradients: _Images, generator: np.random.Generator
) -> EdgeCorrelations:
    """Correlate gradients with the edges of their own image, and with those of another one.

    The other image is the control: objects are centered and borders are empty, so that gradient and edges of
    any two images have something in common. The generator draws an order, in which it is the next one.
    """
    outlines = edges(images.double()).flatten(1)
    strengths = gradients.double().abs().sum(dim=1).flatten(1)
    order = torch.from_numpy(generator.permutation(len(images))).to(images.device)
    partners = torch.empty_like(order)
    partners[order] = order.roll(-1)
    own = _correlations(strengths, outlines)
    alone = len(images) < 2
    other = torch.full_like(own, torch.nan) if alone else _correlations(strengths, outlines[partners])
    return EdgeCorrelations(own.cpu().numpy(), other.cpu().numpy())


def _correlations(
    one: Float64[Tensor, "image pixel"], other: Float64[Tensor, "image pixel"]
) -> Float64[Tensor, " image"]:
    scaled = [each / each.abs().amax(dim=1, keepdim=True) for each in (one, other)]
    centered = [each - each.mean(dim=1, keepdim=True) for each in scaled]
    norms = [each.norm(dim=1) for each in centered]
    flat = torch.stack(norms).amin(dim=0) <= 1e-12
    return torch.where(flat, torch.nan, (centered[0] * centered[1]).sum(dim=1) / (norms[0] * norms[1]))


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
