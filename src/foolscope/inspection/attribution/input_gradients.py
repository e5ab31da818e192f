"""The loss's gradient with respect to the pixels, and whether it traces the edges of the image."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from foolscope.core.modes import frozen
from foolscope.core.settings import FiniteFloat, Settings
from foolscope.inspection.attribution.edges import edge_correlations, edges
from foolscope.inspection.attribution.means import Mean, mean_over_images
from foolscope.learning.losses import PackLoss, cross_entropy

__all__ = ["GradientPicture", "InputGradients", "edge_tracing", "input_gradients"]


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


def _bright(strengths: Float[Tensor, "height width"]) -> NDArray[np.float32]:
    """Scale nonnegative values to a picture from black to white."""
    values = strengths.double().cpu().numpy()
    largest = np.quantile(values, _BRIGHTEST) or values.max() or 1.0
    return np.asarray(np.clip(values / largest, 0, 1), dtype=np.float32)
