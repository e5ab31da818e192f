"""Runs the demonstrations of a study with every seed, or reads their results from the store."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from foolscope.core.settings import finite_or_none
from foolscope.experiments.parts.demonstrations import DEMONSTRATIONS, DemonstrationSettings
from foolscope.experiments.parts.demonstrations.records import DemonstrationRecord
from foolscope.experiments.parts.measures import MeasureRecord
from foolscope.experiments.running.run import Observer, StageEvent, ignore_events
from foolscope.experiments.running.store import Store

__all__ = ["demonstrate"]


def demonstrate(
    plans: Sequence[DemonstrationSettings],
    seeds: Sequence[int],
    store: Store,
    observe: Observer = ignore_events,
) -> list[DemonstrationRecord]:
    """Run every demonstration with every seed.

    Args:
        plans: the demonstrations.
        seeds: one run each.
        store: where outcomes are kept and looked up.
        observe: called before each run.

    Returns:
        One record per demonstration, in order.
    """
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
