"""The whitening layer: a convolution whose filters decorrelate the patches of the training images."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["PATCH", "Whitening"]

PATCH = 2
"""Side of a patch, in pixels."""

_EPSILON = 5e-4  # added to the variances, so that patches which do not vary are not amplified without bound


class Whitening(nn.Module):
    """Convolution with the filters ±e_i / √(λ_i + ε) and a trained bias.

    λ_i and e_i are eigenvalues and eigenvectors of the second moments of 2×2 patches, 4 per channel. The
    filters are a buffer, which is not trained; before :meth:`fit` each copies one pixel of the patch, which
    whitens uncorrelated pixels of variance 1.

    Args:
        channels: of the images.

    References:
        Jordan 2024, arXiv:2404.00498, section 3.2; there, too, ε = 5e-4 and both signs of each filter.
    """

    weight: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        own = torch.eye(channels * PATCH**2).view(-1, channels, PATCH, PATCH)
        self.register_buffer("weight", torch.cat([own, -own]))
        self.bias = nn.Parameter(torch.zeros(self.filters))

    @property
    def filters(self) -> int:
        """The number of output channels: two for each number in a patch."""
        return len(self.weight)

    def forward(
        self, images: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch filter height-1 width-1"]:
        """Return the whitened patches and their negatives, plus the bias."""
        return functional.conv2d(images, self.weight.to(images.dtype), self.bias.to(images.dtype))

    def fit(self, images: Float[Tensor, "image channel height width"]) -> None:
        """Set the filters by the patches of normalized images.

        Args:
            images: as this layer gets them.
        """
        rows = functional.unfold(images.double(), PATCH).transpose(1, 2).flatten(0, 1)
        values, vectors = torch.linalg.eigh(rows.T @ rows / len(rows))
        filters = (vectors / (values + _EPSILON).sqrt()).T.flip(0)  # the largest eigenvalue first
        filters = filters * _sign(filters)  # eigenvectors are defined up to their sign
        own = filters.unflatten(1, self.weight.shape[1:])
        self.weight = torch.cat([own, -own]).to(self.weight)

    def initial_value(self, name: str, generator: torch.Generator) -> Tensor:
        """Return a bias of zeros."""
        return torch.zeros(self.filters)


def _sign(filters: Float[Tensor, "filter number"]) -> Float[Tensor, "filter 1"]:
    """Return the sign of each filter's largest number."""
    return filters.gather(1, filters.abs().argmax(dim=1, keepdim=True)).sign()
