"""Demonstrations as a part of a study: ``[[demonstrations]]``, and claims about what they measure."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import pydantic

from foolscope.core.errors import did_you_mean
from foolscope.experiments.claims.metric import Metric
from foolscope.experiments.claims.sources import Cell, Measured
from foolscope.experiments.parts.demonstrations import DEMONSTRATIONS, DemonstrationSettings
from foolscope.experiments.parts.demonstrations.demonstrating import demonstrate
from foolscope.experiments.parts.demonstrations.records import DemonstrationRecord
from foolscope.experiments.parts.measures import measured_over_seeds
from foolscope.experiments.parts.part import Context, Entry, Part
from foolscope.experiments.study import Study

__all__ = ["PART"]


def _demonstration(value: Any) -> Any:
    """Validate a table by the settings of its kind."""
    if isinstance(value, Mapping):
        kind = str(value.get("kind"))
        if kind not in DEMONSTRATIONS:
            raise ValueError(f"unknown kind of demonstration {kind!r}. {did_you_mean(kind, DEMONSTRATIONS)}")
        return DEMONSTRATIONS[kind].settings.model_validate(dict(value))
    return value


_AnyDemonstration = Annotated[
    pydantic.SerializeAsAny[DemonstrationSettings], pydantic.BeforeValidator(_demonstration)
]


def _fields(entry: Mapping[str, Any]) -> dict[str, list[str]]:
    found = DEMONSTRATIONS.get(str(entry.get("kind")))
    return {"": [] if found is None else list(found.settings.model_fields)}


def _metrics(study: Study) -> Iterator[Metric]:
    for plan in study.entries("demonstrations"):
        for name in DEMONSTRATIONS[plan.kind].measures(plan):
            quantity, at, place = name.partition("@")
            yield Metric(quantity, plan.name, kind="measure", at=place if at else None, recipes=())


def _measured(metric: Metric, cell: Cell | None, context: Context) -> Measured:
    record = next(each for each in context.records["demonstrations"] if each.name == metric.part)
    measure = metric.quantity if metric.at is None else f"{metric.quantity}@{metric.at}"
    return measured_over_seeds(record.measure(measure))


def _run(plan: DemonstrationSettings, context: Context, entry: Entry) -> list[DemonstrationRecord]:
    seeds = range(context.study.seeds)
    return demonstrate([plan], seeds, context.session.store, context.observe)


PART = Part(
    plan=_AnyDemonstration,
    record=DemonstrationRecord,
    run=_run,
    activity="demonstrating",
    measures=("measure",),
    metrics=_metrics,
    measured=_measured,
    fields=_fields,
)
