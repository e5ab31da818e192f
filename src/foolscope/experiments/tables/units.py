"""The unit of a table's metric, share, percent or neither, and the difference that matters."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from foolscope.core.errors import DataError, RecipeError
from foolscope.experiments.parts.ablation_record import ShownMetric
from foolscope.experiments.tables import columns as names
from foolscope.experiments.tables.runs import Run
from foolscope.experiments.wording.sentences import ScaleName

__all__ = ["Unit", "UnitName", "find_unit", "margin", "metric_step", "shown_metric"]

UnitName = Literal["share", "percent", "plain"]

_DEFAULT_POINTS = 0.5


@dataclass(frozen=True)
class Unit:
    """How a table writes its metric.

    Args:
        name: "share" (0.951), "percent" (95.1) or "plain" (anything else).
        factor: what a cell is multiplied with; percent become shares.
    """

    name: UnitName
    factor: float = 1.0

    @property
    def words(self) -> str:
        """Where the numbers are put: ``in percent``."""
        return {"share": "as a share of 1", "percent": "in percent", "plain": "in its own unit"}[self.name]


def find_unit(metric: str, runs: Sequence[Run], *, percent_signs: bool, given: UnitName | None) -> Unit:
    """Find out whether a metric is a share, percent or neither.

    A percent sign means percent. An accuracy, by its name, is a share where no value is over 1, and percent
    where none is 1 or less, but for 0.

    Raises:
        DataError: shares and percent are mixed, or a value cannot be what it is said to be.
    """
    known = [run for run in runs if run.value is not None and math.isfinite(run.value)]
    if given is None and not percent_signs and not _may_be_share(metric, known):
        return Unit("plain")
    if given == "plain":
        return Unit("plain")
    small = [run for run in known if 0 < abs(run.value or 0.0) <= 1]
    large = [run for run in known if abs(run.value or 0.0) > 1]
    if given is None and small and large and not (percent_signs and not _share_like(small, large)):
        raise DataError(
            f"{large[0].place} has {large[0].value:g} and row {small[0].row} has {small[0].value:g}: percent "
            "and shares seem to be mixed; correct the table, or say --unit percent, share or plain"
        )
    name: UnitName = given or ("percent" if percent_signs or large else "share")
    most = 100.0 if name == "percent" else 1.0
    for run in known:
        if not 0 <= (run.value or 0.0) <= most:
            raise DataError(
                f"{run.place}: {run.value:g} is not between 0 and {most:g}, as {metric} in "
                f"{'percent' if name == 'percent' else 'shares of 1'} is; correct it, or say --unit plain"
            )
    return Unit(name, 0.01 if name == "percent" else 1.0)


def _may_be_share(metric: str, known: Sequence[Run]) -> bool:
    """Whether the name says that it is a share; an error may also be one where all values allow it."""
    if names.is_fraction(metric):
        return True
    words = names.plain_name(metric).lower()
    return ("err" in words and names.lower_is_better(metric)) and all(
        0 <= (run.value or 0.0) <= 1 for run in known
    )


def _share_like(small: Sequence[Run], large: Sequence[Run]) -> bool:
    """Whether small values look like shares among percent: near a hundredth of the large ones."""
    typical = sorted(run.value or 0.0 for run in large)[len(large) // 2]
    return any((run.value or 0.0) * 100 > typical / 2 for run in small)


def shown_metric(metric: str, unit: Unit, lower: bool | None) -> ShownMetric:
    """Say how a metric is read and written.

    Args:
        metric: its name in the table.
        unit: in which the table has it.
        lower: whether low values are good; None to go by the name.
    """
    is_lower = names.lower_is_better(metric) if lower is None else lower
    scale: ScaleName = "plain" if unit.name == "plain" else "error points" if is_lower else "points"
    words = names.plain_name(metric).replace("_", " ").strip()
    return ShownMetric(words=words, scale=scale, higher_is_better=not is_lower)


def margin(delta: float | str | None, unit: Unit, metric: str, spread: float) -> float:
    """Return the smallest difference that matters, as a share where the metric is one.

    Args:
        delta: in the table's own unit, or with a percent sign; None for half a point of a share.
        unit: of the metric.
        metric: its name.
        spread: of the runs of one setting, for the message.

    Raises:
        RecipeError: it is missing, no positive number, or cannot be meant.
    """
    if delta is None:
        if unit.name == "plain":
            hint = (
                f" (runs of one setting spread by {spread:.2g}, one standard deviation)" if spread > 0 else ""
            )
            raise RecipeError(
                f"--delta is required for {metric}: the smallest difference that matters, in its own unit"
                f"{hint}; where it is a share of images, say --unit share or percent"
            )
        return _DEFAULT_POINTS / 100
    text = str(delta).strip().lower().removesuffix("points").removesuffix("point").strip()
    in_points = text != str(delta).strip().lower() or text.endswith("%")
    try:
        value = float(text.removesuffix("%").strip().replace(",", "."))
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise RecipeError(f"--delta must be a positive number, as in 0.5 or 0.5%; got {delta}")
    if in_points and unit.name == "plain":
        raise RecipeError(f"--delta {delta} is in points, but {metric} is not a share; give a plain number")
    size = value / 100 if in_points else value * unit.factor
    if unit.name == "share" and not in_points and value >= 0.2:
        raise RecipeError(
            f"--delta {value:g} is {100 * value:g} points, because {metric} is written as a share of 1; did "
            f"you mean {value / 100:g}, or {value:g}%?"
        )
    return size


def metric_step(unit: Unit, images: int | None, metric: str) -> float:
    """Return the step in which the metric counts: one image of the test set; 0 where it is not known.

    Raises:
        RecipeError: the metric does not count images.
    """
    if images is None:
        return 0.0
    if images < 1:
        raise RecipeError(f"--images must be at least 1; got {images}")
    if unit.name == "plain":
        raise RecipeError(
            f"--images is for a share of images, and {metric} is none; omit it, or say --unit share"
        )
    return 1 / images
