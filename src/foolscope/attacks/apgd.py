"""Auto-PGD: projected gradient ascent that adapts its step size and restarts from its best point."""

from typing import ClassVar, Literal

import pydantic
import torch

from foolscope.attacks.losses import LOSSES, LossName
from foolscope.attacks.runner.attack import State
from foolscope.attacks.runner.oracle import Oracle
from foolscope.attacks.runner.problem import Problem
from foolscope.attacks.runner.randomness import Noise
from foolscope.attacks.step_rules import AdaptiveSparsity, StepHalving, StepRule, where_rows
from foolscope.core.settings import Settings
from foolscope.threats.norms import L1, L2, Linf, Norm
from foolscope.threats.prediction import Images

__all__ = ["APGD"]


class APGD(Settings):
    """Projected gradient ascent that adapts its step size.

    In L∞ and L2 steps have momentum, start at 2 ε and are halved where they no longer help
    (:class:`foolscope.attacks.step_rules.StepHalving`); in L1 they are sparse, with a density that follows
    the best perturbation (:class:`foolscope.attacks.step_rules.AdaptiveSparsity`). Where the step size
    changes, the search goes on from the image with the largest loss so far.

    With ``loss="dlr"``, several targets such as ``targets="every"``, and success at any misclassification,
    this is the targeted attack of AutoAttack.

    Args:
        steps: number of steps.
        restarts: number of random starts.
        loss: the loss that steps raise: ``"cross_entropy"``, ``"dlr"`` or ``"margin"``.
        rho: ρ, the fraction of steps that must raise the loss for a step size to stay; not used in L1.

    Example:
        >>> APGD(loss="dlr", restarts=5).steps
        100

    Source:
        Croce and Hein (2020, arXiv:2003.01690), sections 3 and 4; Croce and Hein (2021, arXiv:2103.01208)
        for L1. Deviations: projections onto ball and bounds together are exact, where the authors' program
        scales to the L2 ball and then clips; the last image costs a forward pass and no backward pass.
    """

    name: Literal["apgd"] = "apgd"
    steps: int = pydantic.Field(100, ge=1)
    restarts: int = pydantic.Field(1, ge=1)
    loss: LossName = "cross_entropy"
    rho: float = pydantic.Field(0.75, ge=0, le=1)

    stops_at_success: ClassVar[bool] = True
    norms: ClassVar[tuple[str, ...]] = ("linf", "l2", "l1")

    def start(self, problem: Problem, noise: Noise) -> State:
        """Start at a random point: on the ball's surface in L∞ and L2, at a projected Gaussian in L1."""
        return self.start_at(problem, self._rule(problem).start(problem, noise))

    def start_at(self, problem: Problem, points: Images) -> State:
        """Return the state before the first step from given allowed images."""
        return {
            "inputs": points,
            "previous": points,
            "best_inputs": points,
            "best_gradient": torch.zeros_like(points),
            "best_loss": torch.full_like(problem.epsilon, -torch.inf),
            **self._rule(problem).memory(problem),
        }

    def step(self, problem: Problem, state: State, oracle: Oracle) -> State:
        """Evaluate the image, keep it if it is the best, adapt the step size at a checkpoint, and move."""
        rule, points = self._rule(problem), state["inputs"]
        answer = oracle.loss_and_gradient(points, LOSSES[self.loss])
        better = answer.losses > state["best_loss"]
        best = {
            "best_inputs": where_rows(better, points, state["best_inputs"]),
            "best_gradient": where_rows(better, answer.gradient, state["best_gradient"]),
            "best_loss": torch.where(better, answer.losses, state["best_loss"]),
        }
        memory, restart = rule.check(problem, {**state, **best, "loss": answer.losses}, self.steps)
        here = {
            "inputs": where_rows(restart, best["best_inputs"], points),
            "previous": state["previous"],
            "gradient": where_rows(restart, best["best_gradient"], answer.gradient),
        }
        moved = rule.move(problem, {**memory, **here})
        return {**best, **memory, "inputs": moved, "previous": here["inputs"]}

    def _rule(self, problem: Problem) -> StepRule:
        halving = StepHalving(self.rho)
        rules: dict[type[Norm], StepRule] = {Linf: halving, L2: halving, L1: AdaptiveSparsity()}
        return rules[type(problem.norm)]
