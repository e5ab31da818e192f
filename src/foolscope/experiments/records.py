"""What a study leaves behind for reports: plain records that turn into JSON and back."""

from typing import Any, Literal

from pydantic import Field

from foolscope.core.settings import Settings
from foolscope.experiments.parts.attacks.records import AttackDetailsRecord, AttackedRecord, MaskingRecord
from foolscope.experiments.parts.demonstrations.records import DemonstrationRecord
from foolscope.experiments.parts.graph_records import GraphRecord
from foolscope.experiments.parts.inspections.records import InspectedRecord
from foolscope.experiments.parts.trace_records import TraceRecord

__all__ = [
    "AblationRecord",
    "CheckRecord",
    "ClaimRecord",
    "ContenderRecord",
    "CurveRecord",
    "DimensionRecord",
    "FactorRecord",
    "FigureRecord",
    "GalleryRecord",
    "LevelRecord",
    "NoiseRecord",
    "PictureRecord",
    "RangeTestRecord",
    "RoundRecord",
    "SearchRecord",
    "StudyRecord",
    "TensorErrorRecord",
    "TrainingRecord",
    "TriedRecord",
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
    published_difference: float | None = Field(None, description="published figure minus the baseline's")
    rests_on_noise: bool | None = Field(
        None, description="whether two single runs differ by as much as the published figures by chance"
    )


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
    single_run_difference: float | None = Field(
        None, description="how far two single runs of one setting differ by chance, at most, 95 times in 100"
    )

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
    doubts: list[str] = Field(default_factory=list, description="reasons not to trust a defense, with seeds")


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


class FigureRecord(Settings):
    """One number that a claim is about: a cell's mean, or how far a curve has come."""

    label: str
    metric: str
    value: float | None
    low: float | None = Field(description="lower end of the 95 % interval over seeds")
    high: float | None
    published: float | None = None
    is_change: bool = Field(False, description="how far a curve has come, not where something stands")


class NoiseRecord(Settings):
    """What one run per setting, as was published, could have shown of a claim."""

    rests_on_noise: bool | None = Field(
        description="whether single runs could not have shown it; null for a claim about one value"
    )
    published_difference: float | None = Field(
        None, description="the published difference or trend on which the conclusion rests"
    )
    chance: float | None = Field(
        None, description="up to how much single runs make of it by chance, 95 times in 100"
    )
    low: float | None = Field(None, description="where one more run would land, 95 times in 100")
    high: float | None = None
    sentence: str


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
    figures: list[FigureRecord] = Field(default_factory=list, description="ours, beside the published ones")
    noise: NoiseRecord | None = None


class DimensionRecord(Settings):
    """One field that was searched over: a range, or choices."""

    field: str
    words: str
    scale: Literal["log", "linear", "choices"]
    low: float | None = None
    high: float | None = None
    labels: list[str] = Field(default_factory=list, description="of the choices, in order")


class TriedRecord(Settings):
    """One setting that a search tried."""

    values: dict[str, Any] = Field(description="field to value")
    accuracies: list[float | None] = Field(description="on the validation set, one per seed of the search")
    accuracy: float | None = Field(description="their mean; null if a trial diverged")
    loss: float | None = Field(description="mean validation loss")
    identities: list[str]


class RoundRecord(Settings):
    """One round of a search."""

    ranges: list[tuple[float, float] | None] = Field(description="one per dimension; null for choices")
    trials: list[TriedRecord]


class ContenderRecord(Settings):
    """The winner or the baseline on fresh seeds."""

    words: str
    values: dict[str, Any] = Field(description="field to value")
    identities: list[str]
    diverged: int
    metrics: dict[str, list[float | None]] = Field(description="metric to one value per fresh seed")
    means: dict[str, tuple[float | None, float | None, float | None]] = Field(
        description="metric to mean and 95 % interval"
    )


class SearchRecord(Settings):
    """One search: every setting tried, and the winner beside the baseline on fresh seeds."""

    recipe: str
    sampler: str
    narrowing: float | None = Field(description="of coarse-to-fine: next range as a fraction of the last")
    dimensions: list[DimensionRecord]
    seeds: list[int] = Field(description="of the search")
    fresh_seeds: list[int] = Field(description="of the comparison; the search has not seen them")
    practical_difference: float
    rounds: list[RoundRecord]
    best: TriedRecord | None = Field(description="as the search saw it; null if every trial diverged")
    baseline: ContenderRecord
    winner: ContenderRecord | None
    outcome: Literal["baseline", "helps", "hurts", "no effect", "undecided", "diverged"] = Field(
        description="of the winner against the baseline; baseline if it is that"
    )
    difference: float | None = Field(None, description="of test accuracy, winner minus baseline")
    difference_low: float | None = None
    difference_high: float | None = None
    p_different: float | None = None
    p_equivalent: float | None = None
    seeds_needed: int | None = None
    summary: str
    doubts: list[str]


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
    searches: list[SearchRecord] = Field(default_factory=list)
    range_tests: list[RangeTestRecord] = Field(default_factory=list)
    traces: list[TraceRecord] = Field(default_factory=list)
    demonstrations: list[DemonstrationRecord] = Field(default_factory=list)
    graphs: list[GraphRecord] = Field(default_factory=list, description="one for each shape of model")
    inspections: list[InspectedRecord] = Field(default_factory=list)
