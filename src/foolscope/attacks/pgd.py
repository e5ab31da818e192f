"""Projected gradient ascent: many small steepest steps, each followed by a projection."""

from typing import Annotated, ClassVar, Literal

import pydantic

from foolscope.attacks.attack import State
from foolscope.attacks.losses import LOSSES, LossName
from foolscope.attacks.oracle import Oracle
from foolscope.attacks.problem import Problem
from foolscope.attacks.randomness import Noise
from foolscope.attacks.threat import parse_epsilon
from foolscope.core.settings import Settings

__all__ = ["PGD"]

_TOTAL_PATH = 2.5  # budgets that all steps together could walk


def _pixels(value: str | float | int | None) -> float | None:
    return None if value is None else parse_epsilon(value, what="step_size")


class PGD(Settings):
    """Iterated steepest steps, ``x ← Π(x + α s(∇ₓ L(x, y)))`` with the projection onto ball and bounds.

    Args:
        steps: how many.
        step_size: α in pixel units, a number or text such as ``"2/255"``; without it 2.5 ε / steps.
        random_start: whether a work item starts at a uniform point of the ball, or at the clean image.
        restarts: how many random starts an image must withstand.
        loss: what the steps raise: ``"cross_entropy"`` or ``"margin"``.

    Example:
        >>> PGD(steps=10, step_size="2/255").step_size
        0.00784313725490196

    Source:
        Madry, Makelov, Schmidt, Tsipras and Vladu (2018, arXiv:1706.06083), sections 2.1 and 4. The default
        step size is the convention of the authors' robustness library (2.5 ε / steps, so that every point of
        the ball can be reached from any start). Deviations: success at any iterate counts, not at the last
        one only; projections onto ball and bounds together are exact in every norm.
    """

    name: Literal["pgd"] = "pgd"
    steps: int = pydantic.Field(40, ge=1)
    step_size: Annotated[float | None, pydantic.BeforeValidator(_pixels)] = None
    random_start: bool = True
    restarts: int = pydantic.Field(1, ge=1)
    loss: LossName = "cross_entropy"

    stops_at_success: ClassVar[bool] = True

    @pydantic.model_validator(mode="after")
    def _restarts_must_differ(self) -> "PGD":
        if self.restarts > 1 and not self.random_start:
            raise ValueError(
                f"restarts must be 1 without random_start, since all would be equal; got {self.restarts}"
            )
        return self

    def start(self, problem: Problem, noise: Noise) -> State:
        """Start at a uniform point of the ball, or at the clean image."""
        return {"inputs": problem.random_start(noise) if self.random_start else problem.inputs}

    def step(self, problem: Problem, state: State, oracle: Oracle) -> State:
        """Take one steepest step and project."""
        evaluation = oracle.ascent(state["inputs"], LOSSES[self.loss])
        default = problem.epsilon * (_TOTAL_PATH / self.steps)
        step_size = default if self.step_size is None else default.new_full(default.shape, self.step_size)
        return {"inputs": problem.ascend(state["inputs"], evaluation.gradient, step_size)}
