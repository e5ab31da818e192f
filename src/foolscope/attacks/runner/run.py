"""Runs any attack on any model: the arguments of a run, checked and told in one place."""

from collections.abc import Callable

from jaxtyping import Float, Int64, Num
from torch import Tensor, nn

from foolscope.attacks.runner.attack import Attack
from foolscope.attacks.runner.best_so_far import Success
from foolscope.attacks.runner.packs import Packs
from foolscope.attacks.runner.request import Request, Targets
from foolscope.attacks.runner.result import AttackResult
from foolscope.attacks.runner.together import run_together
from foolscope.threats.threat import Threat

__all__ = ["run"]


def run(
    model: nn.Module,
    images: Num[Tensor, "batch channel height width"],
    labels: Int64[Tensor, " batch"],
    threat: Threat,
    attack: Attack,
    *,
    seed: int,
    targets: Targets | None = None,
    success: Success | None = None,
    indices: Int64[Tensor, " batch"] | None = None,
    clean_logits: Float[Tensor, "batch classes"] | None = None,
    epsilons: Float[Tensor, " batch"] | None = None,
    batch_size: int | None = None,
    stepping_model: nn.Module | None = None,
    levels: int | None = None,
    trace: bool = False,
    deadline: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> AttackResult:
    """Search, for each image, for an allowed image that fools the model.

    An image that is misclassified as it is needs no attack. A fooled image leaves the batch inside the loop,
    and a waiting image takes its place. Success at any image that the attack evaluates counts. What is found
    for an image depends neither on the batch size nor on the other images.

    Args:
        model: from images to logits, any module with two or more outputs. Attacked in evaluation mode and
            without parameter gradients; both settings are restored.
        images: shape (batch, channel, height, width), in [0, 1], in the model's data type and on its device.
        labels: their classes.
        threat: norm, budget in pixel units, bounds.
        attack: settings from the table ``ATTACKS``.
        seed: root of the attack's randomness.
        targets: the classes to aim at: a name from ``TARGETS``, one class per image, or a row of classes per
            image, each a work item of its own. Without it the attack is untargeted.
        success: what counts as fooled, from (logits, labels, targets) to a mask. Without it: reaching the
            target where there are targets, else any misclassification. With targets and ``misclassified``
            the attack aims at the targets and any misclassification counts.
        indices: the images' indices in their data set, from which their random numbers are derived; 0, 1, ...
            without it.
        clean_logits: the model's output on the images, where it is known: saves a forward pass for each.
        epsilons: a budget for each image, at most the threat's; the threat's for all without it.
        batch_size: the largest number of rows in flight; chosen by image size without it.
        stepping_model: the model on which steps are taken, such as the same model in bfloat16. What fools it,
            or nearly does, is verified on ``model``.
        levels: images that fool are rounded to multiples of 1 / levels, towards the clean image, before they
            are verified and kept: 255 for files of 8 bits.
        trace: go on with fooled images, so that the loss by step covers all images; success is the same.
        deadline: on the clock of ``time.monotonic``; work items that have not ended by then are dropped.
        progress: called with (work items done, all work items) after every round.

    Raises:
        ThreatError: images, labels, targets or budget are invalid, the attack does not support the norm, or
            the output is not one row of logits per image.

    Example:
        >>> import torch
        >>> from foolscope.attacks import FGSM
        >>> linear = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False))
        >>> _ = linear[1].weight.data.copy_(torch.eye(2))
        >>> images = torch.tensor([[[[0.6, 0.4]]], [[[0.9, 0.1]]]])
        >>> result = run(linear, images, torch.tensor([0, 0]), Threat("linf", 0.2), FGSM(), seed=0)
        >>> result.clean_accuracy, result.robust_accuracy
        (1.0, 0.5)
    """
    request = Request(
        model=model,
        images=images,
        labels=labels,
        threat=threat,
        attack=attack,
        seed=seed,
        targets=targets,
        success=success,
        indices=indices,
        clean_logits=clean_logits,
        epsilons=epsilons,
        batch_size=batch_size,
        stepping_model=stepping_model,
        levels=levels,
        trace=trace,
        deadline=deadline,
        progress=progress,
    )
    (result,) = run_together([request], Packs())
    return result
