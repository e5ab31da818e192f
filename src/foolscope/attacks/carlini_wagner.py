"""Carlini and Wagner's L2 attack: size plus a constant times the margin, minimized in tanh space."""

from math import inf
from typing import ClassVar, Literal

import pydantic
import torch
from torch import Tensor

from foolscope.attacks.attack import State
from foolscope.attacks.losses import LOSSES
from foolscope.attacks.oracle import Oracle
from foolscope.attacks.problem import Problem
from foolscope.attacks.randomness import Noise
from foolscope.core.settings import Settings

__all__ = ["CarliniWagner"]

_DECAY, _SQUARE_DECAY, _TINY = 0.9, 0.999, 1e-8  # Adam's own
_INSIDE = 1 - 1e-6  # black and white are infinitely far away in tanh space


class CarliniWagner(Settings):
    """Minimize ``‖x' − x‖₂² + c · max(−margin(x'), 0)`` over w, ``x' = (tanh w + 1) / 2``, with Adam.

    A binary search finds the smallest constant c at which the minimum fools. The search knows no ball: what
    it finds beyond the threat's budget does not count, and is no reason for a doubt either. Black and white
    pixels, infinitely far out in tanh space, hardly move: prefer FMN or DDN on images with many of them.

    Args:
        search_steps: how many constants are tried.
        iterations: gradient steps for each constant.
        learning_rate: Adam's.
        initial_constant: the first c; it grows tenfold until the image fools.

    Example:
        >>> CarliniWagner(search_steps=5, iterations=100).steps
        500

    Source:
        Carlini and Wagner (2017, arXiv:1608.04644), sections V and VI-A, objective f₆; nine constants from
        0.001 on and the learning rate as in the authors' code. Deviations: 1,000 iterations for each constant
        instead of 10,000; no early abort; the confidence κ is 0.
    """

    name: Literal["carlini-wagner"] = "carlini-wagner"
    search_steps: int = pydantic.Field(9, ge=1)
    iterations: int = pydantic.Field(1000, ge=1)
    learning_rate: float = pydantic.Field(0.01, gt=0)
    initial_constant: float = pydantic.Field(0.001, gt=0)

    norms: ClassVar[tuple[str, ...]] = ("l2",)
    restarts: ClassVar[int] = 1
    stops_at_success: ClassVar[bool] = False

    @property
    def steps(self) -> int:
        """All gradient steps together."""
        return self.search_steps * self.iterations

    def start(self, problem: Problem, noise: Noise) -> State:
        """Start at the clean image with the first constant."""
        zeros = torch.zeros_like(problem.inputs)
        return {
            "inputs": problem.inputs,
            "shift": zeros,
            "mean": zeros,
            "square": zeros,
            "constant": torch.full_like(problem.epsilon, self.initial_constant),
            "low": torch.zeros_like(problem.epsilon),
            "high": torch.full_like(problem.epsilon, inf),
            "found": torch.zeros_like(problem.labels, dtype=torch.bool),
        }

    def step(self, problem: Problem, state: State, oracle: Oracle) -> State:
        """Take one step of Adam; at the end of a constant's iterations choose the next."""
        lower, upper = problem.bounds
        half = (upper - lower) / 2
        origin = torch.atanh(((problem.inputs - lower) / half - 1) * _INSIDE)
        bent = torch.tanh(origin + state["shift"])
        points = (lower + half * (1 + bent)).clamp(lower, upper)
        evaluation = oracle.ascent(points, LOSSES["margin"])
        found = state["found"] | oracle.ledger.fools(problem, evaluation.logits)
        weight = torch.where(evaluation.losses < 0, state["constant"], 0)
        by_pixel = 2 * (points - problem.inputs) - _column(weight) * evaluation.gradient
        gradient = by_pixel * half * (1 - bent.square())
        mean = _DECAY * state["mean"] + (1 - _DECAY) * gradient
        square = _SQUARE_DECAY * state["square"] + (1 - _SQUARE_DECAY) * gradient.square()
        turn = (problem.steps % self.iterations + 1).to(points.dtype)
        unbiased = square / _column(1 - _SQUARE_DECAY**turn)
        rate = self.learning_rate / _column(1 - _DECAY**turn)
        shift = state["shift"] - rate * mean / (unbiased.sqrt() + _TINY)
        last = problem.steps % self.iterations == self.iterations - 1
        kept = _column((~last).to(points.dtype))
        return {
            "inputs": problem.project(lower + half * (1 + torch.tanh(origin + shift))),
            "shift": shift * kept,
            "mean": mean * kept,
            "square": square * kept,
            **_next_constant(state, found, last),
            "found": found & ~last,
        }


def _next_constant(state: State, found: Tensor, last: Tensor) -> State:
    """Halve the interval of constants where a round ends; without an upper end, go on tenfold."""
    constant = state["constant"]
    high = torch.where(last & found, constant.minimum(state["high"]), state["high"])
    low = torch.where(last & ~found, constant.maximum(state["low"]), state["low"])
    following = torch.where(high.isfinite(), (low + high) / 2, constant * 10)
    return {"constant": torch.where(last, following, constant), "low": low, "high": high}


def _column(values: Tensor) -> Tensor:
    return values[:, None, None, None]
