"""Optimizers of a pack: pairs of ``init`` and ``update`` whose hyper-parameters carry the trial axis.

``update`` works in place on the parameters and on the state that ``init`` made, and on nothing else. The
``weight_decay`` of the settings is the decoupled one; :mod:`foolscope.learning.regularizers` applies it, for
every optimizer in the same way.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from foolscope.core.settings import Settings

__all__ = [
    "OPTIMIZERS",
    "SGD",
    "Adam",
    "AdamW",
    "OptimizerEntry",
    "OptimizerSettings",
    "PackTensors",
    "along_trials",
    "hyperparameters",
]

PackTensors = dict[str, Tensor]
"""Parameter name to tensor (trial, ...)."""

OptimizerState = dict[str, PackTensors]
PerTrial = Mapping[str, Float[Tensor, " trial"]]


class OptimizerSettings(Settings):
    """Settings of an optimizer; each optimizer derives its own and adds a literal ``name``."""

    name: str
    learning_rate: float = Field(gt=0.0, description="step length; the schedule multiplies or replaces it")
    weight_decay: float = Field(0.0, ge=0.0, description="decoupled weight decay: w ← w − η·λ·w")


class SGD(OptimizerSettings):
    """Stochastic gradient descent: v ← μ v + g; w ← w − η v, or with Nesterov w ← w − η (g + μ v)."""

    name: Literal["sgd"] = "sgd"
    learning_rate: float = Field(
        0.1, gt=0.0, description="step length; the schedule multiplies or replaces it"
    )
    momentum: float = Field(0.0, ge=0.0, lt=1.0, description="fraction of the previous step that is kept")
    nesterov: bool = Field(False, description="look ahead along the momentum")


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


def along_trials(values: Float[Tensor, " trial"], tensor: Tensor) -> Tensor:
    """Shape values per trial so that they broadcast against a tensor (trial, ...)."""
    return values.view(-1, *(1,) * (tensor.dim() - 1))


def _sgd_init(parameters: PackTensors, hyper: PerTrial) -> OptimizerState:
    if not hyper["momentum"].any():
        return {}
    return {"velocity": {name: torch.zeros_like(value) for name, value in parameters.items()}}


def _sgd_update(
    parameters: PackTensors, gradients: PackTensors, state: OptimizerState, hyper: PerTrial, step: int
) -> None:
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


def _adam_init(parameters: PackTensors, hyper: PerTrial) -> OptimizerState:
    return {
        moment: {name: torch.zeros_like(value) for name, value in parameters.items()}
        for moment in ("mean", "mean_square")
    }


def _adam_update(
    parameters: PackTensors, gradients: PackTensors, state: OptimizerState, hyper: PerTrial, step: int
) -> None:
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


@dataclass(frozen=True)
class OptimizerEntry:
    """One optimizer: its settings and its pair of functions."""

    settings: type[OptimizerSettings]
    init: Callable[[PackTensors, PerTrial], OptimizerState]
    update: Callable[[PackTensors, PackTensors, OptimizerState, PerTrial, int], None]

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that only this optimizer has: numbers and switches, which become tensors (trial,)."""
        shared = OptimizerSettings.model_fields
        return tuple(field for field in self.settings.model_fields if field not in shared)


OPTIMIZERS: dict[str, OptimizerEntry] = {
    "sgd": OptimizerEntry(SGD, _sgd_init, _sgd_update),
    "adam": OptimizerEntry(Adam, _adam_init, _adam_update),
    "adamw": OptimizerEntry(AdamW, _adam_init, _adam_update),
}


def hyperparameters(
    settings: Sequence[OptimizerSettings], device: torch.device, dtype: torch.dtype = torch.float32
) -> dict[str, Tensor]:
    """Gather the optimizer's own fields of every trial into tensors (trial,); all trials share one optimizer.

    A switch that is off for every trial is omitted, so that no step has to read its values.
    """
    hyper = {}
    for field in OPTIMIZERS[settings[0].name].fields:
        values = [getattr(each, field) for each in settings]
        if values != [False] * len(values) or not isinstance(values[0], bool):
            hyper[field] = torch.tensor([float(value) for value in values], device=device, dtype=dtype)
    return hyper
