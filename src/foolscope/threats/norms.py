"""The geometry of each norm: size, projection, steepest step and random start, all per image.

A perturbation has shape (batch, *image); its first axis is the image. ``lower`` and ``upper`` are the room
each pixel has before it leaves the range of a pixel, so ``lower <= 0 <= upper``: the unperturbed image is
always feasible.
"""

from dataclasses import dataclass
from math import inf
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["L1", "L2", "NORMS", "Linf", "Norm", "rounding_slack"]

_Batch = Float[Tensor, "batch ..."]
_Flat = Float[Tensor, "batch pixels"]
_Sizes = Float[Tensor, " batch"]
_Uniform = Float[Tensor, "batch numbers"]
_Start = Float[Tensor, "batch numbers-1"]

Room = _Batch | float


@runtime_checkable
class Norm(Protocol):
    """What an attack needs to know about a norm."""

    def size(self, perturbation: _Batch) -> _Sizes:
        """Return the norm of each image's perturbation."""

    def project(self, perturbation: _Batch, epsilon: _Sizes, lower: Room = -inf, upper: Room = inf) -> _Batch:
        """Return the nearest point (in L2) in the box and in the ball of radius ``epsilon``, exactly."""

    def steepest_step(
        self, gradient: _Batch, step_size: _Sizes, lower: Room = -inf, upper: Room = inf
    ) -> _Batch:
        """Return the step of size ``step_size`` that raises the linearized loss most."""

    def random_start(self, uniform: _Uniform, epsilon: _Sizes) -> _Start:
        """Turn uniform numbers in [0, 1), one more than pixels, into a uniform point of the ball."""


@dataclass(frozen=True)
class Linf:
    """The largest absolute change of a pixel, ``max |d_i|``.

    The steepest step is ``α sign(g)`` (Goodfellow et al. 2015, arXiv:1412.6572, section 4).
    """

    def size(self, perturbation: _Batch) -> _Sizes:
        """Return ``max |d_i|``."""
        return perturbation.flatten(1).abs().amax(1)

    def project(self, perturbation: _Batch, epsilon: _Sizes, lower: Room = -inf, upper: Room = inf) -> _Batch:
        """Clip to ±ε and to the box."""
        radius = _column(epsilon, perturbation)
        return _clip(perturbation.maximum(-radius).minimum(radius), lower, upper)

    def steepest_step(
        self, gradient: _Batch, step_size: _Sizes, lower: Room = -inf, upper: Room = inf
    ) -> _Batch:
        """Return ``α sign(g)``."""
        return gradient.sign() * _column(step_size, gradient)

    def random_start(self, uniform: _Uniform, epsilon: _Sizes) -> _Start:
        """Scale each number to [−ε, ε]."""
        return (2 * uniform[:, 1:] - 1) * epsilon[:, None]


@dataclass(frozen=True)
class L2:
    """The Euclidean length, ``sqrt(Σ d_i²)``; the steepest step is ``α g / ‖g‖₂``."""

    def size(self, perturbation: _Batch) -> _Sizes:
        """Return ``sqrt(Σ d_i²)``."""
        length: Tensor = torch.linalg.vector_norm(perturbation.flatten(1), dim=1)
        return length

    def project(self, perturbation: _Batch, epsilon: _Sizes, lower: Room = -inf, upper: Room = inf) -> _Batch:
        """Return ``sign(z) min(t |z|, room)`` with the scale ``t <= 1`` that makes its length ``epsilon``."""
        boxed, magnitude, room = _boxed(perturbation, lower, upper)
        outside = torch.linalg.vector_norm(room, dim=1) > epsilon
        if not bool(outside.any()):
            return boxed
        return _replace(boxed, outside, _l2_scaled(magnitude[outside], room[outside], epsilon[outside]))

    def steepest_step(
        self, gradient: _Batch, step_size: _Sizes, lower: Room = -inf, upper: Room = inf
    ) -> _Batch:
        """Return ``α g / ‖g‖₂``."""
        # Dividing by the largest entry first keeps tiny gradients from squaring to zero.
        scaled = gradient.flatten(1) / _positive(gradient.flatten(1).abs().amax(1, keepdim=True))
        length = _positive(torch.linalg.vector_norm(scaled, dim=1, keepdim=True))
        return (scaled / length * step_size[:, None]).view_as(gradient)

    def random_start(self, uniform: _Uniform, epsilon: _Sizes) -> _Start:
        """Return a Gaussian direction with a length of ``ε u^(1/pixels)``."""
        gaussian = torch.erfinv(_symmetric(uniform[:, 1:]))
        length = _positive(torch.linalg.vector_norm(gaussian, dim=1, keepdim=True))
        return gaussian / length * (uniform[:, 0] ** (1 / gaussian.shape[1]) * epsilon)[:, None]


