"""Adam, and Adam with decoupled weight decay."""

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

__all__ = ["Adam", "AdamW", "adam_init", "adam_update"]


class Adam(OptimizerSettings):
    """Adaptive moments: w ← w − η m̂ / (√v̂ + ε). Kingma and Ba 2015, arXiv:1412.6980, algorithm 1."""

    name: Literal["adam"] = "adam"
    learning_rate: float = Field(
        1e-3, gt=0.0, description="step length; the schedule multiplies or replaces it"
    )
    beta1: float = Field(0.9, ge=0.0, lt=1.0, description="decay of the mean gradient")
    beta2: float = Field(0.999, ge=0.0, lt=1.0, description="decay of the mean squared gradient")
    stability: float = Field(1e-8, gt=0.0, description="added to the root of the mean squared gradient")


class AdamW(Adam):
    """Adam with decoupled weight decay of 0.01. Loshchilov and Hutter 2019, arXiv:1711.05101, algorithm 2."""

    name: Literal["adamw"] = "adamw"  # type: ignore[assignment]  # a closed choice of one other name
    weight_decay: float = Field(0.01, ge=0.0, description="decoupled weight decay: w ← w − η·λ·w")


def adam_init(parameters: PackTensors, hyper: PerTrial) -> OptimizerState:
    """Return both moments, zero."""
    return {
        moment: {name: torch.zeros_like(value) for name, value in parameters.items()}
        for moment in ("mean", "mean_square")
    }


def adam_update(
    parameters: PackTensors, gradients: PackTensors, state: OptimizerState, hyper: PerTrial, step: int
) -> None:
    """Take one step in place."""
    beta1, beta2 = hyper["beta1"], hyper["beta2"]
    rate = hyper["learning_rate"] / (1.0 - beta1 ** (step + 1))
    root_correction = (1.0 - beta2 ** (step + 1)).sqrt()
    share1, share2 = 1.0 - beta1, 1.0 - beta2
    for name, parameter in parameters.items():
        gradient, mean, mean_square = gradients[name], state["mean"][name], state["mean_square"][name]
        mean.lerp_(gradient, along_trials(share1, mean).expand_as(mean))
        mean_square.mul_(along_trials(beta2, mean)).addcmul_(gradient * gradient, along_trials(share2, mean))
        scale = mean_square.sqrt().div_(along_trials(root_correction, mean))
        scale.add_(along_trials(hyper["stability"], mean))
        parameter.sub_(mean.div(scale).mul_(along_trials(rate, mean)))
