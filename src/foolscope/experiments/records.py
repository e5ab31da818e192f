"""What a study leaves behind for reports: plain records that turn into JSON and back."""

from typing import Any, Literal

from pydantic import Field

from foolscope.core.settings import Settings
from foolscope.experiments.parts.attacks.records import AttackDetailsRecord, AttackedRecord, MaskingRecord

__all__ = [
    "CheckRecord",
    "CurveRecord",
    "GalleryRecord",
    "PictureRecord",
    "RangeTestRecord",
    "TensorErrorRecord",
]


class TensorErrorRecord(Settings):
    """How far two gradients by one tensor are apart; see :mod:`foolscope.inspection.gradient_check`."""

    tensor: str
    error: float = Field(description="relative")
    coordinates: int = Field(description="numbers compared")
    kinks: int = Field(0, description="numbers left out, for a kink is within the step")


class CheckRecord(Settings):
    """One sanity check of one recipe."""

    recipe: str
    check: str
    passed: bool
    sentence: str
    numbers: dict[str, float]
    left_out: bool = Field(False, description="whether it could not be made; the sentence says why")
    weights: Literal["initial", "trained"] = Field("initial", description="those that a gradient check had")
    tensors: list[TensorErrorRecord] = Field(default_factory=list, description="of a gradient check")


class RangeTestRecord(Settings):
    """The learning-rate range test of one recipe; see :mod:`foolscope.inspection.learning_rate_range`."""

    recipe: str
    rates: list[float] = Field(description="ascending; the recipe's own is one of them")
    losses: list[float | None] = Field(description="at the end of the run at each rate; null if it diverged")
    accuracies: list[float | None] = Field(description="on the training images, likewise")
    sweep: list[float | None] = Field(description="loss of one run whose rate grows, as it passed each rate")
    initial_loss: float
    steps: int
    own_rate: float
    best_rate: float | None = Field(description="of the lowest loss; null if no rate lowers it")
    largest_stable_rate: float | None
    suggestion: tuple[float, float] | None = Field(description="ends of a cyclical schedule")
    standing: Literal["too small", "in the range", "above the range", "unstable", "nothing learns"]
    passed: bool
    sentence: str


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
