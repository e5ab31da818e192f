"""The attack parts of a study: robust accuracy over the seeds, and galleries of fooling images."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from foolscope.attacks import Attack, RobustAccuracyCurve, robust_accuracy_curve, run
from foolscope.core.settings import Settings
from foolscope.experiments.parts.attacks.aims import aim_words, aimed_images
from foolscope.experiments.parts.attacks.kept import ATTACK_VERSION, evaluate_subject
from foolscope.experiments.parts.attacks.plans import AttackPlan, FoolingPlan, as_attack
from foolscope.experiments.parts.attacks.records import AttackDetailsRecord, MaskingRecord
from foolscope.experiments.parts.attacks.summary import (
    attack_details,
    attacked_record,
    masking_records,
    summed_checks,
    summed_details,
)
from foolscope.experiments.parts.by_seed import measured_by_seed
from foolscope.experiments.records import CurveRecord, GalleryRecord, PictureRecord
from foolscope.experiments.running.run import Session
from foolscope.experiments.running.store import StoredTrial
from foolscope.experiments.subjects.subject import run_subject
from foolscope.experiments.wording.fields import norm_words
from foolscope.inspection.answers.worst import worst_classified
from foolscope.learning.evaluation import to_pixels
from foolscope.statistics.blocks import BlockDesign, mean_interval

__all__ = ["curve_gallery", "curve_record", "fooling_gallery", "robustness_curve", "worst_gallery"]

_CANDIDATES = 256
_LINES = "The norms below a perturbation are for pixels from 0 to 255."


def robustness_curve(
    plan: AttackPlan,
    recipe: str,
    trials: Sequence[StoredTrial],
    session: Session,
    tell: Callable[[float, str], None],
) -> CurveRecord:
    """Attack the model of every seed at every budget; what has been attacked before is read.

    Args:
        plan: norm, budgets, attacks, number of images.
        recipe: how the study calls the recipe.
        trials: one per seed.
        session: store and data.
        tell: called with the fraction done and a detail.
    """
    determinants = {
        "norm": plan.norm,
        "epsilons": plan.budgets(),
        "attacks": [attack.model_dump(mode="json") for attack in plan.attacks] or "full",
        "images": plan.images,
        "version": ATTACK_VERSION,
    }

    def attack(trial: StoredTrial) -> dict[str, Any]:
        return _attack(plan, trial, session)

    by_seed = measured_by_seed("attacks", determinants, attack, trials, session.store, tell)
    results = list(by_seed.values())
    accuracies = [result["accuracies"] for result in results]
    design = BlockDesign(
        tuple(f"{epsilon:.12g}" for epsilon in plan.budgets()),
        tuple(by_seed),
        np.array(accuracies).T,
    )
    intervals = [mean_interval(design, cell) for cell in design.cells]
    return CurveRecord(
        attack=plan.name,
        recipe=recipe,
        norm=plan.norm,
        attacks=results[0]["attacks"],
        images=results[0]["images"],
        epsilons=list(plan.budgets()),
        accuracies=accuracies,
        mean=[float(mean) for mean in np.mean(accuracies, axis=0)],
        low=[low if low is None else max(0.0, low) for _, low, _ in intervals],
        high=[high if high is None else min(1.0, high) for _, _, high in intervals],
        doubts=list(dict.fromkeys(doubt for result in results for doubt in result["doubts"])),
        forward_count=sum(result["forward_count"] for result in results),
        backward_count=sum(result["backward_count"] for result in results),
        details=summed_details([AttackDetailsRecord(**result["details"]) for result in results]),
        checks=summed_checks([[MaskingRecord(**each) for each in result["checks"]] for result in results]),
    )


def _attack(plan: AttackPlan, trial: StoredTrial, session: Session) -> dict[str, Any]:
    curve = _curve(plan, trial, session)
    details = attack_details(curve, session.dataset(trial.recipe.dataset).classes)
    return {
        "images": len(curve.labels),
        "attacks": list(curve.attacks),
        "clean_accuracy": curve.clean_accuracy,
        "accuracies": list(curve.robust_accuracies),
        "forward_count": curve.forward_count,
        "backward_count": curve.backward_count,
        "doubts": list(curve.doubts),
        "details": details.model_dump(mode="json"),
        "checks": [each.model_dump(mode="json") for each in masking_records(curve.checks)],
    }


def _curve(plan: AttackPlan, trial: StoredTrial, session: Session) -> RobustAccuracyCurve:
    subject = run_subject(trial, None, "test", plan.images, session)
    norm, budgets, seed = plan.norm, plan.budgets(), trial.recipe.seed
    if plan.is_full:
        return evaluate_subject(subject, norm, budgets, seed=seed, store=session.store).curve
    attacks = [as_attack(attack) for attack in plan.attacks]
    place = (subject.model, subject.images, subject.labels, norm, budgets)
    return robust_accuracy_curve(*place, attacks, seed=seed)


def _test_images(trial: StoredTrial, session: Session, count: int) -> tuple[Tensor, Tensor]:
    test = session.dataset(trial.recipe.dataset).test
    return to_pixels(test.images[:count], torch.float32), test.labels[:count]


def fooling_gallery(
    plan: FoolingPlan, trial: StoredTrial, session: Session, prefix: str
) -> tuple[GalleryRecord, dict[str, Tensor]]:
    """Fool a trained model on test images that it gets right, one of each class while they last.

    Returns:
        The gallery, and its pictures: originals and fooling images, (channel, height, width) in [0, 1].
    """
    dataset = session.dataset(trial.recipe.dataset)
    aimed = aimed_images(plan, dataset, _CANDIDATES)
    result = run(
        trial.model(session.device),
        aimed.images,
        aimed.labels,
        plan.threat(),
        as_attack(plan.attack),
        seed=trial.recipe.seed,
        targets=aimed.targets,
    )
    clean = result.clean_logits.softmax(dim=1)
    right = result.clean_correct & (clean.gather(1, aimed.labels[:, None])[:, 0] >= plan.confidence)
    fooled = (result.success & right).nonzero().flatten()
    chosen = _one_of_each(fooled.tolist(), aimed.labels.tolist(), plan.images)
    rows: list[list[PictureRecord]] = []
    arrays: dict[str, Tensor] = {}
    for place, index in enumerate(chosen):
        row, own = _triple(
            f"{prefix}-{place}",
            (aimed.images[index], result.adversarial_inputs[index]),
            (clean[index], result.adversarial_probabilities[index]),
            float(result.perturbation_sizes[index]),
            dataset.classes,
        )
        rows.append(row)
        arrays |= own
    confidence = f" with a probability of {plan.confidence:g} or more" if plan.confidence else ""
    caption = (
        f"{as_attack(plan.attack).name.upper()} on {plan.recipe}{aim_words(plan.target)}: norm "
        f"{norm_words(plan.norm)}, ε = {plan.threat().epsilon:.3g} (pixels in [0, 1]). It succeeded on "
        f"{len(fooled)} of the {int(right.sum())} images, among the first {len(aimed.labels)} test images"
        f"{f' of {plan.source}' if plan.source else ''}, that the model gets right{confidence}. {_LINES}"
    )
    return GalleryRecord(kind="fooling", recipe=plan.recipe, caption=caption, rows=rows), arrays


def curve_record(
    recipe: str,
    curve: RobustAccuracyCurve,
    attacks: Sequence[Attack],
    classes: Sequence[str] = (),
    facts: Mapping[str, Any] | None = None,
) -> CurveRecord:
    """Turn the curve of one model into a record; its intervals are about the choice of images.

    Args:
        recipe: how the report calls the model.
        curve: what the attacks left.
        attacks: the settings of the attacks, in the order of the curve's; none of a full evaluation's.
        classes: the names of the classes; their numbers without it.
        facts: what was attacked, as a subject has them; taken for a study's own model without it.
    """
    intervals = curve.intervals()
    return CurveRecord(
        attack="attack",
        recipe=recipe,
        norm=curve.norm,
        attacks=list(curve.attacks),
        images=len(curve.labels),
        epsilons=list(curve.epsilons),
        accuracies=[list(curve.robust_accuracies)],
        mean=list(curve.robust_accuracies),
        low=[low for low, _ in intervals],
        high=[high for _, high in intervals],
        doubts=list(curve.doubts),
        forward_count=curve.forward_count,
        backward_count=curve.backward_count,
        settings=[attack.model_dump(mode="json") for attack in attacks if isinstance(attack, Settings)],
        attacked=None if facts is None else attacked_record(facts),
        details=attack_details(curve, classes),
        checks=masking_records(curve.checks),
    )


@torch.no_grad()
def curve_gallery(
    recipe: str, curve: RobustAccuracyCurve, images: Tensor, model: nn.Module, classes: Sequence[str]
) -> tuple[GalleryRecord, dict[str, Tensor]]:
    """Show what fooled a model with the least budget, one image of each class while they last.

    Args:
        recipe: how the report calls the model.
        curve: what the attacks left.
        images: the clean ones, in the curve's order.
        model: the one that was attacked.
        classes: their names.
    """
    fooled = ((curve.smallest_found > 0) & curve.smallest_found.isfinite()).nonzero().flatten()
    chosen = _one_of_each(fooled.tolist(), curve.labels.tolist(), 6)
    rows: list[list[PictureRecord]] = []
    arrays: dict[str, Tensor] = {}
    if chosen:
        clean = curve.clean_logits[chosen].softmax(dim=1)
        found = model(curve.adversarial_inputs[chosen]).softmax(dim=1)
        for place, index in enumerate(chosen):
            row, own = _triple(
                f"fooling-{place}",
                (images[index], curve.adversarial_inputs[index]),
                (clean[place], found[place]),
                float(curve.smallest_found[index]),
                classes,
            )
            rows.append(row)
            arrays |= own
    caption = (
        f"Images that fool {recipe}, in the norm {norm_words(curve.norm)}: for each image the smallest "
        f"perturbation found within these budgets. {_LINES}"
    )
    return GalleryRecord(kind="fooling", recipe=recipe, caption=caption, rows=rows), arrays


def _triple(
    prefix: str,
    pictures: tuple[Tensor, Tensor],
    probabilities: tuple[Tensor, Tensor],
    size: float,
    classes: Sequence[str],
) -> tuple[list[PictureRecord], dict[str, Tensor]]:
    """Put an image, its perturbation and their sum side by side; the report draws the perturbation."""
    keys = [f"{prefix}-{part}" for part in ("original", "perturbation", "fooling")]
    distance = (255 * (pictures[1] - pictures[0])).flatten()
    norms = f"L2 {float(distance.norm()):.3g}, L∞ {float(distance.abs().max()):.3g}"
    before, after = (int(each.argmax()) for each in probabilities)
    row = [
        _picture(keys[0], "original", probabilities[0], (before, after), classes),
        PictureRecord(key=keys[1], title="perturbation", lines=[f"size {size:.3g}", norms]),
        _picture(keys[2], "fooling image", probabilities[1], (after, before), classes),
    ]
    return row, {keys[0]: pictures[0], keys[2]: pictures[1]}


def _picture(
    key: str, title: str, probabilities: Tensor, named: tuple[int, int], classes: Sequence[str]
) -> PictureRecord:
    """Say what the model takes an image for, and what it leaves for the other class of the pair."""
    best, other = named
    lines = [
        classes[best],
        _percent(probabilities[best]),
        f"{classes[other]} {_percent(probabilities[other])}",
    ]
    return PictureRecord(key=key, title=title, lines=lines, probabilities=probabilities.tolist())


def _percent(probability: Tensor) -> str:
    return f"{100 * float(probability):.1f} %"


def _one_of_each(candidates: Sequence[int], labels: Sequence[int], count: int) -> list[int]:
    """Choose candidates so that classes repeat only when all have had a turn; in order of position."""
    by_class: dict[int, list[int]] = {}
    for index in candidates:
        by_class.setdefault(labels[index], []).append(index)
    ranked = sorted((turn, index) for members in by_class.values() for turn, index in enumerate(members))
    return sorted(index for _, index in ranked[:count])


def worst_gallery(
    recipe: str, trial: StoredTrial, session: Session, prefix: str, count: int = 12
) -> tuple[GalleryRecord, dict[str, Tensor]]:
    """Show the test images whose label the model denies most firmly."""
    dataset = session.dataset(trial.recipe.dataset)
    worst = worst_classified(trial.model(session.device), dataset.test, count)
    pictures, arrays = [], {}
    for place, index in enumerate(worst.indices.tolist()):
        key = f"{prefix}-{place}"
        arrays[key] = to_pixels(dataset.test.images[index], torch.float32)
        label = dataset.classes[int(dataset.test.labels[index])]
        predicted = dataset.classes[int(worst.predictions[place])]
        lines = [
            f"taken for {predicted}, {100 * float(worst.predicted_probabilities[place]):.1f} %",
            f"label given {float(worst.label_probabilities[place]):.2g}",
        ]
        pictures.append(PictureRecord(key=key, title=label, lines=lines))
    caption = (
        f"The {len(pictures)} test images whose label {recipe} (seed {trial.recipe.seed}) gives the least "
        "probability."
    )
    rows = [pictures[start : start + 6] for start in range(0, len(pictures), 6)]
    return GalleryRecord(kind="worst", recipe=recipe, caption=caption, rows=rows), arrays
