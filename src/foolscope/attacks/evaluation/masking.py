"""Checks for masked gradients, each with what was measured and what to do about it.

Source:
    The list is that of Athalye, Carlini and Wagner (2018, arXiv:1802.00420), "Identifying obfuscated and
    masked gradients", and of Carlini et al. (2019, arXiv:1902.06705), on evaluating adversarial robustness.
"""

from collections.abc import Callable
from itertools import pairwise

import scipy
import torch
from torch import Tensor, nn

from foolscope.attacks.losses import cross_entropy, margin
from foolscope.attacks.pgd import PGD
from foolscope.attacks.runner.doubts import MaskingCheck, check
from foolscope.attacks.runner.oracle import input_gradient
from foolscope.attacks.runner.request import Request
from foolscope.attacks.runner.result import AttackResult
from foolscope.attacks.runner.side_by_side import Evaluation
from foolscope.attacks.square import Square
from foolscope.core.modes import frozen
from foolscope.threats.prediction import Images, Labels
from foolscope.threats.threat import Threat

__all__ = [
    "LATE_FRACTION",
    "black_box_check",
    "budget_checks",
    "gradient_checks",
    "largest_distance",
    "saturation_check",
]

LATE_FRACTION = 0.75
"""The fraction of an attack's steps after which an image counts as having fallen late."""

_SOME = 0.01  # a fraction of images that is not chance
_MANY = 0.1
_VANISHED = 1e-7  # of a gradient's size: what is left when single precision rounds a probability to 1
_ROUNDING = 1e-5  # of a number's size: what a different order of summation changes
_STILL_CORRECT = 0.05
_SIGNIFICANCE = 0.05
_BY_CHANCE = 1  # images that a search without gradients may fool by chance


