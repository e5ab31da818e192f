"""Lion: the sign of an interpolated momentum."""

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

__all__ = ["Lion", "lion_init", "lion_update"]


class Lion(OptimizerSettings):
    """Evolved sign momentum: w ← w − η sign(β₁ m + (1 − β₁) g); then m ← β₂ m + (1 − β₂) g.

    Chen et al. 2023, arXiv:2302.06675, algorithm 2. The authors take a learning rate 3 to 10 times smaller
    than AdamW's and a weight decay as many times larger.
    """

    name: Literal["lion"] = "lion"
    learning_rate: float = Field(
        1e-4, gt=0.0, description="step length; the schedule multiplies or replaces it"
    )
    beta1: float = Field(0.9, ge=0.0, lt=1.0, description="share of the momentum in the step's sign")
    beta2: float = Field(0.99, ge=0.0, lt=1.0, description="decay of the momentum")


def lion_init(parameters: PackTensors, hyper: PerTrial) -> OptimizerState:
    """Return momenta of zero."""
    return {"mean": {name: torch.zeros_like(value) for name, value in parameters.items()}}


def lion_update(
    parameters: PackTensors, gradients: PackTensors, state: OptimizerState, hyper: PerTrial, step: int
) -> None:
    """Take one step in place."""
    descent, share1, share2 = -hyper["learning_rate"], 1.0 - hyper["beta1"], 1.0 - hyper["beta2"]
    for name, parameter in parameters.items():
        gradient, mean = gradients[name], state["mean"][name]
        direction = torch.lerp(mean, gradient, along_trials(share1, mean).expand_as(mean)).sign_()
        parameter.addcmul_(direction, along_trials(descent, parameter))
        mean.lerp_(gradient, along_trials(share2, mean).expand_as(mean))
