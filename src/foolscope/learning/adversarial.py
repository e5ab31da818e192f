r"""Adversarial training: each minibatch is perturbed to raise its loss before the model learns it.

.. math:: \min_w \; E_{(x, y)} \max_{\|x' - x\|_\infty \le \epsilon} L(w, x', y)

Adversarial inputs are crafted in evaluation mode, without dropout and with the running statistics of batch
normalization, and learned in training mode, as in the reference code of TRADES; that of Wong et al. crafts in
training mode. Pang et al. 2021, *Bag of tricks for adversarial training*, arXiv:2010.00467, find that
evaluation mode gives higher clean accuracy and equal robustness.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import pydantic
import torch
from jaxtyping import Float, Int64
from pydantic import Field
from torch import Tensor

from foolscope.core.errors import RecipeError
from foolscope.core.settings import Settings
from foolscope.learning.losses import CrossEntropy, LossSettings, PackLoss
from foolscope.learning.optimizers import PackTensors
from foolscope.learning.packs.packing import Context, Program
from foolscope.threats.threat import parse_epsilon

__all__ = [
    "DEFENSES",
    "DefenseEntry",
    "DefenseSettings",
    "FGSMTraining",
    "Minibatch",
    "NoDefense",
    "PGDTraining",
    "PackDefense",
    "TRADESTraining",
    "ascend",
    "check_defense",
    "divergence",
]

_TRADES_START_DEVIATION = 0.001  # of the Gaussian noise that TRADES starts from, in pixels


def _pixels(value: str | float | int | None) -> float | None:
    """Read a change of a pixel, pixels being in [0, 1]: a number, or a fraction such as ``"8/255"``."""
    if value is None:
        return None
    size = parse_epsilon(value, what="a change of a pixel")
    if size > 1:
        hint = f". Did you mean {size:g}/255?" if size <= 255 else ""
        raise ValueError(f"must be in [0, 1] (pixels scaled to [0, 1]); got {size:g}{hint}")
    return size


class DefenseSettings(Settings):
    """Settings of a defense; each defense derives its own and adds a literal ``name``."""

    name: str


class NoDefense(DefenseSettings):
    """Training on the images as they are."""

    name: Literal["none"] = "none"


class _Adversarial(DefenseSettings):
    """The setting that all adversarial training shares."""

    epsilon: Annotated[float, pydantic.BeforeValidator(_pixels)] = Field(
        8 / 255,
        description="largest change of a pixel, pixels in [0, 1]; a number or a fraction such as 8/255",
    )


class PGDTraining(_Adversarial):
    """Training on images that projected gradient ascent moves to a higher loss.

    Madry et al. 2018, arXiv:1706.06083, section 2.1; on CIFAR-10 they train with 7 steps of 2/255. The
    default step size is the 2.5 ε / steps with which they compare budgets in section 5.
    """

    name: Literal["pgd"] = "pgd"
    attack_steps: int = Field(
        7, ge=1, description="gradient steps on every minibatch before the model trains on it"
    )
    attack_step_size: Annotated[float | None, pydantic.BeforeValidator(_pixels)] = Field(
        None, description="change of every pixel in a step; the default is 2.5 epsilon / steps"
    )
    random_start: bool = Field(True, description="start anywhere in the ball instead of at the image")


class FGSMTraining(_Adversarial):
    """Training on images that one signed gradient step from a random start moves to a higher loss.

    Wong et al. 2020, *Fast is better than free*, arXiv:2001.03994, section 4. Cheap, but it may collapse:
    see :func:`foolscope.learning.measuring.robustness.doubts_about_defense`.
    """

    name: Literal["fgsm"] = "fgsm"
    attack_step_size: Annotated[float | None, pydantic.BeforeValidator(_pixels)] = Field(
        None, description="change of every pixel in the step; the default is 1.25 epsilon"
    )
    random_start: bool = Field(True, description="start anywhere in the ball instead of at the image")


class TRADESTraining(_Adversarial):
    """Training with a penalty on changed predictions nearby: L(f(x), y) + β max KL(f(x) ‖ f(x')).

    Zhang et al. 2019, arXiv:1901.08573, algorithm 1 with β = 1/λ; start, steps and mode as in their code. The
    default step size is 2.5 ε / steps (theirs on CIFAR-10 is 2.3 ε / steps).
    """

    name: Literal["trades"] = "trades"
    beta: float = Field(6.0, ge=0.0, description="weight of the KL term")
    attack_steps: int = Field(
        10, ge=1, description="gradient steps on every minibatch before the model trains on it"
    )
    attack_step_size: Annotated[float | None, pydantic.BeforeValidator(_pixels)] = Field(
        None, description="change of every pixel in a step; the default is 2.5 epsilon / steps"
    )


@dataclass(frozen=True)
class Minibatch:
    """One minibatch and everything that its losses are computed from.

    Args:
        program: of the pack.
        tensors: parameters and running statistics of every trial.
        images: in [0, 1], a minibatch per group.
        labels: of every trial.
        loss: of the pack.
        smoothing: label smoothing of every trial.
        context: of a forward pass in training.
        generators: one per group; trials of one seed draw the same numbers, whatever the pack.
    """

    program: Program
    tensors: PackTensors
    images: Float[Tensor, "group batch channel height width"]
    labels: Int64[Tensor, "trial batch"]
    loss: PackLoss
    smoothing: Float[Tensor, " trial"] | None
    context: Context
    generators: tuple[torch.Generator, ...]

    def for_each_trial(self, values: Float[Tensor, "group ..."]) -> Float[Tensor, "trial ..."]:
        """Repeat what a group shares for each of its trials."""
        return values.repeat_interleave(len(self.labels) // len(values), dim=0)

    def draw(self, sample: Callable[..., Tensor]) -> Float[Tensor, "trial batch channel height width"]:
        """Draw numbers in the shape of the images with ``torch.rand`` or ``torch.randn``."""
        drawn = [
            sample(self.images.shape[1:], generator=each, dtype=self.images.dtype, device=self.images.device)
            for each in self.generators
        ]
        return self.for_each_trial(torch.stack(drawn))

    def attacker_logits(self, inputs: Float[Tensor, "trial batch channel height width"]) -> Tensor:
        """Return the logits that an attacker sees: in evaluation mode and with constant parameters."""
        tensors = {name: value.detach() for name, value in self.tensors.items()}
        return self.program(tensors, inputs, Context(training=False, dtype=self.context.dtype))


@dataclass(frozen=True)
class PackDefense:
    """The defense of a pack, its settings along the trial axis.

    Args:
        losses: turns a minibatch into the losses to minimize and the logits on the adversarial inputs.
        epsilon: in pixel units.
        step_size: in pixel units.
        beta: β of TRADES.
        steps: gradient steps of the inner maximization.
        random_start: whether PGD and FGSM start anywhere in the ball.
    """

    losses: Callable[["PackDefense", Minibatch], tuple[Tensor, Tensor]]
    epsilon: Float[Tensor, " trial"]
    step_size: Float[Tensor, " trial"]
    beta: Float[Tensor, " trial"]
    steps: int
    random_start: bool

    @classmethod
    def gather(
        cls,
        defenses: Sequence[DefenseSettings],
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> "PackDefense | None":
        """Collect defenses that differ in epsilon, step size and beta at most; ``None`` without any."""
        first = defenses[0]
        losses = DEFENSES[first.name].losses
        if losses is None:
            return None

        def along_trials(values: Sequence[float]) -> Tensor:
            return torch.tensor(values, device=device, dtype=dtype)

        return cls(
            losses=losses,
            epsilon=along_trials([each.epsilon for each in defenses if isinstance(each, _Adversarial)]),
            step_size=along_trials([_step_size(each) for each in defenses]),
            beta=along_trials([getattr(each, "beta", 0.0) for each in defenses]),
            steps=getattr(first, "attack_steps", 1),
            random_start=getattr(first, "random_start", False),
        )


def check_defense(defense: DefenseSettings, loss: LossSettings) -> None:
    """Refuse TRADES with a loss that does not turn logits into probabilities.

    Raises:
        RecipeError: with what to choose instead.
    """
    if isinstance(defense, TRADESTraining) and not isinstance(loss, CrossEntropy):
        raise RecipeError(
            f"defense trades compares probabilities and needs loss cross-entropy; got {loss.name}. "
            "Set loss to cross-entropy, or choose defense pgd"
        )


def _step_size(settings: DefenseSettings) -> float:
    assert isinstance(settings, PGDTraining | FGSMTraining | TRADESTraining)
    if settings.attack_step_size is not None:
        return settings.attack_step_size
    return settings.epsilon * (1.25 if isinstance(settings, FGSMTraining) else 2.5 / settings.attack_steps)


def ascend(
    objective: Callable[[Tensor], Tensor],
    images: Float[Tensor, "trial batch channel height width"],
    start: Float[Tensor, "trial batch channel height width"],
    *,
    epsilon: Float[Tensor, " trial"],
    step_size: Float[Tensor, " trial"],
    steps: int,
) -> Float[Tensor, "trial batch channel height width"]:
    r"""Raise an objective at each image by projected signed gradient ascent.

    .. math:: x_{k+1} = \Pi_{\|x' - x\|_\infty \le \epsilon, \; 0 \le x' \le 1}
        (x_k + \alpha \, \mathrm{sign} \nabla f(x_k))

    Each trial has its ε and α, in pixel units. The start x_0 is projected first; the result is the last
    iterate.

    References:
        Madry et al. 2018, arXiv:1706.06083, section 2.1.
    """
    radius, stride = epsilon.view(-1, 1, 1, 1, 1), step_size.view(-1, 1, 1, 1, 1)
    lower, upper = (images - radius).clamp_(min=0.0), (images + radius).clamp_(max=1.0)
    inputs = torch.clamp(start, lower, upper)
    for _ in range(steps):
        inputs.requires_grad_()
        (gradient,) = torch.autograd.grad(objective(inputs).sum(), inputs)
        inputs = torch.clamp(inputs.detach() + stride * gradient.sign_(), lower, upper)
    return inputs


def divergence(
    logits: Float[Tensor, "trial batch classes"], others: Float[Tensor, "trial batch classes"]
) -> Float[Tensor, "trial batch"]:
    """Return KL(p ‖ q) = Σ_k p_k (log p_k - log q_k) of p = softmax(logits) and q = softmax(others).

    Example:
        >>> divergence(torch.zeros(1, 1, 2), torch.zeros(1, 1, 2))
        tensor([[0.]])
    """
    log_p, log_q = logits.log_softmax(dim=-1), others.log_softmax(dim=-1)
    return (log_p.exp() * (log_p - log_q)).sum(dim=-1)


def _adversarial_losses(defense: PackDefense, batch: Minibatch) -> tuple[Tensor, Tensor]:
    """Return the losses on adversarial inputs, crafted against the loss without label smoothing."""
    images = start = batch.for_each_trial(batch.images)
    if defense.random_start:
        start = images + defense.epsilon.view(-1, 1, 1, 1, 1) * (2.0 * batch.draw(torch.rand) - 1.0)
    inputs = ascend(
        lambda values: batch.loss(batch.attacker_logits(values), batch.labels, None),
        images,
        start,
        epsilon=defense.epsilon,
        step_size=defense.step_size,
        steps=defense.steps,
    )
    logits = batch.program(batch.tensors, inputs, batch.context)
    return batch.loss(logits, batch.labels, batch.smoothing), logits


def _trades_losses(defense: PackDefense, batch: Minibatch) -> tuple[Tensor, Tensor]:
    """Return the losses on the images plus β times the divergence of the predictions on adversarial inputs.

    The gradient flows through both, and each is a forward pass of its own, as in the authors' code.
    """
    images = batch.for_each_trial(batch.images)
    with torch.no_grad():
        natural = batch.attacker_logits(images)
    inputs = ascend(
        lambda values: divergence(natural, batch.attacker_logits(values)),
        images,
        images + _TRADES_START_DEVIATION * batch.draw(torch.randn),
        epsilon=defense.epsilon,
        step_size=defense.step_size,
        steps=defense.steps,
    )
    logits = batch.program(batch.tensors, batch.images, batch.context)
    adversarial_logits = batch.program(batch.tensors, inputs, batch.context)
    losses = batch.loss(logits, batch.labels, batch.smoothing)
    return losses + defense.beta[:, None] * divergence(logits, adversarial_logits), adversarial_logits


@dataclass(frozen=True)
class DefenseEntry:
    """A registered defense: its settings, and its losses of a minibatch; ``None`` for the plain loss."""

    settings: type[DefenseSettings]
    losses: Callable[[PackDefense, Minibatch], tuple[Tensor, Tensor]] | None


DEFENSES: dict[str, DefenseEntry] = {
    "none": DefenseEntry(NoDefense, None),
    "pgd": DefenseEntry(PGDTraining, _adversarial_losses),
    "fgsm": DefenseEntry(FGSMTraining, _adversarial_losses),
    "trades": DefenseEntry(TRADESTraining, _trades_losses),
}
