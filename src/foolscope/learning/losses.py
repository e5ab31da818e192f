"""Losses of a pack: logits of every trial in, one loss per trial and image out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal

import pydantic
import torch
from jaxtyping import Float, Int64
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from foolscope.core.errors import RecipeError
from foolscope.core.settings import Settings

__all__ = [
    "LOSSES",
    "CrossEntropy",
    "Focal",
    "LossEntry",
    "LossSettings",
    "PackLoss",
    "SquaredError",
    "class_weights_per_trial",
    "cross_entropy",
    "evaluation_loss",
    "focal",
    "smoothing_per_trial",
    "squared_error",
    "training_loss",
]

_Logits = Float[Tensor, "trial batch classes"]
_Labels = Int64[Tensor, "trial batch"]
_Targets = _Labels | Float[Tensor, "trial batch classes"]
_Losses = Float[Tensor, "trial batch"]
_PerTrial = Float[Tensor, " trial"]

PackLoss = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""Logits (trial, batch, classes), labels (trial, batch), smoothing (trial,) -> losses (trial, batch)."""


class LossSettings(Settings):
    """Settings of a loss; each loss derives its own and adds a literal ``name``."""

    name: str
    class_weights: (
        Literal["balanced"]
        | Annotated[tuple[Annotated[float, Field(gt=0.0)], ...], Field(min_length=2)]
        | None
    ) = Field(
        None,
        description="weight of each class's images in the loss: balanced makes every class weigh the same, a "
        "list has one number per class; only their ratios matter",
    )

    @pydantic.field_validator("class_weights", mode="wrap")
    @classmethod
    def _balanced_or_a_list(cls, value: Any, handler: Callable[[Any], Any]) -> Any:
        try:
            return handler(value)
        except pydantic.ValidationError as error:
            raise ValueError(
                f"must be none, balanced or a list with a number above 0 for each class; got {value!r}"
            ) from error


class CrossEntropy(LossSettings):
    """Softmax cross-entropy."""

    name: Literal["cross-entropy"] = "cross-entropy"
    label_smoothing: float = Field(
        0.0, ge=0.0, lt=1.0, description="fraction of the label that is spread evenly over all classes"
    )


class SquaredError(LossSettings):
    """Mean squared error against one-hot labels."""

    name: Literal["squared-error"] = "squared-error"


class Focal(LossSettings):
    """Focal loss: cross-entropy in which images that are classified with confidence count less."""

    name: Literal["focal"] = "focal"
    gamma: float = Field(
        2.0, ge=0.0, description="exponent by which confident images count less; 0 is cross-entropy"
    )


def cross_entropy(logits: _Logits, labels: _Targets, label_smoothing: _PerTrial | None = None) -> _Losses:
    """Return the cross-entropy of each image: −(1 − s) log p_label − (s / K) Σ_k log p_k.

    ``label_smoothing`` is s in [0, 1) of every trial; ``None`` where no trial smooths. In place of a label
    there may be probabilities q_k of the classes, which makes −Σ_k q_k log p_k of the first term.

    References:
        Label smoothing: Szegedy et al. 2016, arXiv:1512.00567, section 7.
    """
    targets = labels.mT if labels.is_floating_point() else labels
    # With the batch as last axis torch's softmax runs along whole vectors: up to six times as fast.
    losses = functional.cross_entropy(logits.mT.contiguous(), targets, reduction="none")
    if label_smoothing is None:
        return losses
    smoothing = label_smoothing[:, None]
    return (1.0 - smoothing) * losses - smoothing * functional.log_softmax(logits.mT, dim=1).mean(dim=1)


def squared_error(scores: _Logits, labels: _Targets, unused: _PerTrial | None = None) -> _Losses:
    """Return the squared error of each image: ½ Σ_k (score_k − [k = label])².

    In place of a label there may be probabilities of the classes, which are the targets then.
    """
    is_target = labels if labels.is_floating_point() else functional.one_hot(labels, scores.shape[-1])
    return 0.5 * (scores - is_target).square().sum(dim=-1)


def focal(
    logits: _Logits, labels: _Labels, unused: _PerTrial | None = None, *, gamma: float | _PerTrial = 2.0
) -> _Losses:
    """Return the focal loss of each image: −(1 − p_label)^γ log p_label.

    ``gamma`` is γ ≥ 0, of all trials or of each.

    References:
        Lin et al. 2017, *Focal loss for dense object detection*, arXiv:1708.02002, section 3. Its α is
        ``class_weights``.
    """
    losses = functional.cross_entropy(logits.mT.contiguous(), labels, reduction="none")
    exponent = torch.as_tensor(gamma, device=logits.device, dtype=logits.dtype).view(-1, 1)
    doubt = -torch.expm1(-losses)  # 1 − p, exact where p is near 1
    # The slope of a power below 1 is infinite at 0, where the loss itself is 0.
    return doubt.clamp_min(torch.finfo(logits.dtype).tiny) ** exponent * losses


