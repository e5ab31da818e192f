"""Stored results of attacks over a range of budgets."""

from typing import Any

from pydantic import Field

from foolscope.core.settings import FiniteFloat, Settings

__all__ = ["AttackDetailsRecord", "CurveRecord", "MaskingRecord", "SubjectRecord"]


class SubjectRecord(Settings):
    """The model and the images that were attacked, where they are not those of a study."""

    run: str | None = Field(None, description="identity of a stored run")
    model: str | None = Field(None, description="path or name of any other model")
    dataset: str | None = Field(None, description="where the images are from; null for images in memory")
    split: str | None = None


class MaskingRecord(Settings):
    """One sign of masked gradients, over all the models attacked."""

    name: str
    seen: int = Field(description="number of models that show the sign")
    models: int = Field(description="number of models that were checked for it")
    sentence: str = Field(
        description="what was measured, in the first model that shows the sign, else in the first"
    )
    value: FiniteFloat = Field(description="the number that decided, in the same model; null if not finite")
    is_serious: bool = Field(description="whether the sign casts doubt on the accuracies of this evaluation")


class AttackDetailsRecord(Settings):
    """Counts of the attacked images by outcome; every count is a sum over the models of all seeds."""

    models: int
    classes: list[str] = Field(description="their names, by class index")
    misclassified: int = Field(description="images misclassified without an attack")
    taken: list[list[int]] = Field(description="per ε, images fooled by each attack, in the attacks' order")
    held: list[int] = Field(description="per ε, images that no attack fooled")
    class_images: list[int] = Field(description="per class, images attacked")
    class_clean: list[int] = Field(description="per class, images classified correctly without an attack")
    class_robust: list[int] = Field(description="per class, images that no attack fooled at the largest ε")
    becomes: list[list[int]] = Field(
        description="label by prediction under attack at the largest ε, of the images classified correctly "
        "without one"
    )
    sizes: list[float] = Field(
        description="of the smallest perturbations found, ascending from 0; six digits, at most 200 of them"
    )
    fallen: list[int] = Field(
        description="for each size, images misclassified after a perturbation of at most that size; the "
        "first number is without any"
    )


class CurveRecord(Settings):
    """Robust accuracy of one recipe by budget ε, one curve per seed."""

    attack: str
    recipe: str
    norm: str
    attacks: list[str]
    images: int
    epsilons: list[float]
    accuracies: list[list[float]] = Field(description="per seed, one value per ε")
    balanced_accuracies: list[list[FiniteFloat]] = Field(
        default_factory=list, description="means over the classes; per seed, one value per ε"
    )
    mean: list[float]
    low: list[float | None]
    high: list[float | None]
    doubts: list[str]
    forward_count: int
    backward_count: int
    settings: list[dict[str, Any]] = Field(default_factory=list, description="of each attack, with its name")
    attacked: SubjectRecord | None = Field(None, description="null for the models of a study")
    evaluations: list[str] = Field(
        default_factory=list,
        description="per seed, the folder in STORE/attacks that has the result for each image; empty in "
        "records written before it was kept",
    )
    details: AttackDetailsRecord | None = None
    checks: list[MaskingRecord] = Field(default_factory=list)
