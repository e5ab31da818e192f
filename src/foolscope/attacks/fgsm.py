"""The fast gradient sign method: one step of the whole budget."""

from typing import ClassVar, Literal

from foolscope.attacks.attack import State
from foolscope.attacks.losses import LOSSES, LossName
from foolscope.attacks.oracle import Oracle
from foolscope.attacks.problem import Problem
from foolscope.attacks.randomness import Noise
from foolscope.core.settings import Settings

__all__ = ["FGSM"]


class FGSM(Settings):
    """One steepest step of size ε from the clean image, ``x' = x + ε sign(∇ₓ L(x, y))`` in L∞.

    In other norms the sign gives way to that norm's steepest step (the "fast gradient method"). With targets
    the step goes towards the target.

    Args:
        loss: what the step raises: ``"cross_entropy"`` or ``"margin"``.

    Example:
        >>> FGSM(loss="margin").steps
        1

    Source:
        Goodfellow, Shlens and Szegedy (2015, arXiv:1412.6572), section 4. There the image is not clipped to
        [0, 1]; here it is.
    """

    name: Literal["fgsm"] = "fgsm"
    loss: LossName = "cross_entropy"

    steps: ClassVar[int] = 1
    restarts: ClassVar[int] = 1
    stops_at_success: ClassVar[bool] = True

    def start(self, problem: Problem, noise: Noise) -> State:
        """Start at the clean image."""
        return {"inputs": problem.inputs}

    def step(self, problem: Problem, state: State, oracle: Oracle) -> State:
        """Spend the whole budget along the gradient."""
        evaluation = oracle.ascent(state["inputs"], LOSSES[self.loss])
        return {"inputs": problem.ascend(state["inputs"], evaluation.gradient, problem.epsilon)}
