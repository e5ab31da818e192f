"""A number measured with every seed: its values, and their mean with its 95 % interval."""

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from foolscope.core.settings import FiniteFloat, Settings
from foolscope.experiments.claims.sources import Measured
from foolscope.statistics.blocks import BlockDesign, mean_interval

__all__ = ["MeasureRecord", "measured_over_seeds"]


class MeasureRecord(Settings):
    """One number measured with every seed, as stored, reported and tested by claims."""

    name: str
    words: str
    values: list[FiniteFloat] = Field(description="one per seed; null where it is no finite number")
    mean: float | None
    low: float | None = Field(description="lower end of the 95 % interval of the mean over seeds")
    high: float | None
    same: bool = Field(False, description="whether it is the same with every seed, so that it has no spread")

    @classmethod
    def over_seeds(
        cls, name: str, words: str, values: Sequence[float | None], seeds: Sequence[int]
    ) -> "MeasureRecord":
        """Compute the mean over seeds and its interval.

        Args:
            name: how claims call the number.
            words: what the number is.
            values: one per seed; with one that is not finite there is no mean.
            seeds: in the order of the values.
        """
        design = BlockDesign((name,), tuple(seeds), np.array([values], dtype=float))
        mean, low, high = mean_interval(design, name)
        same = len(values) > 1 and mean is not None and low == high
        return cls(name=name, words=words, values=list(values), mean=mean, low=low, high=high, same=same)


def measured_over_seeds(record: MeasureRecord) -> Measured:
    """Return the values of a measure on which a claim about it is tested."""
    values = np.array(record.values, dtype=float)
    missing = record.values.count(None)
    lack = f"has no finite number in {missing} of {len(record.values)} seeds" if missing else ""
    return Measured(values, lack, record.words, record.same)
