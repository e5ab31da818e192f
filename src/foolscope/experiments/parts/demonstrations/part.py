"""Demonstrations as a part of a study: ``[[demonstrations]]``, and claims about what they measure."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Annotated, Any

import pydantic

from foolscope.core.errors import require_known
from foolscope.core.settings import finite_or_none
from foolscope.experiments.claims.metric import Metric
from foolscope.experiments.claims.sources import Cell, Measured
from foolscope.experiments.parts.demonstrations import DEMONSTRATIONS, DemonstrationSettings
from foolscope.experiments.parts.demonstrations.kind import DemonstrationRecord
from foolscope.experiments.parts.measures import MeasureRecord, measured_over_seeds
from foolscope.experiments.parts.part import Context, Entry, Part
from foolscope.experiments.running.run import Observer, StageEvent, ignore_events
from foolscope.experiments.running.store import Store
from foolscope.experiments.study import Study

__all__ = ["PART", "demonstrate"]


def _demonstration(value: Any) -> Any:
    """Validate a table by the settings of its kind."""
    if isinstance(value, Mapping):
        kind = str(value.get("kind"))
        require_known(kind, DEMONSTRATIONS, "kind of demonstration")
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


def demonstrate(
    plans: Sequence[DemonstrationSettings],
    seeds: Sequence[int],
    store: Store,
    observe: Observer = ignore_events,
) -> list[DemonstrationRecord]:
    """Run every demonstration with every seed; return a record for each, in order."""
    records = []
    for position, plan in enumerate(plans):
        outcomes: list[dict[str, Any]] = []
        for seed in seeds:
            done = (position * len(seeds) + len(outcomes)) / (len(plans) * len(seeds))
            observe(StageEvent("demonstrating", done, f"{plan.name}, seed {seed}"))
            determinants = {
                "settings": plan.model_dump(mode="json", exclude={"name"}),
                "seed": seed,
                "version": DEMONSTRATIONS[plan.kind].version,
            }
            outcomes.append(store.remembered("demonstrations", determinants, partial(_outcome, plan, seed)))
        records.append(_record(plan, seeds, outcomes))
    return records


def _outcome(plan: DemonstrationSettings, seed: int) -> dict[str, Any]:
    """Run one seed; what JSON cannot represent becomes null."""
    outcome = DEMONSTRATIONS[plan.kind].run(plan, seed)
    measures = {name: float(value) for name, value in outcome.measures.items()}
    found: dict[str, Any] = _finite({"measures": measures, "data": outcome.data})
    return found


def _finite(value: Any) -> Any:
    """Copy JSON-able data with null for every number that is not finite."""
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list) else finite_or_none(value)


def _record(
    plan: DemonstrationSettings, seeds: Sequence[int], outcomes: Sequence[dict[str, Any]]
) -> DemonstrationRecord:
    return DemonstrationRecord(
        name=plan.name,
        kind=plan.kind,
        settings=plan.model_dump(mode="json", exclude={"name", "kind"}),
        seeds=list(seeds),
        measures=[
            MeasureRecord.over_seeds(name, words, [each["measures"][name] for each in outcomes], seeds)
            for name, words in DEMONSTRATIONS[plan.kind].measures(plan).items()
        ],
        data=outcomes[0]["data"],
    )


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
