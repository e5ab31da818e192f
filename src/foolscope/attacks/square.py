"""Square attack: a random search over square-shaped changes that uses outputs and no gradients."""

from collections.abc import Callable
from functools import lru_cache
from typing import ClassVar, Literal, NamedTuple

import pydantic
import torch
from torch import Tensor

from foolscope.attacks.losses import LOSSES, LossName
from foolscope.attacks.runner.attack import State
from foolscope.attacks.runner.oracle import Oracle
from foolscope.attacks.runner.problem import Problem, over_pixels
from foolscope.attacks.runner.randomness import Noise, numbered_uniform
from foolscope.core.settings import Settings
from foolscope.threats.norms import L2, Linf, Norm

__all__ = ["Square", "bump", "square_sides"]

_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)  # of the changed fraction, in 10,000 queries
_TILES = 5  # along the shorter side of the first perturbation in L2

Draw = Callable[[int], Tensor]
"""From a count to that many numbers in [0, 1) for each row."""


class Square(Settings):
    """Random search: change one square of the best image so far, and keep the change if it raises the loss.

    The square covers a fraction p of the pixels, which is halved at fixed queries. In L∞ its pixels go to
    x ± ε, one sign for each channel; the search starts with vertical stripes. In L2 the budget of another
    square moves to a bump with a bright and a dark half; the search starts with a tiling of bumps.

    Args:
        steps: number of queries; the last candidate takes one more.
        fraction: p at first, of the pixels of an image.
        restarts: number of searches.
        loss: the loss that a change must raise: ``"margin"``, ``"cross_entropy"`` or ``"dlr"``.

    Source:
        Andriushchenko, Croce, Flammarion and Hein (2020, arXiv:1912.00049), section 3, algorithms 1 to 3;
        p = 0.8, 5,000 queries and no gradients as in AutoAttack (Croce and Hein 2020, arXiv:2003.01690).
        Halvings and the redraw of a change without effect as in the authors' code. Deviations: a square may
        touch every border (in the code it never reaches the last row and column); in L2 place and orientation
        are drawn for each image; towards a target, too, the loss is the margin, where the code takes
        cross-entropy.
    """

    name: Literal["square"] = "square"
    steps: int = pydantic.Field(5000, ge=1)
    fraction: float = pydantic.Field(0.8, gt=0, le=1)
    restarts: int = pydantic.Field(1, ge=1)
    loss: LossName = "margin"

    stops_at_success: ClassVar[bool] = True
    norms: ClassVar[tuple[str, ...]] = ("linf", "l2")

    def start(self, problem: Problem, noise: Noise) -> State:
        """Start at the norm's first perturbation, with a stream of random numbers for each row."""
        first = _SHAPES[type(problem.norm)].first
        inputs = first(problem, lambda count: noise.uniform(problem.indices, problem.items, count))
        return {
            "inputs": inputs,
            "best": inputs,
            "loss": torch.full_like(problem.epsilon, -torch.inf),
            "keys": noise.keys(problem.indices, problem.items),
        }

    def step(self, problem: Problem, state: State, oracle: Oracle) -> State:
        """Evaluate the candidate, keep it if it is better, and change a square of the best."""
        losses = oracle.losses(state["inputs"], LOSSES[self.loss]).to(problem.epsilon.dtype)
        better = losses > state["loss"]
        best = torch.where(over_pixels(better), state["inputs"], state["best"])
        shape = _SHAPES[type(problem.norm)]
        sides = square_sides(self.fraction, *problem.inputs.shape[-2:], smallest=shape.smallest_side)
        candidates = shape.change(
            problem,
            best,
            sides,
            halvings(problem.steps, self.steps),
            lambda count: numbered_uniform(state["keys"], problem.steps, count),
        )
        loss = torch.where(better, losses, state["loss"])
        return {"inputs": candidates, "best": best, "loss": loss, "keys": state["keys"]}


def halvings(taken: Tensor, steps: int) -> Tensor:
    """Return how often p has been halved after this many of ``steps`` queries."""
    scaled = taken * 10_000 // steps
    return (scaled[:, None] > scaled.new_tensor(_HALVINGS)).sum(1)


