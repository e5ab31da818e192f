"""What became of the images under attack, for reports; see :mod:`foolscope.experiments.records`."""

from pydantic import Field

from foolscope.core.settings import Settings

__all__ = ["AttackDetailsRecord", "AttackedRecord", "MaskingRecord"]


class AttackedRecord(Settings):
    """What was attacked, where it is not the test images of a study's own models."""

    run: str | None = Field(None, description="identity of a stored run")
    model: str | None = Field(None, description="place or name of anyone's model")
    dataset: str | None = Field(None, description="where the images are from; null if they were handed over")
    split: str | None = None


class MaskingRecord(Settings):
    """One sign that robustness may be a mirage, over all the models attacked."""

    name: str
    seen: int = Field(description="in so many models")
    models: int = Field(description="that were asked")
    sentence: str = Field(description="what was measured in the first model with the sign, else in the first")
    value: float | None = Field(description="the figure that decided, there; null if it is not finite")
    is_serious: bool = Field(description="whether it speaks against the figures of this evaluation")


class AttackDetailsRecord(Settings):
    """What became of which images; every count is a sum over the models of all seeds."""

    models: int
    classes: list[str] = Field(description="their names, by class index")
    misclassified: int = Field(description="images that are wrong without any attack")
    taken: list[list[int]] = Field(description="per ε, how many images fell to each attack, in their order")
    held: list[int] = Field(description="per ε, how many images nothing fooled")
    class_images: list[int] = Field(description="per class")
    class_clean: list[int] = Field(description="per class, images that are right without an attack")
    class_robust: list[int] = Field(description="per class, images that nothing within the largest ε fooled")
    becomes: list[list[int]] = Field(
        description="label by prediction under attack at the largest ε, of the images right without one"
    )
    sizes: list[float] = Field(
        description="of the smallest perturbations found, ascending from 0; six digits, at most 200 of them"
    )
    fallen: list[int] = Field(
        description="for each size how many images are wrong after a change of at most that; the first are "
        "wrong without any"
    )
