"""Regularizers of a pack: L1 and L2 penalties, decoupled weight decay, and clipping of the gradient norm."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from foolscope.core.settings import Settings
from foolscope.learning.optimizers import PackTensors, along_trials

__all__ = ["PackRegularizers", "RegularizationSettings", "clip_gradients"]


class RegularizationSettings(Settings):
    """Penalties added to the loss: l1 · Σ|w| + (l2 / 2) · Σ w², with gradients l1 · sign(w) and l2 · w."""

    l1: float = Field(0.0, ge=0.0, description="coefficient of the L1 penalty l1·Σ|w|")
    l2: float = Field(
        0.0, ge=0.0, description="coefficient of the L2 penalty (l2/2)·Σw², PyTorch's weight_decay"
    )
    penalize: Literal["weights", "all"] = Field(
        "weights", description="penalize and decay weights only, or biases and normalization layers too"
    )


@dataclass(frozen=True)
class PackRegularizers:
    """The penalties of every trial of a pack.

    Args:
        l1: coefficient per trial; ``None`` where no trial has one.
        l2: coefficient per trial; ``None`` where no trial has one.
        weight_decay: decoupled decay per trial; ``None`` where no trial has one.
        penalize: whether biases and normalization layers count, the same for the whole pack.
        own_l2: name to the coefficients of parameters that have their own.
        own_weight_decay: name to the decoupled decay of parameters that have their own, times the factor on
            their learning rate.
    """

    l1: Float[Tensor, " trial"] | None
    l2: Float[Tensor, " trial"] | None
    weight_decay: Float[Tensor, " trial"] | None
    penalize: Literal["weights", "all"]
    own_l2: PackTensors = field(default_factory=dict)
    own_weight_decay: PackTensors = field(default_factory=dict)

    @classmethod
    def gather(
        cls,
        settings: Sequence[RegularizationSettings],
        weight_decay: Sequence[float],
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        own_l2: Mapping[str, Tensor] | None = None,
        own_weight_decay: Mapping[str, Tensor] | None = None,
    ) -> "PackRegularizers":
        """Collect the coefficients of the trials, which must agree on ``penalize``."""

        def per_trial(values: Sequence[float]) -> Tensor | None:
            return torch.tensor(values, device=device, dtype=dtype) if any(values) else None

        return cls(
            per_trial([each.l1 for each in settings]),
            per_trial([each.l2 for each in settings]),
            per_trial(list(weight_decay)),
            settings[0].penalize,
            dict(own_l2 or {}),
            dict(own_weight_decay or {}),
        )

    @property
    def penalizes(self) -> bool:
        """Whether any trial has a penalty on its loss."""
        return self.l1 is not None or self.l2 is not None or bool(self.own_l2)

    def penalized(self, parameters: Mapping[str, Tensor]) -> list[str]:
        """Name the parameters that the penalties act on: weights have two axes besides the trial axis."""
        return [name for name, value in parameters.items() if self.penalize == "all" or value.dim() > 2]

    def penalty(self, parameters: PackTensors) -> Float[Tensor, " trial"]:
        """Return l1 · Σ|w| + (l2 / 2) · Σ w² of every trial."""
        first = next(iter(parameters.values()))
        total = first.new_zeros(first.shape[0])
        for name, l1 in self._l1_of(parameters):
            total = total + l1 * parameters[name].flatten(1).abs().sum(dim=1)
        for name, l2 in self._l2_of(parameters):
            total = total + 0.5 * l2 * parameters[name].flatten(1).square().sum(dim=1)
        return total

    def add_gradients(self, parameters: PackTensors, gradients: PackTensors) -> None:
        """Add the gradients of the penalties to those of the loss, in place."""
        for name, l1 in self._l1_of(parameters):
            gradients[name].addcmul_(parameters[name].sign(), along_trials(l1, gradients[name]))
        for name, l2 in self._l2_of(parameters):
            gradients[name].addcmul_(parameters[name], along_trials(l2, gradients[name]))

    def _l1_of(self, parameters: PackTensors) -> Iterator[tuple[str, Tensor]]:
        """Yield the parameters with an L1 penalty and their coefficients."""
        if self.l1 is not None:
            for name in self.penalized(parameters):
                yield name, self.l1

    def _l2_of(self, parameters: PackTensors) -> Iterator[tuple[str, Tensor]]:
        """Yield the parameters with an L2 penalty and their coefficients."""
        if self.l2 is not None:
            for name in self.penalized(parameters):
                if name not in self.own_l2:
                    yield name, self.l2
        yield from self.own_l2.items()

    def decay(self, parameters: PackTensors, learning_rate: Float[Tensor, " trial"]) -> None:
        """Shrink the weights in place: w ← w − η λ w.

        References:
            Loshchilov and Hutter 2019, arXiv:1711.05101, algorithms 1 and 2.
        """
        if self.weight_decay is not None:
            factor = 1.0 - learning_rate * self.weight_decay
            for name in self.penalized(parameters):
                if name not in self.own_weight_decay:
                    parameters[name].mul_(along_trials(factor, parameters[name]))
        for name, decay in self.own_weight_decay.items():
            parameters[name].mul_(along_trials(1.0 - learning_rate * decay, parameters[name]))


def clip_gradients(gradients: PackTensors, threshold: Float[Tensor, " trial"] | None) -> None:
    """Scale each trial's gradient in place so that its L2 norm over all parameters is at most the threshold.

    Infinity leaves a trial's gradient unchanged, ``None`` all gradients.

    References:
        Pascanu et al. 2013, arXiv:1211.5063, section 3.2, algorithm 1.
    """
    if threshold is None:
        return
    squares = torch.stack([gradient.flatten(1).square().sum(dim=1) for gradient in gradients.values()])
    scale = (threshold / squares.sum(dim=0).sqrt().clamp_min(1e-12)).clamp_max(1.0)
    for gradient in gradients.values():
        gradient.mul_(along_trials(scale, gradient))
