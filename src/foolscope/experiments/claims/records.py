"""What became of the claims of a study, as stored and reported."""

from typing import Literal

from pydantic import Field

from foolscope.core.settings import Settings

__all__ = ["ClaimRecord", "FigureRecord", "NoiseRecord"]


class FigureRecord(Settings):
    """One number that a claim is about: a cell's mean, or how far a curve has come."""

    label: str
    metric: str
    value: float | None
    low: float | None = Field(description="lower end of the 95 % interval over seeds")
    high: float | None
    published: float | None = None
    is_change: bool = Field(False, description="whether it is the change of a curve, not a level")


class NoiseRecord(Settings):
    """What one run per setting, as was published, could have shown of a claim."""

    rests_on_noise: bool | None = Field(
        description="whether single runs could not have shown it; null for a claim about one value"
    )
    published_difference: float | None = Field(
        None, description="the published difference or trend on which the conclusion rests"
    )
    chance: float | None = Field(
        None, description="largest value that single runs show by chance in 95 % of cases"
    )
    low: float | None = Field(None, description="lower end of the 95 % prediction interval of one more run")
    high: float | None = None
    sentence: str


class ClaimRecord(Settings):
    """One claim and what became of it."""

    sentence: str
    outcome: Literal["upheld", "smaller than matters", "contradicted", "undecided"]
    reason: str
    p_upheld: float
    p_contradicted: float
    seeds_needed: int | None
    doubts: list[str]
    published: float | str | None = None
    source: str | None = None
    figures: list[FigureRecord] = Field(default_factory=list, description="ours, with the published ones")
    noise: NoiseRecord | None = None
