"""The full evaluation: cheap attacks first, expensive ones on what still holds, and a search for masking."""

from collections.abc import Mapping, Sequence
from time import monotonic

import torch
from jaxtyping import Int64, Num
from torch import Tensor, nn

from foolscope.attacks.campaign import Campaign, Case, Progress, Save
from foolscope.attacks.coarse import in_bfloat16
from foolscope.attacks.doubts import MaskingCheck, check, model_checks
from foolscope.attacks.evaluation import RobustAccuracyCurve
from foolscope.attacks.masking import budget_checks, gradient_checks, saturation_check
from foolscope.attacks.runner import automatic_batch_size, check_logits, predict
from foolscope.attacks.stages import BLACK_BOX, TARGETS_TRIED, TRANSFER, evaluation_stages
from foolscope.attacks.standings import Standings
from foolscope.core.errors import ThreatError
from foolscope.core.modes import frozen
from foolscope.threats.threat import Threat, check_images

__all__ = ["evaluate"]

_CHECKED = 64  # images on which gradients are looked at
_TRIED = 32  # images that are attacked with growing budgets
_CLEARLY, _FEW = 2, 0.01  # what a search without gradients may find by chance


def evaluate(
    model: nn.Module,
    images: Num[Tensor, "batch channel height width"],
    labels: Int64[Tensor, " batch"],
    norm: str,
    epsilons: Sequence[str | float | int],
    *,
    seed: int,
    surrogate: nn.Module | None = None,
    indices: Int64[Tensor, " batch"] | None = None,
    levels: int | None = None,
    batch_size: int | None = None,
    time_budget_seconds: float | None = None,
    saved: Mapping[str, Tensor] | None = None,
    save: Save | None = None,
    progress: Progress | None = None,
) -> RobustAccuracyCurve:
    """Find what robustness a model has: everything tried, in the order that costs least.

    One step fells most images of an undefended model, and a few steps more; those that still hold are
    attacked towards their nearest classes, the nearest first; those that hold by little are attacked for
    long, from several starts. A search without gradients looks at a sample of what is left, and at all of it
    if it finds anything or if the model seems to hide its gradients. With several budgets
    an image is attacked at the largest that it has not fallen to: what holds there holds at
    all smaller ones.

    Args:
        model: from images to logits; attacked in evaluation mode, and left as it was.
        images: shape (batch, channel, height, width), in [0, 1], in the model's data type and on its device.
        labels: their classes.
        norm: a name from ``NORMS``.
        epsilons: the budgets in pixel units, numbers or text such as ``"8/255"``.
        seed: where the attacks' randomness comes from.
        surrogate: another model with the same classes; images that fool it are tried, too.
        indices: the images' indices in their data set; 0, 1, ... without it.
        levels: fooling images are rounded to so many levels of gray above 0 before they count, such as 255.
        batch_size: rows in flight at most; chosen by image size without it.
        time_budget_seconds: stop after this long; what was not attacked to the end counts as robust, and a
            doubt says so.
        saved: what an earlier call with the same arguments saved, to be taken up.
        save: called now and then with what is known so far.
        progress: called with (stage, fraction of its images done, images that still hold).

    Raises:
        ThreatError: no budget, or anything that :func:`foolscope.attacks.run` refuses.

    Example:
        >>> linear = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False)).eval()
        >>> _ = linear[1].weight.data.copy_(3 * torch.eye(2))
        >>> images = torch.tensor([[[[0.6, 0.4]]], [[[0.9, 0.1]]]])
        >>> curve = evaluate(linear, images, torch.tensor([0, 0]), "linf", [0.2], seed=0)
        >>> curve.robust_accuracies, [each.name for each in curve.checks if each.fired]
        ((0.5,), [])

    Source:
        An ensemble as in Croce and Hein (2020, arXiv:2003.01690), without FAB-T, and with its steps spent
        where they decide something. Starting with the margin and ordering targets by their linearized
        distance is ours; measured against AutoAttack in ``benchmarks/attack.py``.
    """
    threats = sorted({Threat(norm, epsilon) for epsilon in epsilons}, key=lambda threat: threat.epsilon)
    if not threats:
        raise ThreatError("an evaluation needs a budget; got none")
    check_images(images, labels, threats[-1])
    labels = labels.to(images.device)
    size = batch_size or automatic_batch_size(images)
    with frozen(model):
        clean_logits = predict(model, images, size)
    check_logits(clean_logits, labels)
    others = clean_logits.shape[1] - 1 if len(labels) else 1
    standings = Standings.of(images, labels, clean_logits, min(TARGETS_TRIED, others))
    few = (standings.smallest_found > 0).nonzero()[:_CHECKED, 0]
    coarse, asked = in_bfloat16(model, images[few], clean_logits[few])
    standings.spend(asked, 0)
    case = Case(
        model=model,
        coarse=coarse,
        surrogate=surrogate,
        images=images,
        labels=labels,
        indices=torch.arange(len(labels), device=images.device)
        if indices is None
        else indices.to(images.device),
        threat=threats[-1],
        epsilons=tuple(threat.epsilon for threat in threats if threat.epsilon > 0),
        seed=seed,
        batch_size=size,
        levels=levels,
        deadline=None if time_budget_seconds is None else monotonic() + time_budget_seconds,
    )
    checks = (*model_checks(model, clean_logits), *_first_checks(case, standings, few))
    if saved is not None:
        standings = Standings(**{name: value.to(images.device) for name, value in saved.items()})
    stages = (*evaluation_stages(norm, case.epsilons, others), TRANSFER, BLACK_BOX)
    campaign = Campaign(case, standings, stages, save, progress)
    campaign.with_gradients()
    found, tried = campaign.without_gradients(any(each.fired and each.is_serious for each in checks))
    checks += (_black_box_check(found, tried, norm), saturation_check(standings.late, len(labels)))
    doubts = [each.sentence for each in checks if each.fired and each.is_serious]
    return RobustAccuracyCurve(
        norm=norm,
        epsilons=tuple(threat.epsilon for threat in threats),
        attacks=tuple(stage.name for stage in stages),
        labels=labels,
        smallest_found=standings.smallest_found,
        fooled_by=standings.fooled_by,
        adversarial_inputs=standings.adversarial_inputs,
        adversarial_logits=standings.adversarial_logits,
        clean_logits=clean_logits,
        forward_count=standings.forward_count,
        backward_count=standings.backward_count,
        checks=checks,
        doubts=tuple(dict.fromkeys([*doubts, *_time_doubt(campaign.unfinished())])),
        unfinished=campaign.unfinished(),
    )


