"""Singular values and effective ranks of a model's layers."""

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from foolscope.core.settings import Settings

__all__ = ["LayerSpectrum", "effective_rank", "factored_layers", "spectra", "weight_matrix"]


class LayerSpectrum(Settings):
    """The singular values of one layer."""

    layer: str
    rows: int = Field(description="of the weights as a matrix")
    columns: int
    singular_values: list[float] = Field(description="the largest first")
    effective_rank: float = Field(description="exponential of the entropy of their shares of their sum")
    energy_rank: int = Field(description="how many singular values hold 99 % of the sum of squares")


_ENERGY = 0.99


def factored_layers(model: nn.Module) -> dict[str, nn.Linear | nn.Conv2d]:
    """Return the layers whose weights are a matrix: affine ones and convolutions without groups."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1)
    }


def weight_matrix(layer: nn.Linear | nn.Conv2d) -> Float[Tensor, "rows columns"]:
    """Return a layer's weights as a matrix: of a convolution one row for each filter."""
    return layer.weight.detach().flatten(1)


def spectra(model: nn.Module) -> list[LayerSpectrum]:
    """Return the singular values of every layer that has a weight matrix, in the model's order.

    Example:
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(3, 2))
        >>> _ = model[1].weight.data.copy_(torch.tensor([[3.0, 0.0, 0.0], [0.0, 3.0, 0.0]]))
        >>> [(each.layer, each.singular_values, each.effective_rank) for each in spectra(model)]
        [('1', [3.0, 3.0], 2.0)]
    """
    found = []
    for name, layer in factored_layers(model).items():
        matrix = weight_matrix(layer).double().cpu()
        values = torch.linalg.svdvals(matrix)
        energy = values.square().cumsum(0)
        enough = int((energy < _ENERGY * energy[-1]).sum()) + 1
        found.append(
            LayerSpectrum(
                layer=name,
                rows=matrix.shape[0],
                columns=matrix.shape[1],
                singular_values=values.tolist(),
                effective_rank=effective_rank(values),
                energy_rank=enough,
            )
        )
    return found


def effective_rank(values: Float[Tensor, " rank"]) -> float:
    """Return ``exp(−Σ p log p)`` of the singular values' shares p; 0 for a matrix of zeros.

    Source:
        Roy and Vetterli (2007), "The effective rank: a measure of effective dimensionality".
    """
    total = values.sum()
    if total == 0:
        return 0.0
    shares = values / total
    return round(float(torch.special.entr(shares).sum().exp()), 12)
