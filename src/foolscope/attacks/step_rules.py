"""How Auto-PGD moves and when it shortens its steps: one rule for dense norms and one for L1."""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import ceil
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from foolscope.attacks.runner.attack import State
from foolscope.attacks.runner.problem import Problem, over_pixels
from foolscope.attacks.runner.randomness import Noise
from foolscope.threats.prediction import Images

__all__ = ["AdaptiveSparsity", "StepHalving", "StepRule", "checkpoint_periods", "where_rows"]

_FIRST_PERIOD, _SHORTER_BY, _SHORTEST_PERIOD = 22, 3, 6  # hundredths of the steps
_MOMENTUM = 0.75  # the weight of the new step; the rest repeats the last one

_L1_PERIOD = Fraction(4, 100)  # of the steps
_L1_FIRST_DENSITY = Fraction(1, 5)
_L1_SPARSER = 1.5  # the next steps change the best point's support divided by this; steps shrink by it, too
_L1_SAME_SUPPORT = 0.95
_L1_SMALLEST_STEP = 0.1  # of the budget


@runtime_checkable
class StepRule(Protocol):
    """The parts of Auto-PGD that depend on the norm: start, move, and what a checkpoint changes.

    All three work on rows: in one batch some rows are at a checkpoint and others are not.
    """

    def start(self, problem: Problem, noise: Noise) -> Images:
        """Return a random allowed image for each row."""

    def memory(self, problem: Problem) -> State:
        """Return the rule's memory before the first step; it contains ``"step_size"``."""

    def check(self, problem: Problem, state: State, steps: int) -> tuple[State, Tensor]:
        """Return the rule's memory after this step's image was evaluated, and which rows restart.

        Args:
            problem: the rows; ``problem.steps`` says how many steps each has taken.
            state: with ``"loss"`` of the image just evaluated, ``"best_loss"`` and ``"best_inputs"`` so far.
            steps: number of steps of the attack.
        """

    def move(self, problem: Problem, state: State) -> Images:
        """Return the next image from ``"inputs"``, ``"previous"``, ``"gradient"`` and the rule's memory."""


@dataclass(frozen=True)
class StepHalving:
    """Steepest steps with momentum, from 2 ε on, halved at checkpoints where the loss stopped rising.

    The steps are ``z = Π(x_k + η s(∇L))``, ``x_{k+1} = Π(x_k + α (z − x_k) + (1 − α)(x_k − x_{k−1}))`` with
    α = 0.75, the first with α = 1. At a checkpoint η is halved where the loss rose in at most the fraction ρ
    of the steps since the last one, or where η was not halved there and the best loss has not risen since.

    Args:
        rho: ρ.

    Source:
        Croce and Hein (2020, arXiv:2003.01690), section 3 and algorithm 1. As in the authors' program a tie
        with ρ halves, and the second condition needs an earlier checkpoint. The first period counts the first
        step's rise as in the paper, where the program compares that step's loss with 0.
    """

    rho: float

    def start(self, problem: Problem, noise: Noise) -> Images:
        """Start on the surface of the ball, clipped to the bounds."""
        inside = problem.random_start(noise) - problem.inputs
        lengths = problem.norm.size(inside)
        scale = problem.epsilon / lengths.clamp(min=torch.finfo(lengths.dtype).tiny)
        return problem.project(problem.inputs + over_pixels(scale) * inside)

    def memory(self, problem: Problem) -> State:
        """Begin with steps of 2 ε and nothing seen."""
        nothing = torch.full_like(problem.epsilon, torch.inf)
        return {
            "step_size": 2 * problem.epsilon,
            "last_loss": nothing,
            "rises": torch.zeros_like(problem.steps),
            "halved": torch.ones_like(problem.steps, dtype=torch.bool),
            "best_loss_at_check": -nothing,
        }

    def check(self, problem: Problem, state: State, steps: int) -> tuple[State, Tensor]:
        """Halve the step where it no longer helps; those rows restart from their best image."""
        rises = state["rises"] + (state["loss"] > state["last_loss"])
        periods = torch.tensor(checkpoint_periods(steps), device=rises.device)[problem.steps]
        checked = periods > 0
        oscillates = rises <= self.rho * periods
        stuck = ~state["halved"] & (state["best_loss"] <= state["best_loss_at_check"])
        halve = checked & (oscillates | stuck)
        memory = {
            "step_size": torch.where(halve, state["step_size"] / 2, state["step_size"]),
            "last_loss": state["loss"],
            "rises": torch.where(checked, 0, rises),
            "halved": torch.where(checked, halve, state["halved"]),
            "best_loss_at_check": torch.where(checked, state["best_loss"], state["best_loss_at_check"]),
        }
        return memory, halve

    def move(self, problem: Problem, state: State) -> Images:
        """Take a steepest step and repeat part of the last step."""
        inputs, gradient = state["inputs"], state["gradient"]
        weight = over_pixels(torch.where(problem.steps == 0, 1.0, _MOMENTUM).to(inputs.dtype))
        stepped = problem.ascend(inputs, gradient, state["step_size"])
        return problem.project(
            inputs + weight * (stepped - inputs) + (1 - weight) * (inputs - state["previous"])
        )


