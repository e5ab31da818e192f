"""Where the claims of a study find their numbers: every part is asked for what it measures."""

from collections.abc import Sequence
from functools import cached_property

from foolscope.experiments.claims.metric import Metric, find_metric
from foolscope.experiments.claims.sources import Cell, Design, Measured
from foolscope.experiments.parts.part import Context
from foolscope.experiments.parts.table import PARTS

__all__ = ["PartSources"]


class PartSources:
    """The metrics and block designs of all parts of a study."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @cached_property
    def _by_part(self) -> dict[str, list[Metric]]:
        return {name: list(part.metrics(self._context.study)) for name, part in PARTS.items()}

    @cached_property
    def _designs(self) -> list[Design]:
        return [design for part in PARTS.values() for design in part.designs(self._context.study)]

    def find(self, metric: str, *, of_curve: bool) -> Metric:
        """Return the metric of the study that a text names.

        Raises:
            RecipeError: the study has no such metric.
        """
        known = [each for own in self._by_part.values() for each in own]
        heads = dict.fromkeys(head for part in PARTS.values() for head in part.measures)
        tables = {
            head: [f"[[{name}]]" for name, part in PARTS.items() if head in part.measures] for head in heads
        }
        return find_metric(metric, known, tables, of_curve=of_curve)

    def designs(self) -> Sequence[Design]:
        """List the block designs of the study."""
        return self._designs

    def check(self, metric: Metric, cell: Cell | None) -> None:
        """Let the part that owns a metric refuse a claim about it, by the model or the data."""
        PARTS[self._owner(metric)].check_metric(metric, cell, self._context)

    def measured(self, metric: Metric, cell: Cell | None) -> Measured:
        """Return a metric of a cell, from the part that owns it; of no cell where it stands alone."""
        return PARTS[self._owner(metric)].measured(metric, cell, self._context)

    def _owner(self, metric: Metric) -> str:
        return next(
            name
            for name, own in self._by_part.items()
            if any(each.axis == metric.axis and each.is_named(metric) for each in own)
        )
