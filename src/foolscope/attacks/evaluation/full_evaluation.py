"""The full evaluation: cheap attacks first, expensive ones on survivors, and checks for masked gradients."""

from collections.abc import Mapping, Sequence
from time import monotonic

import torch
from jaxtyping import Int64, Num
from torch import Tensor, nn

from foolscope.attacks.evaluation.bfloat16_copy import bfloat16_copy
from foolscope.attacks.evaluation.cascade import Cascade, EvaluationInputs, ReportStage, Save
from foolscope.attacks.evaluation.masking import (
    black_box_check,
    budget_checks,
    gradient_checks,
    saturation_check,
)
from foolscope.attacks.evaluation.robust_accuracy import RobustAccuracyCurve
from foolscope.attacks.evaluation.stages import BLACK_BOX, TARGETS_TRIED, TRANSFER, evaluation_stages
from foolscope.attacks.evaluation.state import EvaluationState
from foolscope.attacks.runner.doubts import MaskingCheck, model_checks
from foolscope.attacks.runner.side_by_side import Evaluation, alone
from foolscope.core.errors import ThreatError
from foolscope.core.modes import frozen
from foolscope.threats.prediction import automatic_batch_size, check_logits, predict
from foolscope.threats.threat import Threat, check_images

__all__ = ["evaluate_robustness", "robustness_evaluation"]

_CHECKED = 64  # images on which gradients, and a copy in bfloat16, are checked
_CHECKED_AT_GROWING_BUDGETS = 32  # of these


def evaluate_robustness(
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
    progress: ReportStage | None = None,
) -> RobustAccuracyCurve:
    """Measure a model's robust accuracy with an ensemble of attacks, in the order that costs least.

    One step fools most images of an undefended model, a few steps fool more. Images that still hold are
    attacked towards their nearest classes, the nearest first; those near the boundary are attacked for
    longer, from several starts. A search without gradients covers a sample of what is left, and all of it if
    it finds anything or if the model seems to mask its gradients. With several budgets, an image is attacked
    at the largest that it has not fallen to: what holds there holds at all smaller ones.

    Args:
        model: from images to logits; attacked in evaluation mode, and left as it was.
        images: shape (batch, channel, height, width), in [0, 1], in the model's data type and on its device.
        labels: their classes.
        norm: a name from ``NORMS``.
        epsilons: the budgets in pixel units, numbers or text such as ``"8/255"``.
        seed: root of the attacks' randomness.
        surrogate: another model with the same classes; images that fool it are tried too.
        indices: the images' indices in their data set; 0, 1, ... without it.
        levels: images that fool are rounded to multiples of 1 / levels before they count; 255 for 8 bits.
        batch_size: the largest number of rows in flight; chosen by image size without it.
        time_budget_seconds: stop after this long; what was not attacked to the end counts as robust, and a
            doubt says so.
        saved: what an earlier call with the same arguments saved, to go on from there; ignored where another
            version saved it.
        save: called with what is known so far after every attack.
        progress: called with (stage, fraction of its images done, images that still hold).

    Raises:
        ThreatError: there is no budget, or :func:`foolscope.attacks.run` refuses the arguments.

    Example:
        >>> linear = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False)).eval()
        >>> _ = linear[1].weight.data.copy_(3 * torch.eye(2))
        >>> images = torch.tensor([[[[0.6, 0.4]]], [[[0.9, 0.1]]]])
        >>> curve = evaluate_robustness(linear, images, torch.tensor([0, 0]), "linf", [0.2], seed=0)
        >>> curve.robust_accuracies, [each.name for each in curve.checks if each.fired]
        ((0.5,), [])

    Source:
        An ensemble as in Croce and Hein (2020, arXiv:2003.01690) without FAB-T, which spends its steps where
        they can change the result. Starting with the margin loss and ordering targets by their linearized
        distance is ours; compared with AutoAttack in ``benchmarks/attack.py``.
    """
    return alone(
        robustness_evaluation(
            model,
            images,
            labels,
            norm,
            epsilons,
            seed=seed,
            surrogate=surrogate,
            indices=indices,
            levels=levels,
            batch_size=batch_size,
            time_budget_seconds=time_budget_seconds,
            saved=saved,
            save=save,
            progress=progress,
        )
    )


