"""Losses of a pack: logits of every trial in, one loss per trial out."""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int64
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from foolscope.core.settings import Settings

__all__ = [
    "LOSSES",
    "CrossEntropy",
    "LossSettings",
    "SquaredError",
    "cross_entropy",
    "smoothing_per_trial",
    "squared_error",
]

_Logits = Float[Tensor, "trial batch classes"]
_Labels = Int64[Tensor, "trial batch"]
_Losses = Float[Tensor, "trial batch"]
_PerTrial = Float[Tensor, " trial"]

PackLoss = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""Logits (trial, batch, classes), labels (trial, batch), smoothing (trial,) -> losses (trial, batch)."""


class LossSettings(Settings):
    """Settings of a loss; each loss derives its own and adds a literal ``name``."""

    name: str


class CrossEntropy(LossSettings):
    """Softmax cross-entropy."""

    name: Literal["cross-entropy"] = "cross-entropy"
    label_smoothing: float = Field(
        0.0, ge=0.0, lt=1.0, description="fraction of the label that is spread evenly over all classes"
    )


class SquaredError(LossSettings):
    """Mean squared error against one-hot labels."""

    name: Literal["squared-error"] = "squared-error"


def cross_entropy(logits: _Logits, labels: _Labels, label_smoothing: _PerTrial | None = None) -> _Losses:
    """Return the cross-entropy of each image: −(1 − s) log p_label − (s / K) Σ_k log p_k.

    ``label_smoothing`` is s in [0, 1) of every trial; ``None`` where no trial smooths.

    References:
        Label smoothing: Szegedy et al. 2016, arXiv:1512.00567, section 7.
    """
    # With the batch as last axis torch's softmax runs along whole vectors: up to six times as fast.
    losses = functional.cross_entropy(logits.mT.contiguous(), labels, reduction="none")
    if label_smoothing is None:
        return losses
    smoothing = label_smoothing[:, None]
    return (1.0 - smoothing) * losses - smoothing * functional.log_softmax(logits.mT, dim=1).mean(dim=1)


def squared_error(scores: _Logits, labels: _Labels, unused: _PerTrial | None = None) -> _Losses:
    """Return the squared error of each image: ½ Σ_k (score_k − [k = label])²."""
    errors = scores - functional.one_hot(labels, scores.shape[-1])
    return 0.5 * errors.square().sum(dim=-1)


LOSSES: dict[str, tuple[type[LossSettings], PackLoss]] = {
    "cross-entropy": (CrossEntropy, cross_entropy),
    "squared-error": (SquaredError, squared_error),
}


def smoothing_per_trial(
    losses: Sequence[LossSettings], device: torch.device, dtype: torch.dtype = torch.float32
) -> _PerTrial | None:
    """Gather the label smoothing of every trial of a pack; ``None`` where no trial smooths."""
    rates = [each.label_smoothing if isinstance(each, CrossEntropy) else 0.0 for each in losses]
    return torch.tensor(rates, device=device, dtype=dtype) if any(rates) else None