@dataclass(frozen=True)
class LossEntry:
    """A registered loss.

    Args:
        settings: its settings class.
        function: logits and labels to losses, without class weights.
        takes_probabilities: whether probabilities of the classes may stand in place of labels.
    """

    settings: type[LossSettings]
    function: PackLoss
    takes_probabilities: bool


LOSSES: dict[str, LossEntry] = {
    "cross-entropy": LossEntry(CrossEntropy, cross_entropy, takes_probabilities=True),
    "squared-error": LossEntry(SquaredError, squared_error, takes_probabilities=True),
    "focal": LossEntry(Focal, focal, takes_probabilities=False),
}


def smoothing_per_trial(
    losses: Sequence[LossSettings], device: torch.device, dtype: torch.dtype = torch.float32
) -> _PerTrial | None:
    """Gather the label smoothing of every trial of a pack; ``None`` where no trial smooths."""
    rates = [each.label_smoothing if isinstance(each, CrossEntropy) else 0.0 for each in losses]
    return torch.tensor(rates, device=device, dtype=dtype) if any(rates) else None


def evaluation_loss(
    losses: Sequence[LossSettings], device: torch.device, dtype: torch.dtype = torch.float32
) -> PackLoss:
    """Return the loss of a pack that evaluation measures: that of training, without class weights."""
    function = LOSSES[losses[0].name].function
    exponents = [each.gamma for each in losses if isinstance(each, Focal)]
    if not exponents:
        return function
    return partial(focal, gamma=torch.tensor(exponents, device=device, dtype=dtype))


def training_loss(
    losses: Sequence[LossSettings],
    class_counts: Int64[Tensor, " classes"],
    dtype: torch.dtype = torch.float32,
) -> PackLoss:
    """Return the loss of a pack that training minimizes: each image's, times the weight of its class.

    Args:
        losses: of every trial, all of one kind.
        class_counts: how often training draws each class, up to a factor, on the device to train on.
        dtype: of the weights.

    Raises:
        RecipeError: a list of class weights does not fit the classes.
    """
    plain = evaluation_loss(losses, class_counts.device, dtype)
    weights = class_weights_per_trial(losses, class_counts, dtype)
    return plain if weights is None else partial(_weighted, plain, weights)


def class_weights_per_trial(
    losses: Sequence[LossSettings],
    class_counts: Int64[Tensor, " classes"],
    dtype: torch.dtype = torch.float32,
) -> Float[Tensor, "trial classes"] | None:
    r"""Gather the weight of every class in every trial of a pack; ``None`` where no trial weighs classes.

    .. math:: w_k = \frac{n}{K n_k} \text{ if balanced}, \qquad w_k = \frac{n \, v_k}{\sum_j n_j v_j}

    for a list of numbers v, with :math:`n_k` of n training images in class k and K classes that have any.
    Both have mean 1 over the images drawn, so that the learning rate keeps its meaning; with integers v
    the loss is that of a training set in which each image of class k stands v_k times.

    Raises:
        RecipeError: a list does not have one number per class.

    Example:
        >>> settings = CrossEntropy(class_weights="balanced")
        >>> class_weights_per_trial([settings], torch.tensor([6, 2]))
        tensor([[0.6667, 2.0000]])
    """
    if all(each.class_weights is None for each in losses):
        return None
    counts = class_counts.double()
    rows = []
    for given in (each.class_weights for each in losses):
        if given is None:
            relative = torch.ones_like(counts)
        elif given == "balanced":
            relative = torch.where(counts > 0, 1.0 / counts.clamp_min(1.0), 0.0)
        elif len(given) == len(counts):
            relative = torch.tensor(given, dtype=torch.float64, device=counts.device)
        else:
            raise RecipeError(
                f"class_weights must have one number for each of the {len(counts)} classes; "
                f"got {len(given)}. Write 'balanced', or a list in the order of the classes"
            )
        rows.append(relative * counts.sum() / (counts * relative).sum())
    return torch.stack(rows).to(dtype)


def _weighted(
    loss: PackLoss,
    weights: Float[Tensor, "trial classes"],
    logits: _Logits,
    labels: _Targets,
    smoothing: _PerTrial | None,
) -> _Losses:
    """Return the losses times the weight of each image's class; with probabilities, its expectation."""
    own = (labels @ weights[:, :, None])[..., 0] if labels.is_floating_point() else weights.gather(1, labels)
    return own * loss(logits, labels, smoothing)