def square_sides(fraction: float, height: int, width: int, *, smallest: int = 1) -> tuple[int, ...]:
    """Return the side of the square after no, one, two, ... halvings of the fraction.

    With ``smallest`` at 3 instead of 1 the sides are odd, too.
    """
    largest = min(height, width)
    sides = []
    for halved in range(len(_HALVINGS) + 1):
        side = max(round((fraction / 2**halved * height * width) ** 0.5), smallest)
        if smallest > 1 and side % 2 == 0:
            side += 1
        if side > largest:
            side = largest - (smallest > 1 and largest % 2 == 0)
        sides.append(side)
    return tuple(sides)


def _stripes(problem: Problem, draw: Draw) -> Tensor:
    """Move every column of every channel by ±ε."""
    count, channels, _, width = problem.inputs.shape
    signs = _signs(draw(channels * width)).view(count, channels, 1, width)
    return (problem.inputs + over_pixels(problem.epsilon) * signs).clamp(*problem.bounds)


def _recolored_square(
    problem: Problem, best: Tensor, sides: tuple[int, ...], phase: Tensor, draw: Draw
) -> Tensor:
    """Set a square to x ± ε, one sign for each channel, so that at least one channel changes."""
    _, channels, height, width = best.shape
    side = phase.new_tensor(sides)[phase]
    numbers = draw(2 * channels + 3)
    _, _, inside = _window(numbers[:, :2], side, height, width)
    signs = _signs(numbers[:, 2 : channels + 2])

    def painted(signs: Tensor) -> Tensor:
        shift = problem.epsilon[:, None] * signs
        return torch.where(inside, (problem.inputs + shift[:, :, None, None]).clamp(*problem.bounds), best)

    # A uniform choice among the other colors: the first channel that flips, then a coin for each later one.
    candidates = painted(signs)
    same = (candidates == best).flatten(1).all(1)
    if not bool(same.any()):
        return candidates
    first = -torch.log2(1 - numbers[:, channels + 2] * (1 - 0.5**channels))
    first = first.long().clamp(max=channels - 1)[:, None]
    place = torch.arange(channels, device=best.device)
    flips = (place == first) | ((place > first) & (numbers[:, channels + 3 :] < 0.5))
    return painted(torch.where(same[:, None] & flips, -signs, signs))


