"""Low-rank compression: a trained model with its layers replaced by their best factors of a lower rank."""

from copy import deepcopy

import torch
from torch import nn

from foolscope.inspection.layers.spectrum import factored_layers, weight_matrix

__all__ = ["compressed", "parameter_count"]


def compressed(model: nn.Module, fraction: float) -> nn.Module:
    """Return a copy in which every weight matrix is its best approximation of a lower rank.

    The best approximation of rank r keeps the r largest singular values (Eckart and Young 1936). Where the
    two factors have fewer entries than the matrix, two layers replace one, ``x → A (B x)``; for a
    convolution, r filters followed by a 1 × 1 convolution. Elsewhere the layer keeps its form.

    Args:
        model: any module; not changed.
        fraction: r as a fraction of each layer's full rank, above 0 and at most 1; at least 1 is kept.

    Raises:
        ValueError: the fraction is out of range.

    Example:
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32))
        >>> parameter_count(model), parameter_count(compressed(model, 0.25))
        (2080, 800)
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"the fraction of the rank must be above 0 and at most 1; got {fraction:g}")
    copy = deepcopy(model)
    for name, layer in factored_layers(copy).items():
        rank = max(1, round(fraction * min(weight_matrix(layer).shape)))
        parent, _, last = name.rpartition(".")
        setattr(copy.get_submodule(parent), last, _truncated(layer, rank))
    return copy


def parameter_count(model: nn.Module) -> int:
    """Return the number of parameters of a model."""
    return sum(each.numel() for each in model.parameters())


@torch.no_grad()
def _truncated(layer: nn.Linear | nn.Conv2d, rank: int) -> nn.Module:
    matrix = weight_matrix(layer)
    rows, columns = matrix.shape
    if rank >= min(rows, columns):
        return layer
    left, values, right = torch.linalg.svd(matrix.double(), full_matrices=False)
    outer = (left[:, :rank] * values[:rank].sqrt()).to(matrix)
    inner = (values[:rank, None].sqrt() * right[:rank]).to(matrix)
    if rank * (rows + columns) >= rows * columns:
        layer.weight.copy_((outer @ inner).view_as(layer.weight))
        return layer
    return _two_layers(layer, outer, inner)


def _two_layers(layer: nn.Linear | nn.Conv2d, outer: torch.Tensor, inner: torch.Tensor) -> nn.Sequential:
    rank, has_bias = len(inner), layer.bias is not None
    first: nn.Module
    second: nn.Linear | nn.Conv2d
    if isinstance(layer, nn.Linear):
        first = nn.Linear(layer.in_features, rank, bias=False, device=inner.device, dtype=inner.dtype)
        second = nn.Linear(rank, layer.out_features, has_bias, device=inner.device, dtype=inner.dtype)
    else:
        first = nn.Conv2d(
            layer.in_channels,
            rank,
            layer.kernel_size,  # type: ignore[arg-type]  # a pair, which torch declares as any tuple
            layer.stride,  # type: ignore[arg-type]
            layer.padding,  # type: ignore[arg-type]
            layer.dilation,  # type: ignore[arg-type]
            bias=False,
            padding_mode=layer.padding_mode,
            device=inner.device,
            dtype=inner.dtype,
        )
        second = nn.Conv2d(rank, layer.out_channels, 1, bias=has_bias, device=inner.device, dtype=inner.dtype)
    first.weight.copy_(inner.view_as(first.weight))
    second.weight.copy_(outer.view_as(second.weight))
    if layer.bias is not None and second.bias is not None:
        second.bias.copy_(layer.bias)
    return nn.Sequential(first, second)
