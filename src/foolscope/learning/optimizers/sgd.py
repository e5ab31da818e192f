"""Stochastic gradient descent with momentum."""

from typing import Literal

import torch
from pydantic import Field

from foolscope.learning.optimizers.optimizer import (
    OptimizerSettings,
    OptimizerState,
    PackTensors,
    PerTrial,
    along_trials,
)

__all__ = ["SGD", "sgd_init", "sgd_update"]


class SGD(OptimizerSettings):
    """Stochastic gradient descent: v ← μ v + g; w ← w − η v, or with Nesterov w ← w − η (g + μ v)."""

    name: Literal["sgd"] = "sgd"
    learning_rate: float = Field(
        0.1, gt=0.0, description="step length; the schedule multiplies or replaces it"
    )
    momentum: float = Field(0.0, ge=0.0, lt=1.0, description="fraction of the previous step that is kept")
    nesterov: bool = Field(False, description="look ahead along the momentum")


def sgd_init(parameters: PackTensors, hyper: PerTrial) -> OptimizerState:
    """Return velocities of zero, or nothing where no trial has momentum."""
    if not hyper["momentum"].any():
        return {}
    return {"velocity": {name: torch.zeros_like(value) for name, value in parameters.items()}}


def sgd_update(
    parameters: PackTensors, gradients: PackTensors, state: OptimizerState, hyper: PerTrial, step: int
) -> None:
    """Take one step in place."""
    descent, momentum, nesterov = -hyper["learning_rate"], hyper["momentum"], hyper.get("nesterov")
    velocities = state.get("velocity")
    for name, parameter in parameters.items():
        gradient = gradients[name]
        if velocities is not None:
            velocity = velocities[name]
            velocity.mul_(along_trials(momentum, velocity)).add_(gradient)
            if nesterov is None:
                gradient = velocity
            else:
                look_ahead = torch.addcmul(gradient, velocity, along_trials(momentum, velocity))
                gradient = torch.where(along_trials(nesterov, velocity) > 0, look_ahead, velocity)
        parameter.addcmul_(gradient, along_trials(descent, parameter))
