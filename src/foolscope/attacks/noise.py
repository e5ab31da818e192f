"""Random noise of the whole budget: the control that every attack must beat."""

from typing import ClassVar, Literal

import pydantic

from foolscope.attacks.runner.attack import State
from foolscope.attacks.runner.oracle import Oracle
from foolscope.attacks.runner.problem import Problem, over_pixels
from foolscope.attacks.runner.randomness import Noise
from foolscope.core.settings import Settings
from foolscope.threats.norms import NORMS

__all__ = ["GaussianNoise", "UniformNoise"]

_DRAWS = pydantic.Field(10, ge=1)


class UniformNoise(Settings):
    """A uniform point of the ball, clipped to the bounds; the model is asked about nothing else.

    A model that falls to noise needs no attacker. An attack that finds no more than noise does is no attack.

    Args:
        restarts: how many draws an image must withstand.

    Example:
        >>> UniformNoise(restarts=100).steps
        0
    """

    name: Literal["uniform-noise"] = "uniform-noise"
    restarts: int = _DRAWS

    steps: ClassVar[int] = 0
    stops_at_success: ClassVar[bool] = True
    norms: ClassVar[tuple[str, ...]] = tuple(NORMS)

    def start(self, problem: Problem, noise: Noise) -> State:
        """Draw the candidate."""
        return {"inputs": problem.random_start(noise)}

    def step(self, problem: Problem, state: State, oracle: Oracle) -> State:
        """Leave the candidate as it is."""
        return state


class GaussianNoise(Settings):
    """Independent Gaussian noise on every pixel, scaled to the budget, ``x' = x + ε g / ‖g‖``, and clipped.

    In L2 this is a uniform direction; in L∞ and L1 one draw's largest pixel and its sum spend the budget.

    Args:
        restarts: how many draws an image must withstand.

    Example:
        >>> GaussianNoise().restarts
        10
    """

    name: Literal["gaussian-noise"] = "gaussian-noise"
    restarts: int = _DRAWS

    steps: ClassVar[int] = 0
    stops_at_success: ClassVar[bool] = True
    norms: ClassVar[tuple[str, ...]] = tuple(NORMS)

    def start(self, problem: Problem, noise: Noise) -> State:
        """Draw the candidate."""
        inputs = problem.inputs
        numbers = noise.gaussian(problem.indices, problem.items, inputs.shape[1:].numel())
        gaussian = numbers.to(inputs.dtype).view_as(inputs)
        scale = problem.epsilon / problem.norm.size(gaussian)
        return {"inputs": problem.project(inputs + gaussian * over_pixels(scale))}

    def step(self, problem: Problem, state: State, oracle: Oracle) -> State:
        """Leave the candidate as it is."""
        return state
