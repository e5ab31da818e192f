"""What a study leaves behind for reports: plain records that turn into JSON and back."""

from typing import Any, Literal

from pydantic import Field

from foolscope.core.settings import Settings
from foolscope.experiments.parts.attacks.records import AttackDetailsRecord, AttackedRecord, MaskingRecord

__all__ = [
    "CurveRecord",
    "GalleryRecord",
    "PictureRecord",
]


class CurveRecord(Settings):
    """Robust accuracy of one recipe against ε, one curve per seed."""

    attack: str
    recipe: str
    norm: str
    attacks: list[str]
    images: int
    epsilons: list[float]
    accuracies: list[list[float]] = Field(description="per seed, one value per ε")
    mean: list[float]
    low: list[float | None]
    high: list[float | None]
    doubts: list[str]
    forward_count: int
    backward_count: int
    settings: list[dict[str, Any]] = Field(default_factory=list, description="of each attack, with its name")
    attacked: AttackedRecord | None = Field(None, description="null for the models of a study")
    details: AttackDetailsRecord | None = None
    checks: list[MaskingRecord] = Field(default_factory=list)


class PictureRecord(Settings):
    """One picture of a gallery; its pixels are in the study's arrays under ``key``."""

    key: str
    title: str
    lines: list[str]
    probabilities: list[float] = Field(
        default_factory=list, description="what the model makes of it, class by class; none if not asked"
    )


class GalleryRecord(Settings):
    """Rows of pictures: fooling images, or the worst-classified ones."""

    kind: Literal["fooling", "worst"]
    recipe: str
    caption: str
    rows: list[list[PictureRecord]]
