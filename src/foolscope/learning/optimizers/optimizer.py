"""What an optimizer of a pack is: settings, and a pair of functions whose numbers carry the trial axis."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from foolscope.core.settings import Settings

__all__ = [
    "OptimizerEntry",
    "OptimizerSettings",
    "OptimizerState",
    "PackTensors",
    "PerTrial",
    "along_trials",
]

PackTensors = dict[str, Tensor]
"""Parameter name to tensor (trial, ...)."""

OptimizerState = dict[str, PackTensors]
PerTrial = Mapping[str, Float[Tensor, " trial"]]
Shapes = Mapping[str, torch.Size]


class OptimizerSettings(Settings):
    """Settings of an optimizer; each optimizer derives its own and adds a literal ``name``."""

    name: str
    learning_rate: float = Field(gt=0.0, description="step length; the schedule multiplies or replaces it")
    weight_decay: float = Field(0.0, ge=0.0, description="decoupled weight decay: w ← w − η·λ·w")


def along_trials(values: Float[Tensor, " trial"], tensor: Tensor) -> Tensor:
    """Shape values per trial so that they broadcast against a tensor (trial, ...)."""
    return values.view(-1, *(1,) * (tensor.dim() - 1))


def _one_rate(settings: OptimizerSettings, shapes: Shapes) -> dict[str, float]:
    return {}


@dataclass(frozen=True)
class OptimizerEntry:
    """One optimizer.

    Args:
        settings: its settings.
        init: parameters and numbers per trial -> state.
        update: takes a step in place; the state may be that of some of the parameters.
        rates: settings and the shapes of one trial's parameters -> factors on the learning rate of those
            parameters that have another one.
    """

    settings: type[OptimizerSettings]
    init: Callable[[PackTensors, PerTrial], OptimizerState]
    update: Callable[[PackTensors, PackTensors, OptimizerState, PerTrial, int], None]
    rates: Callable[..., dict[str, float]] = _one_rate

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that only this optimizer has: numbers, switches and choices, which become tensors."""
        shared = OptimizerSettings.model_fields
        return tuple(field for field in self.settings.model_fields if field not in shared)
