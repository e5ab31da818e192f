"""The stored comparison of a recipe trained both in NumPy and by PyTorch."""

import math
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from foolscope.core.settings import FiniteFloat, Settings
from foolscope.experiments.parts.training import TrainingRecord
from foolscope.experiments.running.store import StoredTrial

__all__ = ["DifferenceRecord", "EnginesRecord", "ReferenceRun"]

_ROUNDINGS = 10
"""Allowed difference in units of that of one changed last digit: a run rounds at every step, not once."""


class DifferenceRecord(Settings):
    """The difference of one quantity between two runs, in units of its largest value."""

    quantity: str
    largest: FiniteFloat = Field(description="null where only one of the runs is finite")
    where: str = Field(description="the epoch, or the tensor")
    goal: float = Field(description="what rounding explains, unless the training amplifies it")
    by_epoch: list[FiniteFloat] = Field(description="empty for weights")
    last_digit: list[FiniteFloat] = Field(
        default_factory=list,
        description="difference between two NumPy runs, one from weights with the last digit changed, by "
        "epoch, or once for weights; empty where not tried",
    )

    @property
    def agrees(self) -> bool:
        """Whether rounding explains the difference."""
        return self.first_epoch is None and self._is_rounding(self.largest, len(self.last_digit))

    @property
    def first_epoch(self) -> int | None:
        """The first epoch whose difference is more than rounding; ``None`` if there is none."""
        epochs = enumerate(self.by_epoch, 1)
        return next((epoch for epoch, value in epochs if not self._is_rounding(value, epoch)), None)

    @property
    def largest_of_last_digit(self) -> float | None:
        """The largest difference that a changed last digit makes; ``None`` if it is not finite."""
        seen = [value for value in self.last_digit if value is not None]
        return max(seen, default=0.0) if len(seen) == len(self.last_digit) else None

    @property
    def magnified(self) -> bool:
        """Whether the training magnifies rounding beyond the goal."""
        return self._bound(len(self.last_digit)) > self.goal

    def _bound(self, epochs: int) -> float:
        """Return the largest difference that rounding explains after some epochs."""
        seen = [math.inf if value is None else value for value in self.last_digit[:epochs]]
        return max(self.goal, _ROUNDINGS * max(seen, default=0.0))

    def _is_rounding(self, value: float | None, epochs: int) -> bool:
        return (math.inf if value is None else value) <= self._bound(epochs)


class EnginesRecord(Settings):
    """One recipe trained by both engines."""

    in_numpy: TrainingRecord
    in_torch: TrainingRecord
    precision: Literal["float32", "float64"] = Field(description="the data type of both runs")
    differences: list[DifferenceRecord] = Field(description="of losses and weights")
    agrees: bool = Field(description="whether rounding explains every difference, and how the runs ended")
    magnified: bool = Field(
        description="whether the training amplifies rounding, so the comparison decides little"
    )
    sentence: str = Field(description="what the differences show")


@dataclass(frozen=True)
class ReferenceRun:
    """One recipe trained by both engines.

    Args:
        reference: the run in NumPy; its weights are not kept.
        torch: the run of the same recipe, in the same data type.
        record: how far they are apart.
        known: whether the run in NumPy was read from the store.
    """

    reference: StoredTrial
    torch: StoredTrial
    record: EnginesRecord
    known: bool
