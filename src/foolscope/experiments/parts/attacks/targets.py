"""Source and target classes of a study's attacks, by name."""

from dataclasses import dataclass

import torch
from torch import Tensor

from foolscope.attacks import TARGETS
from foolscope.core.errors import RecipeError, did_you_mean
from foolscope.data import Dataset
from foolscope.experiments.parts.attacks.plans import TargetedPlan
from foolscope.experiments.parts.part import Context
from foolscope.learning.measuring.evaluation import to_pixels

__all__ = ["TargetedImages", "check_classes", "target_words", "targeted_images"]


@dataclass(frozen=True)
class TargetedImages:
    """The images to attack, in the data set's order, with the classes to reach.

    Args:
        images: pixels in [0, 1].
        labels: their classes.
        targets: one class per image, a name from ``TARGETS``, or None for any misclassification.
    """

    images: Tensor
    labels: Tensor
    targets: Tensor | str | None


def targeted_images(plan: TargetedPlan, dataset: Dataset, count: int) -> TargetedImages:
    """Choose the first test images of the plan's source class that are not already of its target class.

    Args:
        plan: source and target.
        dataset: whose test images are attacked.
        count: the largest number of images.

    Raises:
        RecipeError: there is no such class, or no test image of it.
    """
    labels = dataset.test.labels
    wanted = torch.ones_like(labels, dtype=torch.bool)
    if plan.source is not None:
        wanted &= labels == _class_index(plan.source, dataset)
    named = plan.target not in ("none", *TARGETS)
    target = _class_index(plan.target, dataset) if named else -1
    chosen = (wanted & (labels != target)).nonzero()[:count, 0]
    if len(chosen) == 0:
        raise RecipeError(f"{dataset.name} has no test image of {plan.source or 'another class'}")
    targets = torch.full_like(labels[chosen], target) if named else plan.target
    return TargetedImages(
        to_pixels(dataset.test.images[chosen], torch.float32),
        labels[chosen],
        None if plan.target == "none" else targets,
    )


def check_classes(plan: TargetedPlan, context: Context) -> None:
    """Refuse source and target classes that the data set lacks, before anything is trained.

    Raises:
        RecipeError: there is no such class.
    """
    if plan.source is not None or plan.target not in ("none", *TARGETS):
        targeted_images(plan, context.session.dataset(context.study.recipes[plan.recipe].dataset), 1)


def target_words(target: str) -> str:
    """Describe the target of an attack, as a suffix to the attack's name.

    Example:
        >>> target_words("none"), target_words("second"), target_words("truck")
        ('', ' aimed at the second class', ' aimed at truck')
    """
    if target == "none":
        return ""
    if target == "every":
        return " aimed at every other class in turn"
    return f" aimed at the {target} class" if target in TARGETS else f" aimed at {target}"


def _class_index(name: str, dataset: Dataset) -> int:
    if name not in dataset.classes:
        raise RecipeError(f"{dataset.name} has no class {name!r}. {did_you_mean(name, dataset.classes)}")
    return dataset.classes.index(name)