def _tiling(problem: Problem, draw: Draw) -> Tensor:
    """Spend the budget on a tiling of bumps, turned at random, with one sign for each channel."""
    count, channels, height, width = problem.inputs.shape
    side = max(1, min(height, width) // _TILES)
    down, across = height // side, width // side
    numbers = draw((channels + 1) * down * across)
    signs = _signs(numbers).view(count, channels + 1, down, across).to(problem.inputs.dtype)
    tiles = bump(side).to(problem.inputs).repeat(down, across)
    turned = bump(side).T.to(problem.inputs).repeat(down, across)
    signs = signs.repeat_interleave(side, dim=2).repeat_interleave(side, dim=3)
    pattern = torch.where(signs[:, :1] > 0, tiles, turned) * signs[:, 1:]
    perturbation = torch.zeros_like(problem.inputs)
    top, left = (height - down * side) // 2, (width - across * side) // 2
    perturbation[:, :, top : top + down * side, left : left + across * side] = pattern
    return _spent(problem, perturbation)


def _moved_bump(problem: Problem, best: Tensor, sides: tuple[int, ...], phase: Tensor, draw: Draw) -> Tensor:
    """Spend the budget of one square, and what was unused, on a bump in another square."""
    _, channels, height, width = best.shape
    side = phase.new_tensor(sides)[phase]
    numbers = draw(channels + 5)
    i, j, inside = _window(numbers[:, :2], side, height, width)
    *_, emptied = _window(numbers[:, 2:4], side, height, width)
    turned = (numbers[:, 4] < 0.5)[:, None, None]
    i, j = torch.where(turned, j, i), torch.where(turned, i, j)
    shapes = _padded_bumps(sides, best.dtype, best.device)
    pattern = shapes[phase[:, None, None], i, j][:, None] * inside
    signs = _signs(numbers[:, 5:])[:, :, None, None]

    before = best - problem.inputs
    kept = before * inside
    unused = (problem.epsilon.square() - before.square().sum((1, 2, 3))).clamp(min=0)
    budget = unused.view(-1, 1, 1, 1) / channels + _square_sum(before * (inside | emptied))
    fresh = pattern * signs
    added = fresh + _unit(kept)
    added = torch.where(_square_sum(added) < 1e-9, fresh, added)  # where old and new cancel, only the new
    placed = _unit(added) * budget.sqrt()
    return _spent(problem, torch.where(inside, placed, before * ~emptied))


class _Shape(NamedTuple):
    """A norm's first perturbation, its change of a square, and the smallest side of a square."""

    first: Callable[[Problem, Draw], Tensor]
    change: Callable[[Problem, Tensor, tuple[int, ...], Tensor, Draw], Tensor]
    smallest_side: int


_SHAPES: dict[type[Norm], _Shape] = {
    Linf: _Shape(_stripes, _recolored_square, 1),
    L2: _Shape(_tiling, _moved_bump, 3),
}


def bump(side: int) -> Tensor:
    """Return a square of length 1 in L2 with one bright and one dark half, each brightest in its middle.

    A pixel ``m`` away from its half's middle (in the larger of the two coordinates) is
    ``Σ_{k=m}^{side // 2} 1 / (k + 1)²`` bright, before each half is scaled to the same length.

    Source:
        Andriushchenko et al. (2020, arXiv:1912.00049), section 3.
    """
    upper = side // 2
    pattern = torch.cat([_half(upper, side), -_half(side - upper, side)])
    return pattern / pattern.square().sum().sqrt()


def _half(height: int, width: int) -> Tensor:
    i, j = torch.arange(height)[:, None], torch.arange(width)
    ring = (i - height // 2).abs().maximum((j - width // 2).abs())
    shares = 1 / torch.arange(1, width // 2 + 2, dtype=torch.float64).square()
    brightness = shares.flip(0).cumsum(0).flip(0)[ring]
    return brightness / brightness.square().sum().sqrt()


@lru_cache(maxsize=16)
def _padded_bumps(sides: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the bump of each of these sides in the upper left corner of as large a square as needed."""
    padded = torch.zeros(len(sides), max(sides), max(sides), dtype=torch.float64)
    for k, side in enumerate(sides):
        padded[k, :side, :side] = bump(side)
    return padded.to(device, dtype)


def _window(numbers: Tensor, side: Tensor, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Place a square uniformly; return the pixels' coordinates in it, clipped, and which are inside."""
    top = (numbers[:, 0] * (height - side + 1)).long()
    left = (numbers[:, 1] * (width - side + 1)).long()
    i = torch.arange(height, device=side.device)[:, None] - top[:, None, None]
    j = torch.arange(width, device=side.device) - left[:, None, None]
    last = side[:, None, None] - 1
    inside = (i >= 0) & (i <= last) & (j >= 0) & (j <= last)
    zero = torch.zeros_like(last)
    return i.maximum(zero).minimum(last), j.maximum(zero).minimum(last), inside[:, None]


def _spent(problem: Problem, perturbation: Tensor) -> Tensor:
    """Scale the perturbation to the whole budget and return the perturbed images."""
    length = _square_sum(perturbation).sum(1, keepdim=True).sqrt()
    scale = over_pixels(problem.epsilon) / length.clamp(min=torch.finfo(length.dtype).tiny)
    return (problem.inputs + perturbation * scale).clamp(*problem.bounds)


def _unit(values: Tensor) -> Tensor:
    """Scale each channel to length 1 in L2; a channel of zeros stays zero."""
    return values / _square_sum(values).sqrt().clamp(min=torch.finfo(values.dtype).tiny)


def _square_sum(values: Tensor) -> Tensor:
    return values.square().sum((2, 3), keepdim=True)


def _signs(numbers: Tensor) -> Tensor:
    return torch.where(numbers < 0.5, -1.0, 1.0)
