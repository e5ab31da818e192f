"""Random noise that spends the whole budget: the baseline that every attack must beat."""

from typing import ClassVar, Literal

import pydantic

from foolscope.attacks.runner.attack import State
from foolscope.attacks.runner.oracle import Oracle
from foolscope.attacks.runner.problem import Problem, over_pixels
from foolscope.attacks.runner.randomness import Noise
from foolscope.core.settings import Settings
from foolscope.threats.norms import NORMS

__all__ = ["GaussianNoise", "UniformNoise"]


class _Noise(Settings):
    """A candidate that is drawn, and the model evaluated at nothing else."""

    restarts: int = pydantic.Field(10, ge=1)

    steps: ClassVar[int] = 0
    stops_at_success: ClassVar[bool] = True
    norms: ClassVar[tuple[str, ...]] = tuple(NORMS)

    def step(self, problem: Problem, state: State, oracle: Oracle) -> State:
        """Return the state unchanged."""
        return state


class UniformNoise(_Noise):
    """A uniform point of the ball, clipped to the bounds.

    A model that noise fools needs no attacker, and an attack that fools no more than noise does is broken.

    Args:
        restarts: number of draws.
    """

    name: Literal["uniform-noise"] = "uniform-noise"

    def start(self, problem: Problem, noise: Noise) -> State:
        """Draw the candidate."""
        return {"inputs": problem.random_start(noise)}


class GaussianNoise(_Noise):
    """Independent Gaussian noise on every pixel, scaled to the budget, ``x' = x + ε g / ‖g‖``, and clipped.

    In L2 this is a uniform direction; in L∞ the largest pixel of the draw spends the budget, in L1 their sum.

    Args:
        restarts: number of draws.
    """

    name: Literal["gaussian-noise"] = "gaussian-noise"

    def start(self, problem: Problem, noise: Noise) -> State:
        """Draw the candidate."""
        inputs = problem.inputs
        numbers = noise.gaussian(problem.indices, problem.items, inputs.shape[1:].numel())
        gaussian = numbers.to(inputs.dtype).view_as(inputs)
        scale = problem.epsilon / problem.norm.size(gaussian)
        return {"inputs": problem.project(inputs + gaussian * over_pixels(scale))}
