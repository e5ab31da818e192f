"""Galleries of images that fool a model, each beside the original and the perturbation."""

import pydantic
from pydantic import Field
from torch import Tensor

from foolscope.attacks import run
from foolscope.experiments.parts.attacks.part import attack_fields
from foolscope.experiments.parts.attacks.plans import TargetedPlan, as_attack
from foolscope.experiments.parts.attacks.stored import StoredAttack
from foolscope.experiments.parts.attacks.targets import check_classes, target_words, targeted_images
from foolscope.experiments.parts.part import Context, Entry, Part, finished
from foolscope.experiments.parts.pictures import GalleryRecord, alternate_classes, perturbation_rows
from foolscope.experiments.running.run import Session
from foolscope.experiments.running.store import StoredTrial
from foolscope.experiments.wording.fields import norm_words
from foolscope.threats.threat import Threat

__all__ = ["PART", "FoolingPlan", "attack_gallery", "fooling_gallery"]

_CANDIDATES = 256
_SHOWN = 6
_LINES = "The norms below a perturbation are for pixels from 0 to 255."


class FoolingPlan(TargetedPlan):
    """A gallery of fooling images of one recipe's first model."""

    epsilon: str | float
    images: int = Field(6, ge=1, le=24)

    @pydantic.model_validator(mode="after")
    def _budget_makes_sense(self) -> "FoolingPlan":
        self.threat()
        return self

    def threat(self) -> Threat:
        """Return what the attacker may do."""
        return Threat(self.norm, self.epsilon)


def fooling_gallery(
    plan: FoolingPlan, trial: StoredTrial, session: Session, prefix: str
) -> tuple[GalleryRecord, dict[str, Tensor]]:
    """Fool a trained model on test images that it classifies correctly, of as many classes as possible.

    Returns:
        The gallery, and its pictures: originals and fooling images, (channel, height, width) in [0, 1].
    """
    dataset = session.dataset(trial.recipe.dataset)
    targeted = targeted_images(plan, dataset, _CANDIDATES)
    result = run(
        trial.model(session.device),
        targeted.images,
        targeted.labels,
        plan.threat(),
        as_attack(plan.attack),
        seed=trial.recipe.seed,
        targets=targeted.targets,
    )
    clean = result.clean_logits.softmax(dim=1)
    right = result.clean_correct & (clean.gather(1, targeted.labels[:, None])[:, 0] >= plan.confidence)
    fooled = (result.success & right).nonzero().flatten()
    rows, arrays = perturbation_rows(
        prefix,
        alternate_classes(fooled.tolist(), targeted.labels.tolist(), plan.images),
        (targeted.images, result.adversarial_inputs),
        (clean, result.adversarial_probabilities),
        result.perturbation_sizes,
        dataset.classes,
    )
    confidence = f" with a probability of {plan.confidence:g} or more" if plan.confidence else ""
    caption = (
        f"{as_attack(plan.attack).name.upper()} on {plan.recipe}{target_words(plan.target)}: norm "
        f"{norm_words(plan.norm)}, ε = {plan.threat().epsilon:.3g} (pixels in [0, 1]). It succeeded on "
        f"{len(fooled)} of the {int(right.sum())} images classified correctly{confidence}, among the first "
        f"{len(targeted.labels)} test images{f' of {plan.source}' if plan.source else ''}. {_LINES}"
    )
    return GalleryRecord(kind="fooling", recipe=plan.recipe, caption=caption, rows=rows), arrays


def attack_gallery(attack: StoredAttack) -> tuple[GalleryRecord, dict[str, Tensor]]:
    """Show the smallest perturbations that an attack found, as :func:`fooling_gallery` shows them."""
    curve, subject = attack.curve, attack.subject
    fooled = ((curve.smallest_found > 0) & curve.smallest_found.isfinite()).nonzero().flatten()
    rows, arrays = perturbation_rows(
        "fooling",
        alternate_classes(fooled.tolist(), curve.labels.tolist(), _SHOWN),
        (subject.images, curve.adversarial_inputs),
        (curve.clean_logits.softmax(dim=1), curve.adversarial_logits.softmax(dim=1)),
        curve.smallest_found,
        subject.classes or [str(index) for index in range(curve.clean_logits.shape[1])],
    )
    caption = (
        f"Images that fool {subject.name}, in the norm {norm_words(curve.norm)}: for each image, the "
        f"smallest perturbation found within these budgets. {_LINES}"
    )
    return GalleryRecord(kind="fooling", recipe=subject.name, caption=caption, rows=rows), arrays


def _run(plan: FoolingPlan, context: Context, entry: Entry) -> list[GalleryRecord]:
    trials = finished(context.trials_of(plan.recipe))
    if not trials:
        return []
    record, arrays = fooling_gallery(plan, trials[0], context.session, f"fooling-{entry.place}")
    context.arrays.update(arrays)
    return [record]


PART = Part(
    plan=FoolingPlan,
    record=GalleryRecord,
    run=_run,
    activity="looking for fooling images",
    recipes=lambda plan: [plan.recipe],
    check=check_classes,
    fields=attack_fields,
)
