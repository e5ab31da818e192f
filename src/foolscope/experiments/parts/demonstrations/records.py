"""What a demonstration leaves behind for reports; see :mod:`foolscope.experiments.records`."""

from typing import Any

from pydantic import Field

from foolscope.core.settings import Settings

__all__ = ["DemonstrationRecord", "MeasureRecord"]


class MeasureRecord(Settings):
    """One number that a demonstration measures."""

    name: str
    words: str
    values: list[float | None] = Field(description="one per seed; null where it is no finite number")
    mean: float | None
    low: float | None = Field(description="lower end of the 95 % interval of the mean over seeds")
    high: float | None
    same: bool = Field(False, description="whether it is the same with every seed, so that it has no spread")


class DemonstrationRecord(Settings):
    """One demonstration of a study over its seeds."""

    name: str
    kind: str
    settings: dict[str, Any]
    seeds: list[int]
    measures: list[MeasureRecord]
    data: dict[str, Any] = Field(description="what the figures are drawn from, of the first seed")

    def measure(self, name: str) -> MeasureRecord:
        """Return one of its measures by name."""
        return next(measure for measure in self.measures if measure.name == name)
