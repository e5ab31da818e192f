"""What a followed attack leaves behind for reports; see :mod:`foolscope.experiments.records`."""

from typing import Any

from pydantic import Field

from foolscope.core.settings import Settings

__all__ = ["TraceBudgetRecord", "TraceRecord"]


class TraceBudgetRecord(Settings):
    """What an attack that is followed did with one budget; with ε = 0, what was before it."""

    epsilon: float
    robust_accuracies: list[float] = Field(description="of all images attacked, one per seed")
    success_rates: list[float | None] = Field(
        description="of the images counted, one per seed; null if there were none"
    )
    label_probabilities: list[float | None] = Field(
        description="mean probability of the label, of the images counted, likewise"
    )
    losses: list[list[float | None]] = Field(
        description="mean cross-entropy of the label in nats over all images attacked: per seed, before each "
        "step and after the last; none for ε = 0"
    )
    means: dict[str, tuple[float | None, float | None, float | None]] = Field(
        description="robust_accuracy, success_rate, label_probability: mean over seeds and 95 % interval"
    )
    mean_losses: list[tuple[float | None, float | None, float | None]] = Field(
        description="by step: mean over seeds and 95 % interval"
    )


class TraceRecord(Settings):
    """One attack on the models of every seed, followed step by step."""

    attack: str
    recipe: str
    norm: str
    settings: dict[str, Any] = Field(description="of the attack, with its name")
    source: str | None
    target: str
    confidence: float
    images: int = Field(description="attacked, for each seed")
    counted: list[int] = Field(
        description="images that the model gets right with the confidence asked for, one number per seed"
    )
    seeds: list[int]
    budgets: list[TraceBudgetRecord] = Field(description="ascending; the first is ε = 0")
    doubts: list[str]
    forward_count: int
    backward_count: int