def gradient_checks(model: nn.Module, images: Images, labels: Labels) -> tuple[MaskingCheck, ...]:
    """Compare two evaluations of outputs and gradients on a few images that a model classifies correctly.

    Costs three forward and three backward passes per image.
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
            not spread <= _ROUNDING * size,
            f"Evaluated twice on the same images, the model's outputs differ by up to {spread:.2g}. "
            "Attacks that average over draws break random defenses: fix the randomness, or attack the mean "
            "over draws.",
            "Evaluated twice on the same images, the model gives the same outputs.",
        ),
        check(
            "random gradients",
            drift,
            drift > _ROUNDING,
            f"Evaluated twice, the gradient differs by up to {100 * drift:.1f} % of its size, so steps "
            "follow noise: fix the randomness, or average gradients over draws.",
            "Evaluated twice, the gradient is the same.",
        ),
        check(
            "zero gradients",
            zeros,
            zeros >= _SOME,
            f"The gradient with respect to the input is exactly zero on {100 * zeros:.0f} % of the images, "
            "so attacks that follow it do not move: look for rounding, thresholds or dead units, and replace "
            "them by something smooth in the backward pass.",
            "No gradient with respect to the input is exactly zero.",
        ),
        check(
            "vanished cross-entropy",
            vanished,
            vanished >= _MANY,
            f"On {100 * vanished:.0f} % of the images the gradient of the cross-entropy is lost to rounding, "
            "since the model is too confident: attacks that follow it fail there, however weak the model. "
            "This evaluation follows the margin instead.",
            "The gradient of the cross-entropy is not lost to rounding.",
            is_serious=False,
        ),
        check(
            "gradients not finite",
            broken,
            broken > 0,
            f"The gradient with respect to the input is not finite on {100 * broken:.0f} % of the images; "
            "look for a division, logarithm or root in the model.",
            "Every gradient with respect to the input is finite.",
        ),
    )


def budget_checks(
    model: nn.Module, images: Images, labels: Labels, norm: str, epsilon: float, *, seed: int
) -> Evaluation[tuple[tuple[MaskingCheck, ...], tuple[AttackResult, ...]]]:
    """Attack a few images at growing budgets, each from scratch: larger ones must fool more, the largest all.

    The budgets are ``epsilon``, twice and four times as much, and no bound at all; the images are a few that
    the model classifies correctly.
    """
    if not len(labels):
        return (), ()
    limit = largest_distance(norm, images)
    budgets = sorted({min(epsilon * factor, limit) for factor in (1, 2, 4)} | {limit})
    attack = PGD(steps=20, loss="margin", random_start=False)
    results = []
    for place, each in enumerate(budgets, start=-len(budgets)):  # before the stages of an evaluation
        result = yield Request(model, images, labels, Threat(norm, each), attack, seed, place=place)
        results.append(result)
    correct = [result.robust_accuracy for result in results]
    worst, worst_pair = 0.0, 0
    for pair, (smaller, larger) in enumerate(pairwise(results)):
        lost = int((smaller.robust & ~larger.robust).sum())
        gained = int((larger.robust & ~smaller.robust).sum())
        rise = (gained - lost) / len(labels)
        if (
            rise > worst
            and scipy.stats.binomtest(gained, gained + lost, alternative="greater").pvalue < _SIGNIFICANCE
        ):
            worst, worst_pair = rise, pair
    unbounded = correct[-1]
    checks = (
        check(
            "accuracy rises with the budget",
            worst,
            worst > 0,
            f"PGD fools fewer images at a larger budget: of {len(labels)} images "
            f"{100 * correct[worst_pair]:.0f} % hold at ε = {budgets[worst_pair]:.3g} and "
            f"{100 * correct[worst_pair + 1]:.0f} % at ε = {budgets[worst_pair + 1]:.3g}. The gradients "
            "mislead; distrust the curve, and use more steps, restarts and attacks without gradients.",
            "PGD never fools clearly fewer images at a larger budget.",
        ),
        check(
            "unbounded attack fails",
            unbounded,
            unbounded > _STILL_CORRECT,
            f"PGD without any bound leaves {100 * unbounded:.0f} % of {len(labels)} images correct, where it "
            "should leave none, since any image is allowed: the gradients do not lead to other classes. Fix "
            "the attack (a smooth replacement in the backward pass) before trusting the defense.",
            f"PGD without any bound leaves {100 * unbounded:.0f} % of {len(labels)} images correct.",
        ),
    )
    return checks, tuple(results)


def saturation_check(late: int, images: int) -> MaskingCheck:
    """Check whether more steps would fool more images.

    Of the number of attacked ``images``, ``late`` fell in the last quarter of the longest attack's steps.
    """
    fraction = late / max(1, images)
    return check(
        "steps not saturated",
        fraction,
        fraction > _SOME,
        f"Robust accuracy was still falling: {100 * fraction:.1f} % of the images fell in the last quarter "
        "of the longest attack's steps. Take more steps.",
        f"{100 * fraction:.1f} % of the images fell in the last quarter of the longest attack's steps: more "
        "steps would fool few more.",
    )


def black_box_check(found: int, searched: int, norm: str) -> MaskingCheck:
    """Check whether a search without gradients, of ``searched`` images, ``found`` any that still held."""
    name = "black box beats white box"
    if norm not in Square.norms:
        return check(name, 0.0, False, "", f"No attack without gradients was run: there is none for {norm}.")
    fraction = found / max(1, searched)
    result = (
        f"A search without gradients fooled {found} of {searched} images that had withstood every attack "
        "with gradients."
    )
    return check(
        name,
        fraction,
        found > _BY_CHANCE and fraction > _SOME,
        f"{result} The gradients mislead, so the remaining robust accuracy is too high as well: look for "
        "rounding, randomness or saturation in the model, and attack it without them.",
        result,
    )


def largest_distance(norm: str, images: Images) -> float:
    """Return the distance between a black and a white image of this size."""
    ones = images.new_ones(1, *images.shape[1:])
    return Threat(norm, 0).geometry.size(ones).item()


def _gradients(
    model: nn.Module, images: Tensor, labels: Tensor, loss: Callable[[Tensor, Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        variables = images.detach().requires_grad_()
        logits = model(variables)
        gradient = input_gradient(loss(logits, labels), variables)
    return logits.detach(), gradient
