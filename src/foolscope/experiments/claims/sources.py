"""What claims are tested on: numbers and curves of every seed, and the block designs of a study."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from foolscope.experiments.claims.metric import Metric
from foolscope.experiments.recipe import Recipe

__all__ = ["Cell", "Design", "Measured", "Sources"]


@dataclass(frozen=True)
class Cell:
    """One setting that a claim is about.

    Args:
        name: of the recipe in the study.
        settings: short name of a field to its value, where it differs from the recipe of that name.
        recipe: with these settings.
    """

    name: str
    settings: Mapping[str, Any]
    recipe: Recipe


@dataclass(frozen=True, eq=False)
class Measured:
    """A metric, measured with every seed.

    Args:
        values: one number per seed, or one curve; NaN where the trial diverged or nothing could be measured.
        lack: why it cannot be tested, to be put behind the name of the cell; empty where it can.
        words: what was measured, where the metric stands alone.
        is_exact: whether every seed gives the very same number by its nature, so that it has no spread.
        step: by how much it changes with one image; 0 where it does not count images.
    """

    values: Float[np.ndarray, " seed"] | Float[np.ndarray, "seed point"]
    lack: str = ""
    words: str = ""
    is_exact: bool = False
    step: float = 0.0


@dataclass(frozen=True)
class Design:
    """Cells that were planned together, whose spread is pooled.

    Args:
        recipe: name of the baseline.
        metric: that was published of its cells.
        cells: label to recipe, the baseline first.
        vary: field to values, as the study file has them.
        published: field to figures, one per value, or None where there is none.
    """

    recipe: str
    metric: str
    cells: Mapping[str, Recipe]
    vary: Mapping[str, Sequence[Any]]
    published: Mapping[str, Sequence[float | None]]


@runtime_checkable
class Sources(Protocol):
    """Where the claims of a study find their numbers."""

    def find(self, metric: str, *, of_curve: bool) -> Metric:
        """Return the metric of the study that a text names."""
        ...

    def designs(self) -> Sequence[Design]:
        """List the block designs of the study."""
        ...

    def check(self, metric: Metric, cell: Cell | None) -> None:
        """Refuse a claim about a metric of a cell that the model or the data rule out, before training."""
        ...

    def measured(self, metric: Metric, cell: Cell | None) -> Measured:
        """Return a metric of a cell; of none where the metric stands alone."""
        ...
