"""Stored accuracies on corrupted images, and what follows from them."""

from pydantic import Field

from foolscope.core.settings import Settings
from foolscope.corruptions import Kind, Size
from foolscope.experiments.parts.measures import MeasureRecord
from foolscope.experiments.parts.pictures import PictureRecord

__all__ = ["CorruptedRecord", "OneCorruption"]


class OneCorruption(Settings):
    """Accuracies of a recipe's models under one corruption."""

    name: str
    kind: Kind
    accuracies: list[list[float]] = Field(description="per severity, one per seed")
    errors: list[MeasureRecord] = Field(description="per severity")


class CorruptedRecord(Settings):
    """What the models of a recipe get right of corrupted images, which are the same for every model."""

    name: str
    recipe: str
    baseline: str | None = Field(None, description="recipe by whose errors mce and relative_mce divide")
    seeds: list[int] = Field(description="of the models, without those that diverged")
    images: int = Field(description="number of test images, drawn by class")
    shape: tuple[int, int, int] = Field(description="of an image: channel, height, width")
    size: Size = Field(description="small: parameters of CIFAR-10-C; large: of ImageNet-C")
    severities: list[int]
    clean: list[float] = Field(description="accuracy without corruption, one per seed")
    corruptions: list[OneCorruption]
    measures: list[MeasureRecord] = Field(description="what claims can be about")
    skipped: list[str] = Field(description="corruptions that cannot change such images, with the reason")
    doubts: list[str]
    pictures: list[PictureRecord] = Field(
        default_factory=list, description="one image under every corruption; its pixels are in the arrays"
    )
    pictured: int | None = Field(None, description="severity of the pictures")

    def measure(self, name: str) -> MeasureRecord | None:
        """Return a measure by its name in claims; None if there is none."""
        return next((each for each in self.measures if each.name == name), None)
