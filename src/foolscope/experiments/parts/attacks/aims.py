"""Which images an attack of a study is about, and at which class it aims, by the names of the classes."""

from dataclasses import dataclass

import torch
from torch import Tensor

from foolscope.attacks import TARGETS
from foolscope.core.errors import RecipeError, did_you_mean
from foolscope.data import Dataset
from foolscope.experiments.parts.attacks.plans import AimedPlan
from foolscope.learning.evaluation import to_pixels

__all__ = ["Aimed", "aim_words", "aimed_images", "check_classes"]


@dataclass(frozen=True)
class Aimed:
    """The images that an attack is about, in the data set's order.

    Args:
        images: pixels in [0, 1].
        labels: their classes.
        targets: what the runner aims at: a class for each image, the name of a way to choose one, or None.
    """

    images: Tensor
    labels: Tensor
    targets: Tensor | str | None


def aimed_images(plan: AimedPlan, dataset: Dataset, count: int) -> Aimed:
    """Choose the first test images of the plan's source class that are not of its target class already.

    Args:
        plan: source and target.
        dataset: whose test images are attacked.
        count: so many of them, or all there are.

    Raises:
        RecipeError: no such class, or no test image of it.
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
    return Aimed(
        to_pixels(dataset.test.images[chosen], torch.float32),
        labels[chosen],
        None if plan.target == "none" else targets,
    )


def check_classes(plan: AimedPlan, dataset: Dataset) -> None:
    """Refuse classes that the data do not have, before anything is trained.

    Raises:
        RecipeError: there is no such class.
    """
    if plan.source is not None or plan.target not in ("none", *TARGETS):
        aimed_images(plan, dataset, 1)


def aim_words(target: str) -> str:
    """Say at what an attack aims, to be put behind its name.

    Example:
        >>> aim_words("none"), aim_words("second"), aim_words("truck")
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
