"""The fast gradient sign method: one large step, from the clean image or from a random one."""

from typing import ClassVar, Literal

import pydantic

from foolscope.attacks.losses import LOSSES, LossName
from foolscope.attacks.runner.attack import State
from foolscope.attacks.runner.oracle import Oracle
from foolscope.attacks.runner.problem import Problem
from foolscope.attacks.runner.randomness import Noise
from foolscope.core.settings import Settings
from foolscope.threats.norms import NORMS

__all__ = ["FGSM", "FGSMRS"]


class _OneStep(Settings):
    """What both methods share: a loss, and a single step in any norm."""

    loss: LossName = "cross_entropy"

    steps: ClassVar[int] = 1
    stops_at_success: ClassVar[bool] = True
    norms: ClassVar[tuple[str, ...]] = tuple(NORMS)


class FGSM(_OneStep):
    """One steepest step of size ε from the clean image, ``x' = x + ε sign(∇ₓ L(x, y))`` in L∞.

    In other norms that norm's steepest step replaces the sign (the "fast gradient method"). With targets the
    step goes towards the target.

    Args:
        loss: the loss that the step raises: ``"cross_entropy"``, ``"dlr"`` or ``"margin"``.

    Source:
        Goodfellow, Shlens and Szegedy (2015, arXiv:1412.6572), section 4. There the image is not clipped to
        [0, 1]; here it is.
    """

    name: Literal["fgsm"] = "fgsm"

    restarts: ClassVar[int] = 1

    def start(self, problem: Problem, noise: Noise) -> State:
        """Start at the clean image."""
        return {"inputs": problem.inputs}

    def step(self, problem: Problem, state: State, oracle: Oracle) -> State:
        """Spend the whole budget along the gradient."""
        answer = oracle.loss_and_gradient(state["inputs"], LOSSES[self.loss])
        return {"inputs": problem.ascend(state["inputs"], answer.gradient, problem.epsilon)}


class FGSMRS(_OneStep):
    """FGSM with random start: a uniform point of the ball, one step of 1.25 ε, a projection onto the ball.

    It is an attack of its own, and not a setting of :class:`FGSM`, because start, step size and restarts all
    differ.

    Args:
        step_fraction: the step size as a multiple of the budget.
        restarts: number of random starts.
        loss: the loss that the step raises: ``"cross_entropy"``, ``"dlr"`` or ``"margin"``.

    Source:
        Wong, Rice and Kolter (2020, arXiv:2001.03994), section 4 and algorithm 3, where it makes
        training images. Deviation: the start, too, is clipped to the bounds.
    """

    name: Literal["fgsm-rs"] = "fgsm-rs"
    step_fraction: float = pydantic.Field(1.25, gt=0)
    restarts: int = pydantic.Field(1, ge=1)

    def start(self, problem: Problem, noise: Noise) -> State:
        """Start at a uniform point of the ball."""
        return {"inputs": problem.random_start(noise)}

    def step(self, problem: Problem, state: State, oracle: Oracle) -> State:
        """Take the one step and project."""
        answer = oracle.loss_and_gradient(state["inputs"], LOSSES[self.loss])
        step_size = problem.epsilon * self.step_fraction
        return {"inputs": problem.ascend(state["inputs"], answer.gradient, step_size)}
