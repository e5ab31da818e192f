"""The result of a demonstration, as stored and reported."""

from typing import Any

from pydantic import Field

from foolscope.core.settings import Settings
from foolscope.experiments.parts.measures import MeasureRecord

__all__ = ["DemonstrationRecord"]


class DemonstrationRecord(Settings):
    """One demonstration of a study over its seeds."""

    name: str
    kind: str
    settings: dict[str, Any]
    seeds: list[int]
    measures: list[MeasureRecord]
    data: dict[str, Any] = Field(description="what the figures are drawn from, of the first seed")

    def measure(self, name: str) -> MeasureRecord:
        """Return a measure by name."""
        return next(measure for measure in self.measures if measure.name == name)
