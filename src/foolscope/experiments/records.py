"""What a study leaves behind for reports: plain records that turn into JSON and back."""

from typing import Any, Literal

from pydantic import Field

from foolscope.core.settings import Settings

__all__ = [
    "AblationRecord",
    "CheckRecord",
    "ClaimRecord",
    "CurveRecord",
    "FactorRecord",
    "GalleryRecord",
    "LevelRecord",
    "PictureRecord",
    "StudyRecord",
    "TrainingRecord",
]


class LevelRecord(Settings):
    """One value of a factor: its trials, and the verdict against the baseline."""

    label: str
    cell: str
    values: list[float | None] = Field(description="the metric, one per seed; null where the trial diverged")
    mean: float | None
    low: float | None = Field(description="lower end of the 95 % interval of the mean over seeds")
    high: float | None
    published: float | None = None
    outcome: Literal["baseline", "helps", "hurts", "no effect", "undecided", "diverged"]
    sentence: str
    difference: float | None = Field(None, description="from the baseline, in the metric's own unit")
    difference_low: float | None = None
    difference_high: float | None = None
    p_different: float | None = Field(None, description="adjusted by Holm over the ablation")
    p_equivalent: float | None = None
    seeds_needed: int | None = None


class FactorRecord(Settings):
    """One factor of an ablation."""

    field: str
    words: str
    baseline: str
    levels: list[LevelRecord]
    summary: str


class AblationRecord(Settings):
    """One ablation: its factors, and the statistics they share."""

    recipe: str
    metric: str
    seeds: list[int]
    practical_difference: float
    factors: list[FactorRecord]
    residual_deviation: float | None
    degrees_of_freedom: int
    minimum_detectable_effect: float | None
    doubts: list[str]

    @property
    def sentences(self) -> list[str]:
        """The verdicts in words, factor by factor."""
        return [level.sentence for factor in self.factors for level in factor.levels if level.sentence]


class TrainingRecord(Settings):
    """The trials of one recipe over the seeds."""

    recipe: str
    model: str
    identities: list[str]
    seeds: list[int]
    parameter_count: int
    metrics: dict[str, list[float | None]] = Field(description="metric to one value per seed")
    means: dict[str, tuple[float | None, float | None, float | None]] = Field(
        description="metric to mean and 95 % interval"
    )
    epochs: list[int]
    curves: dict[str, list[list[float | None]]] = Field(description="quantity to one curve per seed")
    classes: list[str] = Field(description="their names, by class index")
    confusion: list[list[int]] = Field(description="true class by predicted class, summed over seeds")
    diverged: int
    duration_seconds: float


class CheckRecord(Settings):
    """One sanity check of one recipe."""

    recipe: str
    check: str
    passed: bool
    sentence: str
    numbers: dict[str, float]


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


class PictureRecord(Settings):
    """One picture of a gallery; its pixels are in the study's arrays under ``key``."""

    key: str
    title: str
    lines: list[str]


class GalleryRecord(Settings):
    """Rows of pictures: fooling images, or the worst-classified ones."""

    kind: Literal["fooling", "worst"]
    recipe: str
    caption: str
    rows: list[list[PictureRecord]]


class ClaimRecord(Settings):
    """One claim and what became of it."""

    sentence: str
    outcome: Literal["upheld", "contradicted", "undecided"]
    reason: str
    p_upheld: float
    p_contradicted: float
    seeds_needed: int | None
    doubts: list[str]
    published: float | str | None = None
    source: str | None = None


class StudyRecord(Settings):
    """Everything that the report of a study is made from, beside the pixels."""

    name: str
    title: str
    question: str
    seeds: list[int]
    practical_difference: float
    classes: list[str]
    trainings: list[TrainingRecord]
    ablations: list[AblationRecord]
    checks: list[CheckRecord]
    curves: list[CurveRecord]
    galleries: list[GalleryRecord]
    claims: list[ClaimRecord]
    recipes: dict[str, Any]
    trial_count: int
    provenance: dict[str, Any]
    command: str
    duration_seconds: float
    finished: str = Field(description="date and time, ISO 8601, UTC")
    study_file: str = Field(description="the study as TOML")
    confusion: list[str] | None = Field(
        None, description="recipes whose confusion matrix is drawn; null for all"
    )