@dataclass(frozen=True)
class L1:
    """The sum of absolute changes, ``Σ |d_i|``.

    The steepest step in L1 changes one pixel only, which is slow on images. As Tramèr and Boneh (2019,
    arXiv:1904.13000, section 3, "sparse L1 descent") the step spreads over the pixels with the largest
    gradients, and as there pixels that cannot move any further in the gradient's direction are passed over.
    Croce and Hein (2021, arXiv:2103.01208) adapt the density during the attack; that is for an
    attack to do, not for the norm.

    Args:
        density: the fraction of the pixels that one step changes; at least one pixel. Tramèr and Boneh use
            0.01.
    """

    density: float = 0.01

    def size(self, perturbation: _Batch) -> _Sizes:
        """Return ``Σ |d_i|``."""
        return perturbation.flatten(1).abs().sum(1)

    def project(self, perturbation: _Batch, epsilon: _Sizes, lower: Room = -inf, upper: Room = inf) -> _Batch:
        """Return ``sign(z) clip(|z| − λ, 0, room)`` with the ``λ`` that makes its size ``epsilon``.

        Duchi et al. (2008) for the ball alone; Croce and Hein (2021, arXiv:2103.01208) with the
        box.
        """
        boxed, magnitude, room = _boxed(perturbation, lower, upper)
        outside = room.sum(1) > epsilon
        if not bool(outside.any()):
            return boxed
        threshold = _l1_threshold(magnitude[outside], room[outside], epsilon[outside])
        shrunk = (magnitude[outside] - threshold[:, None]).clamp(min=0).minimum(room[outside])
        return _replace(boxed, outside, shrunk)

    def steepest_step(
        self, gradient: _Batch, step_size: _Sizes, lower: Room = -inf, upper: Room = inf
    ) -> _Batch:
        """Move the pixels with the largest gradients that can still move, all by the same amount."""
        movable = torch.where(gradient > 0, _tensor(upper, gradient) > 0, _tensor(lower, gradient) < 0)
        usable = (gradient * movable).flatten(1)
        largest = usable.abs().topk(max(1, round(self.density * usable.shape[1])), dim=1).indices
        signs = usable.gather(1, largest).sign()
        share = step_size / signs.abs().sum(1).clamp(min=1)
        step = torch.zeros_like(usable).scatter(1, largest, signs * share[:, None])
        return step.view_as(gradient)

    def random_start(self, uniform: _Uniform, epsilon: _Sizes) -> _Start:
        """Divide Laplace numbers by the sum of their sizes and one exponential (Barthe et al. 2005)."""
        two_sided = _symmetric(uniform[:, 1:])
        exponential = -torch.log1p(-two_sided.abs())
        extra = -torch.log1p(-uniform[:, 0])
        return two_sided.sign() * exponential * (epsilon / _positive(exponential.sum(1) + extra))[:, None]


NORMS: dict[str, Norm] = {"linf": Linf(), "l2": L2(), "l1": L1()}