def _first_checks(case: Case, standings: Standings, few: Tensor) -> tuple[MaskingCheck, ...]:
    """Ask the model a few things before it is attacked; the price is entered."""
    images, labels = case.images[few], case.labels[few]
    standings.spend(3 * len(few), 3 * len(few))
    checks = gradient_checks(case.model, images, labels)
    if not case.epsilons:
        return checks
    part = slice(_TRIED)
    more, results = budget_checks(
        case.model, images[part], labels[part], case.threat.norm, case.epsilons[-1], seed=case.seed
    )
    for result in results:
        standings.spend(result.forward_count, result.backward_count)
    return checks + more


def _time_doubt(left: int) -> list[str]:
    """Say what was left undone."""
    if not left:
        return []
    return [
        f"The time was up before {left} images were attacked to the end; they count as robust. Give more "
        "time, or none: a stored evaluation goes on where it stopped."
    ]


def _black_box_check(found: int, tried: int, norm: str) -> MaskingCheck:
    name = "black box beats white box"
    if norm not in BLACK_BOX.attack.norms:
        return check(name, 0.0, False, "", f"No search without gradients was made: there is none for {norm}.")
    part = found / max(1, tried)
    return check(
        name,
        part,
        found >= _CLEARLY and part > _FEW,
        f"A search without gradients fooled {found} of {tried} images that had withstood every attack with "
        "gradients. The gradients do not show the way, so what is left is too high as well: look for "
        "rounding, randomness or saturation in the model, and attack it without them.",
        f"A search without gradients fooled {found} of {tried} images that had withstood those with them.",
    )
