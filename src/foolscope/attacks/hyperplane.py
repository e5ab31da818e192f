"""The smallest change of an image that reaches a hyperplane without leaving the box, in each norm."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from foolscope.threats.norms import L1, L2, Linf, Norm
from foolscope.threats.prediction import PerImage

__all__ = ["distance", "smallest_step"]

_Batch = Float[Tensor, "batch ..."]


def distance(norm: Norm, normal: _Batch, gap: PerImage) -> PerImage:
    """Return the distance from 0 to the hyperplane ``⟨normal, d⟩ = gap``: ``|gap| / ‖normal‖_dual``.

    Where the normal is 0, the hyperplane is out of reach: the distance is huge.
    """
    length = _SHAPES[type(norm)].dual.size(normal)
    return gap.abs() / length.clamp(min=torch.finfo(length.dtype).tiny)


def smallest_step(norm: Norm, normal: _Batch, gap: PerImage, lower: _Batch, upper: _Batch) -> _Batch:
    """Return ``argmin ‖d‖`` over ``⟨normal, d⟩ = gap, lower ≤ d ≤ upper``, exactly.

    Every pixel moves in the direction that gains, by ``t`` in L∞ and by ``t |normal_i|`` in L2, or as far as
    the box allows; in L1 one pixel after another moves to the end of its room, those that gain most first.

    Args:
        norm: the norm of the change.
        normal: perpendicular to the hyperplane.
        gap: what the change must gain.
        lower: the room below, at most 0.
        upper: the room above, at least 0.

    Returns:
        The change; where the box does not reach the hyperplane, the corner nearest to it.

    Example:
        >>> normal, room = torch.tensor([[3.0, -4.0]]), torch.ones(1, 2)
        >>> smallest_step(L2(), normal, torch.tensor([2.5]), -room, room)
        tensor([[ 0.3000, -0.4000]])

    Source:
        Croce and Hein (2020, arXiv:1907.02044) pose the problem and solve it by sorting, as we do in L1. In
        L∞ and L2 we iterate on the set of pixels at their limit, which only grows, instead of sorting.
    """
    direction = normal * gap.sign().view(-1, *[1] * (normal.dim() - 1))
    room = torch.where(direction > 0, upper, -lower)
    slope = direction.abs().flatten(1)
    peak = slope.amax(1).clamp(min=torch.finfo(slope.dtype).tiny)  # tiny slopes would square to zero
    sizes = _SHAPES[type(norm)].sizes(slope / peak[:, None], room.flatten(1), gap.abs() / peak)
    return direction.sign() * sizes.view_as(normal)


def _linf_sizes(slope: Tensor, room: Tensor, gap: Tensor) -> Tensor:
    return room.minimum(_level(slope, slope * room, gap)[:, None])


def _l2_sizes(slope: Tensor, room: Tensor, gap: Tensor) -> Tensor:
    return room.minimum(_level(slope.square(), slope * room, gap)[:, None] * slope)


def _l1_sizes(slope: Tensor, room: Tensor, gap: Tensor) -> Tensor:
    sorted_slope, order = slope.sort(dim=1, descending=True)
    sorted_room = room.gather(1, order)
    gains = sorted_slope * sorted_room
    missing = gap[:, None] - (gains.cumsum(1) - gains)
    wanted = missing.clamp(min=0) / sorted_slope.clamp(min=torch.finfo(slope.dtype).tiny)
    return torch.zeros_like(room).scatter(1, order, wanted.minimum(sorted_room))


def _level(
    weights: Float[Tensor, "batch pixels"], limits: Float[Tensor, "batch pixels"], total: PerImage
) -> PerImage:
    """Solve ``Σ min(t w, limit) = total`` for t; return a large t where the limits do not add up to it.

    Guess which pixels are at their limit, solve for t, repeat. The left-hand side is concave in t, so t only
    rises, the guess only grows, and the loop ends at the exact solution.
    """
    finite = torch.finfo(weights.dtype)
    limited = torch.zeros_like(weights, dtype=torch.bool)
    while True:
        missing = total - torch.where(limited, limits, 0).sum(1)
        free = torch.where(limited, 0, weights).sum(1)
        level = (missing.clamp(min=0) / free.clamp(min=finite.tiny)).clamp(max=finite.max)
        grown = limited | (level[:, None] * weights >= limits)
        if torch.equal(grown, limited):
            return level
        limited = grown


class _Shape(NamedTuple):
    """A norm's dual, and the sizes of the best change from (slopes, room, gap), all flat and not negative."""

    dual: Norm
    sizes: Callable[[Tensor, Tensor, Tensor], Tensor]


_SHAPES: dict[type[Norm], _Shape] = {
    Linf: _Shape(L1(), _linf_sizes),
    L2: _Shape(L2(), _l2_sizes),
    L1: _Shape(Linf(), _l1_sizes),
}