def rounding_slack(norm: Norm, inputs: _Batch) -> float:
    """Return how much rounding every pixel of such images once can add to a perturbation's size."""
    one = torch.full((1, *inputs.shape[1:]), torch.finfo(inputs.dtype).eps, dtype=inputs.dtype)
    return norm.size(one).item()


def _l1_threshold(magnitude: _Flat, room: _Flat, epsilon: _Sizes) -> _Sizes:
    """Solve ``Σ clip(|z| − λ, 0, room) = ε``: piecewise linear, with kinks at |z| and |z| − room."""
    ones = torch.ones_like(magnitude)
    kinks, order = torch.cat([magnitude, magnitude - room], 1).sort(dim=1, descending=True)
    signs = torch.cat([ones, -ones], 1).gather(1, order)
    wide = magnitude.dtype if magnitude.device.type == "mps" else torch.float64  # MPS has no float64
    slopes = signs.cumsum(1, dtype=wide)
    offsets = (signs * kinks).cumsum(1, dtype=wide)
    sums = offsets - slopes * kinks  # the left-hand side at each kink, rising along the sort
    piece = ((sums < epsilon[:, None]).sum(1, keepdim=True) - 1).clamp(min=0)
    solution = (offsets.gather(1, piece) - epsilon[:, None]) / slopes.gather(1, piece).abs().clamp(min=1)
    # With no budget the first kink is the answer; its slope may be -1 where a pixel has no room at all.
    return torch.where(epsilon > 0, solution[:, 0].to(magnitude.dtype), kinks[:, 0])


def _l2_scaled(magnitude: _Flat, room: _Flat, epsilon: _Sizes) -> _Flat:
    """Return ``min(t |z|, room)`` for the ``t`` that solves ``Σ min(t |z|, room)² = ε²``.

    Guess which pixels are at their limit, solve for t, repeat. The guess only grows and t only rises, so the
    loop ends at the exact solution: after a handful of rounds on images, after one per pixel at the latest.
    """
    limited = torch.zeros_like(magnitude, dtype=torch.bool)
    while True:
        spent = torch.where(limited, room, 0).square().sum(1)
        free = torch.where(limited, 0, magnitude).square().sum(1)
        scale = ((epsilon.square() - spent).clamp(min=0) / _positive(free)).sqrt()
        scaled = scale[:, None] * magnitude
        grown = limited | (scaled >= room)
        if torch.equal(grown, limited):
            return torch.where(limited, room, scaled)
        limited = grown


def _boxed(perturbation: Tensor, lower: Room, upper: Room) -> tuple[Tensor, Tensor, Tensor]:
    """Return the perturbation clipped to the box; the sizes before, flat; the sizes after, flat."""
    boxed = _clip(perturbation, lower, upper)
    return boxed, perturbation.flatten(1).abs(), boxed.flatten(1).abs()


def _replace(boxed: Tensor, rows: Tensor, sizes: Tensor) -> Tensor:
    result = boxed.clone()
    result[rows] = boxed[rows].sign() * sizes.view(-1, *boxed.shape[1:])
    return result


def _clip(perturbation: Tensor, lower: Room, upper: Room) -> Tensor:
    return perturbation.maximum(_tensor(lower, perturbation)).minimum(_tensor(upper, perturbation))


def _tensor(value: Room, like: Tensor) -> Tensor:
    return value if isinstance(value, Tensor) else like.new_tensor(value)


def _column(values: Tensor, like: Tensor) -> Tensor:
    return values.view(-1, *[1] * (like.dim() - 1))


def _positive(values: Tensor) -> Tensor:
    return values.clamp(min=torch.finfo(values.dtype).tiny)


def _symmetric(uniform: Tensor) -> Tensor:
    """Turn numbers in [0, 1) into numbers strictly between -1 and 1."""
    return (2 * uniform - 1) * (1 - torch.finfo(uniform.dtype).eps)