def robustness_evaluation(
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
    progress: ReportStage | None = None,
) -> Evaluation[RobustAccuracyCurve]:
    """Evaluate as :func:`evaluate_robustness` does, step by step, so that several models go side by side."""
    threats = sorted({Threat(norm, epsilon) for epsilon in epsilons}, key=lambda threat: threat.epsilon)
    if not threats:
        raise ThreatError("an evaluation needs a budget; got none")
    check_images(images, labels, threats[-1])
    labels = labels.to(images.device)
    size = batch_size or automatic_batch_size(images, model)
    with frozen(model):
        clean_logits = predict(model, images, size)
    check_logits(clean_logits, labels)
    others = clean_logits.shape[1] - 1 if len(labels) else 1
    state = EvaluationState.start(images, labels, clean_logits, min(TARGETS_TRIED, others))
    checked = (state.smallest_found > 0).nonzero()[:_CHECKED, 0]
    low_precision_model, compared = bfloat16_copy(model, images[checked], clean_logits[checked])
    state.count_passes(compared, 0)
    rows = torch.arange(len(labels), device=images.device)
    inputs = EvaluationInputs(
        model=model,
        low_precision_model=low_precision_model,
        surrogate=surrogate,
        images=images,
        labels=labels,
        indices=rows if indices is None else indices.to(images.device),
        threat=threats[-1],
        epsilons=tuple(threat.epsilon for threat in threats if threat.epsilon > 0),
        seed=seed,
        batch_size=size,
        levels=levels,
        deadline=None if time_budget_seconds is None else monotonic() + time_budget_seconds,
    )
    first_checks = yield from _first_checks(inputs, state, checked)
    checks = (*model_checks(model, clean_logits), *first_checks)
    if saved is not None and saved.keys() == state.tensors().keys():
        state = EvaluationState.resumed(saved, images.device)
    stages = (*evaluation_stages(norm, inputs.epsilons, others), TRANSFER, BLACK_BOX)
    cascade = Cascade(inputs, state, stages, save, progress)
    yield from cascade.with_gradients()
    yield from cascade.without_gradients(any(each.fired and each.is_serious for each in checks))
    checks += (
        black_box_check(state.black_box_found, state.black_box_searched, norm),
        saturation_check(state.late_count, len(labels)),
    )
    unfinished = cascade.unfinished()
    doubts = [each.sentence for each in checks if each.fired and each.is_serious]
    return RobustAccuracyCurve(
        norm=norm,
        epsilons=tuple(threat.epsilon for threat in threats),
        attacks=tuple(stage.name for stage in stages),
        labels=labels,
        smallest_found=state.smallest_found,
        fooled_by=state.fooled_by,
        adversarial_inputs=state.adversarial_inputs,
        adversarial_logits=state.adversarial_logits,
        clean_logits=clean_logits,
        forward_count=state.forward_count,
        backward_count=state.backward_count,
        checks=checks,
        doubts=tuple(dict.fromkeys([*doubts, *_time_doubt(unfinished)])),
        unfinished=unfinished,
    )


def _first_checks(
    inputs: EvaluationInputs, state: EvaluationState, rows: Tensor
) -> Evaluation[tuple[MaskingCheck, ...]]:
    """Check gradients and growing budgets on a few images, and count the passes."""
    images, labels = inputs.images[rows], inputs.labels[rows]
    state.count_passes(3 * len(rows), 3 * len(rows))
    checks = gradient_checks(inputs.model, images, labels)
    if not inputs.epsilons:
        return checks
    few = slice(_CHECKED_AT_GROWING_BUDGETS)
    more, results = yield from budget_checks(
        inputs.model, images[few], labels[few], inputs.threat.norm, inputs.epsilons[-1], seed=inputs.seed
    )
    for result in results:
        state.count_passes(result.forward_count, result.backward_count)
    return checks + more


def _time_doubt(unfinished: int) -> list[str]:
    if not unfinished:
        return []
    return [
        f"The time was up before {unfinished} images were attacked to the end; they count as robust. Allow "
        "more time, or run the same evaluation again: a stored one goes on where it stopped."
    ]
