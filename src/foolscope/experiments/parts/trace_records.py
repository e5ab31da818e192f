"""Stored traces of attacks; see :mod:`foolscope.experiments.parts.traces`."""

from typing import Any

from pydantic import Field

from foolscope.core.settings import Settings

__all__ = ["TraceBudgetRecord", "TraceRecord"]


class TraceBudgetRecord(Settings):
    """The outcome of a traced attack at one budget; at ε = 0, without an attack."""

    epsilon: float
    robust_accuracies: list[float] = Field(description="of all images attacked, one per seed")
    success_rates: list[float | None] = Field(description="of the images counted, one per seed; null if none")
    label_probabilities: list[float | None] = Field(
        description="mean probability of the label, of the images counted, one per seed; null if none"
    )
    losses: list[list[float | None]] = Field(
        description="mean cross-entropy of the label in nats over all images attacked: per seed, before each "
        "step and after the last; empty for ε = 0"
    )
    means: dict[str, tuple[float | None, float | None, float | None]] = Field(
        description="robust_accuracy, success_rate, label_probability: mean over seeds and 95 % interval"
    )
    mean_losses: list[tuple[float | None, float | None, float | None]] = Field(
        description="by step: mean over seeds and 95 % interval"
    )


class TraceRecord(Settings):
    """One attack on the models of every seed, traced step by step."""

    attack: str
    recipe: str
    norm: str
    settings: dict[str, Any] = Field(description="of the attack, with its name")
    source: str | None
    target: str
    confidence: float
    images: int = Field(description="attacked, for each seed")
    counted: list[int] = Field(
        description="images that the model classifies correctly with the confidence required, one per seed"
    )
    seeds: list[int]
    budgets: list[TraceBudgetRecord] = Field(description="ascending; the first is ε = 0")
    doubts: list[str]
    forward_count: int
    backward_count: int
