"""What a search found, as stored and reported."""

from typing import Any, Literal

from pydantic import Field

from foolscope.core.settings import Settings

__all__ = ["ContenderRecord", "DimensionRecord", "RoundRecord", "SearchRecord", "TriedRecord"]


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
