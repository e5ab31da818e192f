"""Robust accuracy over a range of budgets: each attack runs on the survivors of those before it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import inf, nan

import scipy
import torch
from jaxtyping import Bool, Float, Int64, Num
from torch import Tensor, nn

from foolscope.attacks.evaluation.bfloat16_copy import bfloat16_copy
from foolscope.attacks.runner.attack import Attack, check_norm
from foolscope.attacks.runner.doubts import MaskingCheck
from foolscope.attacks.runner.request import Request
from foolscope.attacks.runner.result import AttackResult
from foolscope.attacks.runner.side_by_side import Evaluation, alone
from foolscope.core.errors import ThreatError
from foolscope.core.modes import frozen
from foolscope.threats.prediction import automatic_batch_size, check_logits, predict
from foolscope.threats.threat import Threat, check_images

__all__ = ["RobustAccuracyCurve", "curve_evaluation", "robust_accuracy_curve"]

_COMPARED = 64  # images on which a copy in bfloat16 must predict the same


@dataclass(frozen=True)
class RobustAccuracyCurve:
    """Robust accuracy at each budget, with the evidence for each image.

    Args:
        norm: the norm's name.
        epsilons: the budgets in pixel units, ascending.
        attacks: the names of the attacks, in the order in which they ran.
        labels: the images' classes.
        smallest_found: for each image the smallest size of a perturbation that was found to fool: 0 where the
            clean image is misclassified, infinity where none was found.
        fooled_by: which attack found it, by position in ``attacks``; -1 where none was needed or none did.
        adversarial_inputs: the image found, or the clean one.
        adversarial_logits: the model's output on these.
        clean_logits: the model's output on the clean images.
        forward_count: forward passes over all images, counted in images.
        backward_count: backward passes over all images, counted in images.
        doubts: reasons to doubt the numbers, each once.
        checks: checks for masked gradients; only :func:`foolscope.attacks.evaluate_robustness` makes any.
        unfinished: how many images were not attacked to the end when the time was up.
    """

    norm: str
    epsilons: tuple[float, ...]
    attacks: tuple[str, ...]
    labels: Int64[Tensor, " batch"]
    smallest_found: Float[Tensor, " batch"]
    fooled_by: Int64[Tensor, " batch"]
    adversarial_inputs: Float[Tensor, "batch channel height width"]
    adversarial_logits: Float[Tensor, "batch classes"]
    clean_logits: Float[Tensor, "batch classes"]
    forward_count: int
    backward_count: int
    doubts: tuple[str, ...]
    checks: tuple[MaskingCheck, ...] = ()
    unfinished: int = 0

    @property
    def clean_accuracy(self) -> float:
        """The fraction of clean images classified correctly; NaN without images."""
        return (self.smallest_found > 0).double().mean().item()

    @property
    def robust_accuracies(self) -> tuple[float, ...]:
        """For each budget the fraction of images that nothing within it was found to fool; never rises."""
        return tuple(self.correct_at(budget).double().mean().item() for budget in self.epsilons)

    def correct_at(self, epsilon: float) -> Bool[Tensor, " batch"]:
        """Return for each image whether it is classified correctly whatever was tried within a budget.

        The mean over the images is the robust accuracy; at a budget that was not attacked, an upper bound of
        it, from what was found with the other budgets.
        """
        return self.smallest_found > self.smallest_found.new_tensor(epsilon)

    @property
    def balanced_accuracies(self) -> tuple[float, ...]:
        """For each budget the mean over the classes of the fraction of their images that are not fooled.

        Classes without images are not counted; NaN without images.
        """
        counts = self.labels.bincount().double()
        held = [
            self.labels[self.correct_at(budget)].bincount(minlength=len(counts)) for budget in self.epsilons
        ]
        return tuple((each / counts).nanmean().item() for each in held)

    def taken(self, epsilon: float) -> tuple[int, ...]:
        """Return for each attack how many images it fooled within a budget."""
        within = (self.smallest_found <= self.smallest_found.new_tensor(epsilon)) & (self.fooled_by >= 0)
        counts = torch.bincount(self.fooled_by[within], minlength=len(self.attacks))
        return tuple(counts.tolist())

    def intervals(self, confidence: float = 0.95) -> tuple[tuple[float, float], ...]:
        """Return for each budget Wilson's interval for the robust accuracy on images drawn like these.

        Source:
            Wilson (1927). The interval covers the choice of images, not the weakness of the attacks.
        """
        count = len(self.labels)
        if count == 0:
            return tuple((nan, nan) for _ in self.epsilons)
        intervals = []
        for accuracy in self.robust_accuracies:
            interval = scipy.stats.binomtest(round(accuracy * count), count).proportion_ci(
                confidence, method="wilson"
            )
            intervals.append((float(interval.low), float(interval.high)))
        return tuple(intervals)


def robust_accuracy_curve(
    model: nn.Module,
    images: Num[Tensor, "batch channel height width"],
    labels: Int64[Tensor, " batch"],
    norm: str,
    epsilons: Sequence[str | float | int],
    attacks: Sequence[Attack],
    *,
    seed: int,
    indices: Int64[Tensor, " batch"] | None = None,
    batch_size: int | None = None,
    progress: Callable[[float, int], None] | None = None,
) -> RobustAccuracyCurve:
    """Attack at each budget, from the smallest to the largest, the images that nothing has fooled so far.

    What fools at a budget fools at every larger one, so the curve never rises, and a perturbation that turns
    out smaller than its budget counts at every budget that allows it. An attack that searches for the
    smallest perturbation (``stops_at_success = False``) therefore runs only once, the first time that it is
    due, with the largest budget. The others take their steps in bfloat16 where the machine multiplies it
    faster; success is verified on the model itself and on the image as it is stored.

    Args:
        model: from images to logits.
        images: shape (batch, channel, height, width), in [0, 1].
        labels: their classes.
        norm: a name from ``NORMS``.
        epsilons: the budgets in pixel units, numbers or text such as ``"8/255"``.
        attacks: run in this order, each on the survivors of those before it; put the cheapest first.
        seed: root of the attacks' randomness.
        indices: the images' indices in their data set; 0, 1, ... without it.
        batch_size: the largest number of rows in flight; chosen by image size without it.
        progress: called with (budget, number of survivors at that budget) after every attack.

    Raises:
        ThreatError: there is no budget or no attack, or :func:`foolscope.attacks.run` refuses the arguments.

    Example:
        >>> from foolscope.attacks import FGSM
        >>> linear = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False))
        >>> _ = linear[1].weight.data.copy_(torch.eye(2))
        >>> images = torch.tensor([[[[0.6, 0.4]]], [[[0.9, 0.1]]]])
        >>> labels = torch.tensor([0, 0])
        >>> curve = robust_accuracy_curve(linear, images, labels, "linf", [0, 0.2, 0.5], [FGSM()], seed=0)
        >>> curve.robust_accuracies
        (1.0, 0.5, 0.0)
    """
    return alone(
        curve_evaluation(
            model,
            images,
            labels,
            norm,
            epsilons,
            attacks,
            seed=seed,
            indices=indices,
            batch_size=batch_size,
            progress=progress,
        )
    )


def curve_evaluation(
    model: nn.Module,
    images: Num[Tensor, "batch channel height width"],
    labels: Int64[Tensor, " batch"],
    norm: str,
    epsilons: Sequence[str | float | int],
    attacks: Sequence[Attack],
    *,
    seed: int,
    indices: Int64[Tensor, " batch"] | None = None,
    batch_size: int | None = None,
    progress: Callable[[float, int], None] | None = None,
) -> Evaluation[RobustAccuracyCurve]:
    """Attack as :func:`robust_accuracy_curve` does, step by step, so that several models go side by side."""
    threats = sorted({Threat(norm, epsilon) for epsilon in epsilons}, key=lambda threat: threat.epsilon)
    if not threats or not attacks:
        raise ThreatError(
            f"a curve needs a budget and an attack; got {len(threats)} budgets and {len(attacks)} attacks"
        )
    for attack in attacks:
        check_norm(attack, norm)
    check_images(images, labels, threats[-1])
    labels = labels.to(images.device)
    indices = (
        torch.arange(len(labels), device=images.device) if indices is None else indices.to(images.device)
    )
    size = batch_size or automatic_batch_size(images, model)
    with frozen(model):
        clean_logits = predict(model, images, size)
    check_logits(clean_logits, labels)
    low_precision_model, compared = bfloat16_copy(model, images[:_COMPARED], clean_logits[:_COMPARED])
    smallest = images.new_full((len(labels),), inf)
    fooled_by = torch.full_like(labels, -1)
    adversarial_inputs = images.detach().clone()
    adversarial_logits = clean_logits.clone()
    results: list[AttackResult] = []
    for place, (budget, threat, position, attack) in enumerate(_schedule(threats, attacks)):
        holding = (smallest > smallest.new_tensor(budget)).nonzero()[:, 0]
        if results and len(holding) == 0:
            break
        result = yield Request(
            model,
            images[holding],
            labels[holding],
            threat,
            attack,
            seed=seed,
            indices=indices[holding],
            clean_logits=clean_logits[holding],
            batch_size=size,
            stepping_model=low_precision_model if attack.stops_at_success else None,
            place=place,
        )
        sizes = result.perturbation_sizes.clamp(max=threat.epsilon)
        better = result.success & (sizes < smallest[holding])
        fooled = holding[better]
        smallest[fooled] = sizes[better]
        fooled_by[fooled] = torch.where(result.items[better] < 0, -1, position)
        adversarial_inputs[fooled] = result.adversarial_inputs[better]
        adversarial_logits[fooled] = result.adversarial_logits[better]
        results.append(result)
        if progress is not None:
            progress(budget, int((smallest > smallest.new_tensor(budget)).sum()))
    return RobustAccuracyCurve(
        norm=norm,
        epsilons=tuple(threat.epsilon for threat in threats),
        attacks=tuple(attack.name for attack in attacks),
        labels=labels,
        smallest_found=smallest,
        fooled_by=fooled_by,
        adversarial_inputs=adversarial_inputs,
        adversarial_logits=adversarial_logits,
        clean_logits=clean_logits,
        forward_count=len(labels) + compared + sum(result.forward_count for result in results),
        backward_count=sum(result.backward_count for result in results),
        doubts=tuple(dict.fromkeys(doubt for result in results for doubt in result.doubts)),
    )


def _schedule(
    threats: Sequence[Threat], attacks: Sequence[Attack]
) -> Iterator[tuple[float, Threat, int, Attack]]:
    """Yield the budget whose survivors are attacked, the threat, and the attack with its position."""
    for threat in threats:
        for position, attack in enumerate(attacks):
            if attack.stops_at_success:
                yield threat.epsilon, threat, position, attack
            elif threat is threats[0]:
                yield threat.epsilon, threats[-1], position, attack
