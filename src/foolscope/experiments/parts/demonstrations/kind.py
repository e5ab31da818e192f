"""The definition of a demonstration: settings, names of its measures, a run for one seed, and its record."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from foolscope.core.settings import Settings
from foolscope.experiments.parts.measures import MeasureRecord

__all__ = ["Demonstration", "DemonstrationRecord", "DemonstrationSettings", "Outcome"]


class DemonstrationSettings(Settings):
    """A demonstration of a study; each kind adds settings of its own."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]*$",
        description='name in claims, as in metric = "measure:NAME.MEASURE"',
    )
    kind: str


@dataclass(frozen=True)
class Outcome:
    """The result of a demonstration with one seed.

    Args:
        measures: the declared measures, name to number.
        data: JSON-able data for its figures.
    """

    measures: Mapping[str, float]
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Demonstration:
    """A kind of numerical experiment that trains no image classifier.

    Args:
        settings: its settings, derived from :class:`DemonstrationSettings`.
        measures: from the settings to the measures, name to description.
        run: from settings and seed to the outcome; it neither reads nor changes any global random state.
        version: raised when a change makes old outcomes incomparable.
    """

    settings: type[DemonstrationSettings]
    measures: Callable[[Any], Mapping[str, str]]
    run: Callable[[Any, int], Outcome]
    version: int = 1


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
