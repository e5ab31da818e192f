"""Does the model hide its gradients? Each question as a check with plain words and what to do about it.

Source:
    The list is that of Athalye, Carlini and Wagner (2018, arXiv:1802.00420), "Identifying obfuscated and
    masked gradients", and of Carlini et al. (2019, arXiv:1902.06705), on evaluating adversarial robustness.
"""

from collections.abc import Callable
from itertools import pairwise

import torch
from jaxtyping import Float, Int64
from scipy.stats import binomtest
from torch import Tensor, nn

from foolscope.attacks.doubts import MaskingCheck, check
from foolscope.attacks.losses import cross_entropy, margin
from foolscope.attacks.pgd import PGD
from foolscope.attacks.result import AttackResult
from foolscope.attacks.runner import run
from foolscope.core.modes import frozen
from foolscope.threats.threat import Threat

__all__ = [
    "budget_checks",
    "gradient_checks",
    "largest_distance",
    "saturation_check",
]

_SOME = 0.01  # a fraction of images that is not chance
_MANY = 0.1
_VANISHED = 1e-7  # of a gradient's size: what is left when single precision rounds a probability to 1
_NOISE = 1e-5  # of a number's size: what a machine's own order of summation changes
_STILL_RIGHT = 0.05
_LATE = 0.75  # of the steps
_CHANCE = 0.05


def gradient_checks(
    model: nn.Module, images: Float[Tensor, "batch channel height width"], labels: Int64[Tensor, " batch"]
) -> tuple[MaskingCheck, ...]:
    """Ask twice for outputs and gradients on a few images; three forward and backward passes each.

    Args:
        model: from images to logits; asked in evaluation mode.
        images: a few that it classifies correctly.
        labels: their classes.
    """
    if not len(labels):
        return ()
    with frozen(model):
        first, margins = _gradients(model, images, labels, margin)
        second, again = _gradients(model, images, labels, margin)
        _, entropies = _gradients(model, images, labels, cross_entropy)
    size, spread = first.abs().amax().item(), (first - second).abs().amax().item()
    broken = (~margins.isfinite()).flatten(1).any(1).double().mean().item()
    sizes, others = (each.nan_to_num(0.0, 0.0, 0.0).flatten(1).abs().amax(1) for each in (margins, entropies))
    zeros = (sizes == 0).double().mean().item()
    vanished = (others <= _VANISHED * sizes).double().mean().item()
    drift = (margins - again).nan_to_num(0.0, 0.0, 0.0).abs().amax().item() / max(sizes.amax().item(), 1e-30)
    return (
        check(
            "random outputs",
            spread,
            not spread <= _NOISE * size,
            f"Asked twice about the same images, the model answers differently (by up to {spread:.2g}). "
            "Random defences fall to attacks that average: fix the randomness, or attack the mean over "
            "draws.",
            "Asked twice about the same images, the model answers the same.",
        ),
        check(
            "random gradients",
            drift,
            drift > _NOISE,
            f"Asked twice, the gradient differs by up to {100 * drift:.1f} % of its size, so steps follow "
            "noise: fix "
            "the randomness, or average gradients over draws.",
            "Asked twice, the gradient is the same.",
        ),
        check(
            "zero gradients",
            zeros,
            zeros >= _SOME,
            f"The gradient by the input is exactly zero on {100 * zeros:.0f} % of the images, so attacks "
            "that follow "
            "it stand still: look for rounding, thresholds or dead units, and replace them by something "
            "smooth in the backward pass.",
            "No gradient by the input is exactly zero.",
        ),
        check(
            "vanished cross-entropy",
            vanished,
            vanished >= _MANY,
            f"On {100 * vanished:.0f} % of the images the gradient of the cross-entropy is lost in rounding, "
            "since "
            "the model is too sure: attacks that follow it fail there, however weak the model. This "
            "evaluation follows the margin instead.",
            "The gradient of the cross-entropy is not lost in rounding.",
            is_serious=False,
        ),
        check(
            "gradients not finite",
            broken,
            broken > 0,
            f"The gradient by the input is not finite on {100 * broken:.0f} % of the images; look for a "
            "division, "
            "logarithm or root in the model.",
            "Every gradient by the input is finite.",
        ),
    )