@dataclass(frozen=True)
class AdaptiveSparsity:
    """Sparse sign steps whose density follows the support of the best point; no momentum.

    A step moves the pixels with the largest gradients, all by the same amount, η in sum; first a fifth of
    them. Every 4 % of the steps their number becomes the support of the best perturbation divided by 1.5.
    Where that support shrank by more than 5 % since the last checkpoint, η is ε again and the row restarts
    from its best point; elsewhere η is divided by 1.5, down to ε / 10.

    Source:
        Croce and Hein (2021, arXiv:2103.01208) and the authors' program for the constants.
        Deviations: a support of two pixels gives way to steps of one, where rounding up would keep two for
        good; not the schedule of three shrinking budgets, which that paper adds for AutoAttack.
    """

    def start(self, problem: Problem, noise: Noise) -> Images:
        """Start at the projection of a standard Gaussian perturbation."""
        uniform = noise.uniform(problem.indices, problem.items, problem.inputs[:1].numel())
        gaussian = torch.special.ndtri(uniform.clamp(min=2.0**-25)).to(problem.inputs.dtype)
        return problem.project(problem.inputs + gaussian.view_as(problem.inputs))

    def memory(self, problem: Problem) -> State:
        """Begin with steps of ε over a fifth of the pixels."""
        pixels = problem.inputs[:1].numel()
        return {
            "step_size": problem.epsilon,
            "moved_pixels": torch.full_like(problem.steps, ceil(_L1_FIRST_DENSITY * pixels)),
            "support": torch.full_like(problem.steps, pixels),
        }

    def check(self, problem: Problem, state: State, steps: int) -> tuple[State, Tensor]:
        """Adapt density and step size; rows whose best point became sparser restart from it."""
        period = max(1, int(_L1_PERIOD * steps))
        checked = (problem.steps > 0) & (problem.steps % period == 0)
        dust = 4 * torch.finfo(problem.inputs.dtype).eps  # left by rounding of a pixel that was moved back
        support = ((state["best_inputs"] - problem.inputs).abs() > dust).flatten(1).sum(1)
        sparser = checked & (support < _L1_SAME_SUPPORT * state["support"])
        smallest = _L1_SMALLEST_STEP * problem.epsilon
        shorter = torch.where(
            checked, (state["step_size"] / _L1_SPARSER).maximum(smallest), state["step_size"]
        )
        fewer = (support / _L1_SPARSER).ceil().long().minimum(support - 1).clamp(min=1)
        memory = {
            "step_size": torch.where(sparser, problem.epsilon, shorter),
            "moved_pixels": torch.where(checked, fewer, state["moved_pixels"]),
            "support": torch.where(checked, support, state["support"]),
        }
        return memory, sparser

    def move(self, problem: Problem, state: State) -> Images:
        """Move the pixels with the largest gradients; where gradients tie, all that tie."""
        sizes = state["gradient"].flatten(1).abs()
        threshold = sizes.sort(dim=1, descending=True).values.gather(1, state["moved_pixels"][:, None] - 1)
        signs = state["gradient"].sign().flatten(1) * (sizes >= threshold)
        share = state["step_size"] / signs.abs().sum(1).clamp(min=1)
        return problem.project(state["inputs"] + (signs * share[:, None]).view_as(state["inputs"]))


@lru_cache
def checkpoint_periods(steps: int) -> tuple[int, ...]:
    """Return for each step number the length of the period that ends there, or 0.

    The checkpoints are ``⌈p_j steps⌉`` with p_0 = 0, p_1 = 0.22 and
    ``p_{j+1} = p_j + max(p_j − p_{j−1} − 0.03, 0.06)``, computed in whole hundredths.

    Example:
        >>> [step for step, period in enumerate(checkpoint_periods(100)) if period]
        [22, 41, 57, 70, 80, 87, 93, 99]

    Source:
        Croce and Hein (2020, arXiv:2003.01690), section 3.
    """
    periods = [0] * steps
    place, width, last = 0, _FIRST_PERIOD, 0
    while (place := place + width) < 100:
        checkpoint = -(-place * steps // 100)
        if last < checkpoint < steps:
            periods[checkpoint] = checkpoint - last
            last = checkpoint
        width = max(width - _SHORTER_BY, _SHORTEST_PERIOD)
    return tuple(periods)


def where_rows(rows: Tensor, there: Tensor, elsewhere: Tensor) -> Tensor:
    """Return the images of one batch in the rows of a mask and of the other batch elsewhere."""
    return torch.where(over_pixels(rows), there, elsewhere)
