"""Transfer attacks: images made on a surrogate model and evaluated on another."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Int64, Num
from torch import Tensor, nn

from foolscope.attacks.runner.attack import Attack, State
from foolscope.attacks.runner.best_so_far import FIRST_SUCCESS, BestSoFar
from foolscope.attacks.runner.networks import one_model
from foolscope.attacks.runner.oracle import Oracle
from foolscope.attacks.runner.problem import Problem
from foolscope.attacks.runner.randomness import Noise
from foolscope.attacks.runner.result import AttackResult
from foolscope.attacks.runner.run import run
from foolscope.core.errors import ThreatError
from foolscope.core.modes import frozen
from foolscope.threats.prediction import Integers, Labels, Logits, PerImage, predict
from foolscope.threats.threat import Threat

__all__ = ["transfer"]


def transfer(
    surrogate: nn.Module,
    victim: nn.Module,
    images: Num[Tensor, "batch channel height width"],
    labels: Labels,
    threat: Threat,
    attack: Attack,
    *,
    seed: int,
    targets: str | Int64[Tensor, "images ..."] | None = None,
    indices: Integers | None = None,
    clean_logits: Logits | None = None,
    epsilons: PerImage | None = None,
    batch_size: int | None = None,
) -> AttackResult:
    """Make images on a surrogate model and evaluate them on another, the victim.

    The attack evaluates the surrogate only and takes all its steps, since what barely fools one model seldom
    fools another. The victim is evaluated on the clean image, on the last candidate of each work item, and
    once more on what fooled it; an image that a restart or target has fooled is done. The result counts the
    passes of both models.

    Args:
        surrogate: from images to as many logits as the victim's; attacked in evaluation mode.
        victim: the model whose robustness is in question.
        images: shape (batch, channel, height, width), in [0, 1], in the data type and on the device of both.
        labels: their classes.
        threat: norm, budget in pixel units, bounds.
        attack: any, such as ``MIFGSM()``, which was designed for transfer.
        seed: root of the attack's randomness.
        targets: as in :func:`foolscope.attacks.run`; chosen from the victim's output on the clean images.
        indices: the images' indices in their data set; 0, 1, ... without it.
        clean_logits: the victim's output on the images, where it is known.
        epsilons: a budget for each image, at most the threat's; the threat's for all without it.
        batch_size: the largest number of rows in flight; chosen by image size without it.

    Raises:
        ThreatError: the models do not have the same classes, or anything that ``run`` refuses.

    Example:
        >>> from foolscope.attacks import MIFGSM
        >>> models = [nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False)) for _ in range(2)]
        >>> for model, tilt in zip(models, (1.0, 1.5)):
        ...     _ = model[1].weight.data.copy_(torch.tensor([[tilt, 0.0], [0.0, 1.0]]))
        >>> images, labels = torch.tensor([[[[0.6, 0.5]]], [[[0.9, 0.1]]]]), torch.tensor([0, 0])
        >>> result = transfer(*models, images, labels, Threat("linf", 0.2), MIFGSM(), seed=0)
        >>> result.clean_accuracy, result.robust_accuracy
        (1.0, 0.5)

    Source:
        Papernot, McDaniel and Goodfellow (2016, arXiv:1605.07277).
    """
    none = torch.zeros(len(images), dtype=torch.bool, device=images.device)
    on_surrogate = BestSoFar(images, images.new_zeros(len(images), 1), none, _never, FIRST_SUCCESS, 0)
    with frozen(surrogate):
        if len(images):
            _check_classes(surrogate, victim, images[:1])
        result = run(
            victim,
            images,
            labels,
            threat,
            _OnSurrogate.of(surrogate, attack, on_surrogate),
            seed=seed,
            targets=targets,
            indices=indices,
            clean_logits=clean_logits,
            epsilons=epsilons,
            batch_size=batch_size,
        )
    return replace(
        result,
        forwards=result.forwards + on_surrogate.forwards,
        backwards=result.backwards + on_surrogate.backwards,
    )


@dataclass(frozen=True)
class _OnSurrogate:
    """An attack that takes its steps on another model than the one on which it is evaluated."""

    model: nn.Module
    attack: Attack
    best_so_far: BestSoFar
    name: str
    norms: tuple[str, ...]
    steps: int
    restarts: int
    stops_at_success: bool

    @classmethod
    def of(cls, model: nn.Module, attack: Attack, best_so_far: BestSoFar) -> "_OnSurrogate":
        facts = (attack.norms, attack.steps, attack.restarts, attack.stops_at_success)
        return cls(model, attack, best_so_far, f"transfer-{attack.name}", *facts)

    def start(self, problem: Problem, noise: Noise) -> State:
        return self.attack.start(problem, noise)

    def step(self, problem: Problem, state: State, oracle: Oracle) -> State:
        return self.attack.step(problem, state, Oracle(one_model(self.model), problem, self.best_so_far))


def _never(logits: Tensor, labels: Tensor, targets: Tensor | None) -> Tensor:
    return torch.zeros_like(labels, dtype=torch.bool)


def _check_classes(surrogate: nn.Module, victim: nn.Module, image: Tensor) -> None:
    with frozen(victim):
        shapes = [tuple(predict(model, image, 1).shape) for model in (surrogate, victim)]
    if shapes[0] != shapes[1]:
        raise ThreatError(
            f"surrogate and victim must have the same classes; got outputs of shape {shapes[0]} and "
            f"{shapes[1]} for one image. Choose a surrogate trained on the victim's classes"
        )
