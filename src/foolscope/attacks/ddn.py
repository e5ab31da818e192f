"""Decoupled direction and norm: a sphere that shrinks while the image fools and grows while it does not."""

from typing import ClassVar, Literal

import pydantic
import torch

from foolscope.attacks.losses import LOSSES, LossName
from foolscope.attacks.runner.attack import State
from foolscope.attacks.runner.oracle import Oracle
from foolscope.attacks.runner.problem import Problem
from foolscope.attacks.runner.randomness import Noise
from foolscope.core.settings import Settings

__all__ = ["DDN"]


class DDN(Settings):
    """Steps ``δ ← ε d / ‖d‖₂, d = δ + α ∇/‖∇‖₂`` up the cross-entropy, on a sphere that follows the boundary.

    The radius falls by the factor 1 − γ where δ fools and rises by 1 + γ where it does not; α anneals along a
    half cosine. The threat's budget caps ε: it is the largest perturbation of interest.

    Among many classes one search does not always find the nearest: on small networks for digits its
    perturbations were 1 to 5 % larger than the smallest known, 5 to 9 % with the margin loss, and 1 % with
    ``targets="every"`` and success at any misclassification.

    Args:
        steps: number of steps; the paper reports 100, 300 and 1000. From the first radius, a perturbation
            smaller than ``initial_radius · (1 − γ)^steps`` is out of reach, unless the budget is smaller.
        step_size: α at first, a length in L2; it falls to a hundredth.
        initial_radius: ε at first.
        radius_step: γ.
        loss: what the steps raise: ``"cross_entropy"`` as in the paper, or ``"margin"``, which follows only
            the nearest of several classes.

    Source:
        Rony, Hafemann, Oliveira, Ben Ayed, Sabourin and Granger (2019, arXiv:1811.09600), algorithm 1,
        with the values of its evaluation. Deviations: images are not rounded to 256 levels; where the
        gradient is zero, the image does not move, instead of moving in a random direction.
    """

    name: Literal["ddn"] = "ddn"
    steps: int = pydantic.Field(100, ge=1)
    step_size: float = pydantic.Field(1.0, gt=0)
    initial_radius: float = pydantic.Field(1.0, gt=0)
    radius_step: float = pydantic.Field(0.05, gt=0, lt=1)
    loss: LossName = "cross_entropy"

    norms: ClassVar[tuple[str, ...]] = ("l2",)
    restarts: ClassVar[int] = 1
    stops_at_success: ClassVar[bool] = False

    def start(self, problem: Problem, noise: Noise) -> State:
        """Start at the clean image."""
        radius = torch.full_like(problem.epsilon, self.initial_radius)
        return {"inputs": problem.inputs, "radius": radius.minimum(problem.epsilon)}

    def step(self, problem: Problem, state: State, oracle: Oracle) -> State:
        """Step along the gradient, adapt the radius, and scale the perturbation to it."""
        points, radius = state["inputs"], state["radius"]
        answer = oracle.loss_and_gradient(points, LOSSES[self.loss])
        fooled = oracle.fools(answer.logits)
        factor = torch.where(fooled, 1 - self.radius_step, 1 + self.radius_step)
        radius = (radius * factor).minimum(problem.epsilon)
        size = self.step_size * (0.01 + 0.99 * problem.remaining(self.steps))
        moved = points + problem.norm.steepest_step(answer.gradient, size) - problem.inputs
        on_sphere = problem.inputs + problem.norm.steepest_step(moved, radius)
        return {"inputs": problem.within(radius).project(on_sphere), "radius": radius}
