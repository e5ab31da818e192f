"""What a search found, as stored and reported."""

from collections.abc import Mapping
from typing import Any, Literal

import pydantic
from pydantic import Field

from foolscope.core.settings import Settings
from foolscope.experiments.parts.predictions import LargestClass

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
    scores: list[float | None] = Field(
        description="the metric of the search on the validation set, one per seed of the search"
    )
    score: float | None = Field(description="their mean; null if a trial diverged")
    loss: float | None = Field(description="mean validation loss")
    identities: list[str]

    @pydantic.model_validator(mode="before")
    @classmethod
    def _earlier_names(cls, values: Any) -> Any:
        """Read records of earlier versions, which searched by accuracy only and called the score so."""
        if not isinstance(values, Mapping):
            return values
        renamed = {"accuracies": "scores", "accuracy": "score"}
        return {renamed.get(name, name): value for name, value in values.items()}


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
    metric: str = Field("accuracy", description="by which settings were chosen and the winner judged")
    narrowing: float | None = Field(description="of coarse-to-fine: next range as a fraction of the last")
    dimensions: list[DimensionRecord]
    seeds: list[int] = Field(description="of the search")
    fresh_seeds: list[int] = Field(description="of the comparison; the search has not seen them")
    practical_difference: float
    rounds: list[RoundRecord]
    best: TriedRecord | None = Field(description="as the search saw it; null if every trial diverged")
    baseline: ContenderRecord
    winner: ContenderRecord | None
    outcome: Literal[
        "baseline", "helps", "hurts", "smaller than matters", "no effect", "undecided", "diverged"
    ] = Field(description="of the winner against the baseline; baseline if it is that")
    difference: float | None = Field(None, description="of the metric on the test set, winner minus baseline")
    difference_low: float | None = None
    difference_high: float | None = None
    p_different: float | None = None
    p_equivalent: float | None = None
    seeds_needed: int | None = None
    summary: str
    prediction_doubts: list[str] = Field(
        default_factory=list, description="runs on fresh seeds that predict one class only"
    )
    largest_class: LargestClass | None = Field(None, description="of the test images, where unequal")
    doubts: list[str]