def budget_checks(
    model: nn.Module,
    images: Float[Tensor, "batch channel height width"],
    labels: Int64[Tensor, " batch"],
    norm: str,
    epsilon: float,
    *,
    seed: int,
) -> tuple[tuple[MaskingCheck, ...], tuple[AttackResult, ...]]:
    """Attack a few images with growing budgets, each afresh: the larger must find more, the largest all.

    Args:
        model: from images to logits.
        images: a few that it classifies correctly.
        labels: their classes.
        norm: a name from ``NORMS``.
        epsilon: the budget in question; it, twice, four times as much and no bound at all are tried.
        seed: where the attacks' randomness comes from.

    Returns:
        The checks, and the attacks' results for their price.
    """
    if not len(labels):
        return (), ()
    limit = largest_distance(norm, images)
    budgets = sorted({min(epsilon * factor, limit) for factor in (1, 2, 4)} | {limit})
    attack = PGD(steps=20, loss="margin", random_start=False)
    results = [run(model, images, labels, Threat(norm, each), attack, seed=seed) for each in budgets]
    right = [result.robust_accuracy for result in results]
    worst, place = 0.0, 0
    for step, (smaller, larger) in enumerate(pairwise(results)):
        lost, gained = (
            int((smaller.robust & ~larger.robust).sum()),
            int((larger.robust & ~smaller.robust).sum()),
        )
        if gained > lost and binomtest(gained, gained + lost, alternative="greater").pvalue < _CHANCE:
            worst, place = max(worst, (gained - lost) / len(labels)), step
    unbounded = right[-1]
    checks = (
        check(
            "accuracy rises with the budget",
            worst,
            worst > 0,
            f"PGD with a larger budget finds less: of {len(labels)} images {100 * right[place]:.0f} % hold "
            "at "
            f"ε = {budgets[place]:.3g} and {100 * right[place + 1]:.0f} % at ε = {budgets[place + 1]:.3g}. "
            "The "
            "gradients mislead; distrust the curve, and use more steps, restarts and attacks without "
            "gradients.",
            "PGD with a larger budget never finds clearly less.",
        ),
        check(
            "unbounded attack fails",
            unbounded,
            unbounded > _STILL_RIGHT,
            f"PGD without any bound leaves {100 * unbounded:.0f} % of {len(labels)} images right, where it "
            "should "
            "leave none, since any image is allowed: the gradients do not lead to other classes. Mend the "
            "attack (smooth replacement in the backward pass) before believing in the defence.",
            f"PGD without any bound leaves {100 * unbounded:.0f} % of {len(labels)} images right.",
        ),
    )
    return checks, tuple(results)


def saturation_check(late: int, images: int) -> MaskingCheck:
    """Ask whether more steps would find more.

    Args:
        late: how many images fell in the last quarter of the longest attack's steps.
        images: all that were attacked.
    """
    part = late / max(1, images)
    return check(
        "steps not saturated",
        part,
        part > _SOME,
        f"Robust accuracy was still falling: {100 * part:.1f} % of the images fell in the last quarter of "
        "the "
        "longest attack's steps. Take more steps.",
        f"{100 * part:.1f} % of the images fell in the last quarter of the longest attack's steps: more "
        "steps would "
        "find little.",
    )


def largest_distance(norm: str, images: Float[Tensor, "batch channel height width"]) -> float:
    """Return how far a black image is from a white one of this size."""
    ones = images.new_ones(1, *images.shape[1:])
    return Threat(norm, 0).geometry.size(ones).item()


def _gradients(
    model: nn.Module, images: Tensor, labels: Tensor, loss: Callable[[Tensor, Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        variables = images.detach().requires_grad_()
        logits = model(variables)
        losses = loss(logits, labels)
        if not losses.requires_grad:
            return logits.detach(), torch.zeros_like(images)
        (gradient,) = torch.autograd.grad(losses.sum(), variables, allow_unused=True)
    return logits.detach(), torch.zeros_like(images) if gradient is None else gradient
