"""The affine product of a pack, features first, with the gradient of the weights laid out as the weights are.

Autograd's own gradient of a batched product comes out transposed, and an optimizer that walks through it
against the grain takes longer than the product. With the batch as last axis no operation has to transpose.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["affine"]


def affine(
    values: Float[Tensor, "lead inputs batch"],
    weights: Float[Tensor, "lead outputs inputs"],
    bias: Float[Tensor, "lead outputs"] | None,
) -> Float[Tensor, "lead outputs batch"]:
    """Return W x + b for every minibatch, differentiable once.

    With G the gradient of the loss by the result: ∂x = Wᵀ G, ∂W = G xᵀ, ∂b = Σ_batch G.

    Args:
        values: x, one minibatch per lead.
        weights: W, in the same data type.
        bias: b, likewise.

    Example:
        >>> x, w, b = torch.ones(1, 3, 2), torch.ones(1, 4, 3), torch.ones(1, 4)
        >>> affine(x, w, b)[0, :, 0]
        tensor([4., 4., 4., 4.])
    """
    result: Tensor = _Affine.apply(values, weights, bias)  # type: ignore[no-untyped-call]
    return result


class _Affine(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, weights: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(values, weights)
        if bias is None:
            return _product(weights, values)
        if len(values) == 1:
            return torch.addmm(bias[0, :, None], weights[0], values[0])[None]
        return torch.baddbmm(bias[:, :, None], weights, values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        values, weights = ctx.saved_tensors
        by_values, by_weights, by_bias = ctx.needs_input_grad
        return (
            _product(weights.mT, gradient) if by_values else None,
            _product(gradient, values.mT) if by_weights else None,
            gradient.sum(dim=2) if by_bias else None,
        )


def _product(
    first: Float[Tensor, "lead rows inner"], second: Float[Tensor, "lead inner columns"]
) -> Float[Tensor, "lead rows columns"]:
    """Multiply matrices; a single pair through the product of two matrices, which is the faster routine."""
    return torch.mm(first[0], second[0])[None] if len(first) == 1 else torch.bmm(first, second)
