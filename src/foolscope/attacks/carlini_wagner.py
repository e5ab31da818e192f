"""Carlini and Wagner's L2 attack: size plus a constant times the margin, minimized in tanh space."""

from math import inf
from typing import ClassVar, Literal

import pydantic
import torch
from torch import Tensor

from foolscope.attacks.losses import LOSSES
from foolscope.attacks.runner.attack import State
from foolscope.attacks.runner.oracle import Oracle
from foolscope.attacks.runner.problem import Problem, over_pixels
from foolscope.attacks.runner.randomness import Noise
from foolscope.core.settings import Settings

__all__ = ["CarliniWagner"]

_DECAY, _SQUARE_DECAY, _TINY = 0.9, 0.999, 1e-8  # Adam's own
_CHECKS, _PROGRESS = 10, 1e-4  # for each constant; to fall by less than this fraction is no progress
_SHORTEST_PERIOD = 50  # iterations from check to check: the objective of Adam's steps goes up and down
_INSIDE = 1 - 1e-6  # black and white are infinitely far away in tanh space


class CarliniWagner(Settings):
    """Minimize ``‖x' − x‖₂² + c · max(−margin(x'), 0)`` over w, ``x' = (tanh w + 1) / 2``, with Adam.

    A binary search finds the smallest constant c at which the minimum fools. The search is not limited to
    the ball: what it finds beyond the threat's budget does not count and raises no doubt. Black and white
    pixels, infinitely far out in tanh space, hardly move: prefer FMN or DDN on images with many of them.

    Args:
        search_steps: number of constants that are tried.
        iterations: largest number of gradient steps for each constant: an image whose objective has not
            fallen in a tenth of them, or in 50, goes on to the next constant, and stops after the last.
        learning_rate: Adam's.
        initial_constant: the first c; it grows tenfold until the image fools.

    Example:
        >>> CarliniWagner(search_steps=5, iterations=100).steps
        500

    Source:
        Carlini and Wagner (2017, arXiv:1608.04644), sections V and VI-A, objective f₆; nine constants from
        0.001 on, the learning rate and the early end as in the authors' program. Deviations: 1,000 iterations
        for each constant instead of 10,000; each image ends by itself, not the batch as one (on a small
        network for digits 43 % fewer passes for perturbations 0.1 % larger); the confidence κ is 0.
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
        """All gradient steps together, at most."""
        return self.search_steps * self.iterations

    def start(self, problem: Problem, noise: Noise) -> State:
        """Start at the clean image with the first constant."""
        zeros, none = torch.zeros_like(problem.inputs), torch.zeros_like(problem.labels)
        return {
            "inputs": problem.inputs,
            "shift": zeros,
            "mean": zeros,
            "square": zeros,
            "constant": torch.full_like(problem.epsilon, self.initial_constant),
            "low": torch.zeros_like(problem.epsilon),
            "high": torch.full_like(problem.epsilon, inf),
            "found": none.bool(),
            "search": none,
            "iteration": none,
            "checked": torch.full_like(problem.epsilon, inf),
        }

    def step(self, problem: Problem, state: State, oracle: Oracle) -> State:
        """Take one step of Adam for the rows that have constants left to try; the others do not move."""
        trying = (state["search"] < self.search_steps).nonzero()[:, 0]
        if len(trying) == len(problem):
            return self._stepped(problem, state, oracle)
        if len(trying) == 0:
            return state
        rows = {name: value[trying] for name, value in state.items()}
        stepped = self._stepped(problem.select(trying), rows, oracle.select(trying))
        return {name: value.index_copy(0, trying, stepped[name]) for name, value in state.items()}

    def _stepped(self, problem: Problem, state: State, oracle: Oracle) -> State:
        """Take one step of Adam; where a constant's iterations end, choose the next constant."""
        lower, upper = problem.bounds
        half = (upper - lower) / 2
        origin = torch.atanh(((problem.inputs - lower) / half - 1) * _INSIDE)
        bent = torch.tanh(origin + state["shift"])
        points = (lower + half * (1 + bent)).clamp(lower, upper)
        answer = oracle.loss_and_gradient(points, LOSSES["margin"])
        found = state["found"] | oracle.fools(answer.logits)
        weight = torch.where(answer.losses < 0, state["constant"], 0)
        change = points - problem.inputs
        by_pixel = 2 * change - over_pixels(weight) * answer.gradient
        gradient = by_pixel * half * (1 - bent.square())
        mean = _DECAY * state["mean"] + (1 - _DECAY) * gradient
        square = _SQUARE_DECAY * state["square"] + (1 - _SQUARE_DECAY) * gradient.square()
        turn = (state["iteration"] + 1).to(points.dtype)
        unbiased = square / over_pixels(1 - _SQUARE_DECAY**turn)
        rate = self.learning_rate / over_pixels(1 - _DECAY**turn)
        shift = state["shift"] - rate * mean / (unbiased.sqrt() + _TINY)
        objective = change.square().flatten(1).sum(1) - weight * answer.losses
        last, checked = self._ends(state, objective)
        kept = over_pixels((~last).to(points.dtype))
        return {
            "inputs": problem.project(lower + half * (1 + torch.tanh(origin + shift))),
            "shift": shift * kept,
            "mean": mean * kept,
            "square": square * kept,
            **_next_constant(state, found, last),
            "found": found & ~last,
            "search": state["search"] + last,
            "iteration": torch.where(last, 0, state["iteration"] + 1),
            "checked": checked,
        }

    def _ends(self, state: State, objective: Tensor) -> tuple[Tensor, Tensor]:
        """Return the rows where a constant's iterations end, and each row's objective at its last check."""
        iteration, period = state["iteration"], max(_SHORTEST_PERIOD, self.iterations // _CHECKS)
        checks = (iteration > 0) & (iteration % period == 0)
        converged = checks & (objective > (1 - _PROGRESS) * state["checked"])
        last = converged | (iteration == self.iterations - 1)
        return last, torch.where(last, inf, torch.where(checks, objective, state["checked"]))


def _next_constant(state: State, found: Tensor, last: Tensor) -> State:
    """Halve the interval of constants where a round ends; without an upper end, go on tenfold."""
    constant = state["constant"]
    high = torch.where(last & found, constant.minimum(state["high"]), state["high"])
    low = torch.where(last & ~found, constant.maximum(state["low"]), state["low"])
    following = torch.where(high.isfinite(), (low + high) / 2, constant * 10)
    return {"constant": torch.where(last, following, constant), "low": low, "high": high}
