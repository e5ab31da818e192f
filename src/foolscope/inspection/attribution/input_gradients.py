"""The loss's gradient with respect to the pixels, and its correlation with the edges of the image."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn
from torch.nn import functional

from foolscope.learning.losses import PackLoss, cross_entropy

__all__ = ["EdgeCorrelations", "edge_correlations", "edges", "input_gradients"]

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

    The loss is computed in float64, so that its gradient does not vanish where the model is certain.

    Args:
        model: in evaluation mode, from images in [0, 1] to logits.
        images: of the model's data type.
        labels: of the images.
        batch_size: how many images at a time.
        loss: of the logits.
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

    Args:
        images: of any scale.

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
    any two images have something in common.

    Args:
        images: in [0, 1].
        gradients: with respect to their pixels; magnitudes are summed over channels.
        generator: draws an order; the other image is the next one in it.
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
