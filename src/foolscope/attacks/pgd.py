"""Iterated gradient ascent: many small steepest steps, each followed by a projection."""

from typing import Annotated, ClassVar, Literal

import pydantic
import torch

from foolscope.attacks.losses import LOSSES, LossName
from foolscope.attacks.runner.attack import State
from foolscope.attacks.runner.oracle import Oracle
from foolscope.attacks.runner.problem import Problem, over_pixels
from foolscope.attacks.runner.randomness import Noise
from foolscope.core.settings import Settings
from foolscope.threats.norms import NORMS
from foolscope.threats.threat import parse_epsilon

__all__ = ["BIM", "MIFGSM", "PGD"]


def _pixels(value: str | float | int | None) -> float | None:
    return None if value is None else parse_epsilon(value, what="step_size")


class _Ascent(Settings):
    """What the iterated methods share; they differ in name, defaults and length of the path.

    With momentum μ the step follows ``g ← μ g + ∇L / ‖∇L‖₁`` instead of the gradient.

    Args:
        steps: number of steps.
        step_size: α in pixel units, a number or text such as ``"2/255"``; each method has a default.
        random_start: whether a work item starts at a uniform point of the ball, or at the clean image.
        restarts: number of random starts.
        momentum: μ.
        loss: the loss that steps raise: ``"cross_entropy"``, ``"dlr"`` or ``"margin"``.
    """

    steps: int = pydantic.Field(10, ge=1)
    step_size: Annotated[float | None, pydantic.BeforeValidator(_pixels)] = None
    random_start: bool = False
    restarts: int = pydantic.Field(1, ge=1)
    momentum: float = pydantic.Field(0.0, ge=0)
    loss: LossName = "cross_entropy"

    path: ClassVar[float]  # length of all steps together as a multiple of the budget, without a step size
    stops_at_success: ClassVar[bool] = True
    norms: ClassVar[tuple[str, ...]] = tuple(NORMS)

    @pydantic.model_validator(mode="after")
    def _restarts_must_differ(self) -> "_Ascent":
        if self.restarts > 1 and not self.random_start:
            raise ValueError(
                f"restarts must be 1 without random_start, since all would be equal; got {self.restarts}"
            )
        return self

    def start(self, problem: Problem, noise: Noise) -> State:
        """Start at a uniform point of the ball, or at the clean image."""
        inputs = problem.random_start(noise) if self.random_start else problem.inputs
        return {"inputs": inputs, **({"velocity": torch.zeros_like(inputs)} if self.momentum else {})}

    def step(self, problem: Problem, state: State, oracle: Oracle) -> State:
        """Take one steepest step and project."""
        gradient = oracle.loss_and_gradient(state["inputs"], LOSSES[self.loss]).gradient
        default = problem.epsilon * (self.path / self.steps)
        step_size = default if self.step_size is None else default.new_full(default.shape, self.step_size)
        if not self.momentum:
            return {"inputs": problem.ascend(state["inputs"], gradient, step_size)}
        length = gradient.flatten(1).abs().sum(1).clamp(min=torch.finfo(gradient.dtype).tiny)
        velocity = self.momentum * state["velocity"] + gradient / over_pixels(length)
        return {"inputs": problem.ascend(state["inputs"], velocity, step_size), "velocity": velocity}


class PGD(_Ascent):
    """Iterated steepest steps, ``x ← Π(x + α s(∇ₓ L(x, y)))`` with the projection onto ball and bounds.

    With momentum it is the projected variant of :class:`MIFGSM` with random start.

    Example:
        >>> PGD(steps=10, step_size="2/255").step_size
        0.00784313725490196

    Source:
        Madry, Makelov, Schmidt, Tsipras and Vladu (2018, arXiv:1706.06083), sections 2.1 and 3.1. The default
        step size is the convention of the authors' robustness library (2.5 ε / steps, so that every point of
        the ball can be reached from any start). Deviations: success at any iterate counts, not at the last
        one only; projections onto ball and bounds together are exact in every norm.
    """

    name: Literal["pgd"] = "pgd"
    steps: int = pydantic.Field(40, ge=1)
    random_start: bool = True

    path: ClassVar[float] = 2.5


class BIM(_Ascent):
    """The basic iterative method, or iterated FGSM: PGD from the clean image, with small steps.

    Without a step size it is 1.25 ε / steps, which is the paper's 1/255 at ε = 8/255.

    Source:
        Kurakin, Goodfellow and Bengio (2017, arXiv:1607.02533), section 2.2: steps of 1/255, min(ε + 4,
        1.25 ε) of them with ε in 255ths. Deviation: here their number is given and their size follows ε.
    """

    name: Literal["bim"] = "bim"

    path: ClassVar[float] = 1.25


class MIFGSM(_Ascent):
    """The momentum iterative method: ``g ← μ g + ∇L / ‖∇L‖₁``, then a steepest step along ``g``.

    Designed for transfer to other models: momentum carries the search past what fools only this model.
    Without a step size it is ε / steps.

    Source:
        Dong, Liao, Pang, Su, Zhu, Hu and Li (2018, arXiv:1710.06081), algorithm 1, with the 10 steps
        and μ = 1 of its experiments.
    """

    name: Literal["mi-fgsm"] = "mi-fgsm"
    momentum: float = pydantic.Field(1.0, ge=0)

    path: ClassVar[float] = 1.0
