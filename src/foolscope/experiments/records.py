"""What a study leaves behind for reports: plain records that turn into JSON and back."""

from typing import Literal

from pydantic import Field

from foolscope.core.settings import Settings

__all__ = [
    "CheckRecord",
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
