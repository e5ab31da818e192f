"""Robust accuracy as a part of a study: ``[[attacks]]``, and claims about it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool

from foolscope.attacks import ATTACKS
from foolscope.experiments.claims.metric import Metric
from foolscope.experiments.claims.sources import Cell, Measured
from foolscope.experiments.parts.attacks.plans import AttackPlan
from foolscope.experiments.parts.attacks.records import CurveRecord
from foolscope.experiments.parts.attacks.robustness import robustness_curves
from foolscope.experiments.parts.attacks.stored import correct_under_attack
from foolscope.experiments.parts.part import Context, Entry, Part, finished
from foolscope.experiments.study import Study

__all__ = ["PART", "attack_fields", "over_trials"]


_QUANTITIES: dict[str, Callable[[CurveRecord], Sequence[Sequence[float | None]]]] = {
    "robust_accuracy": lambda curve: curve.accuracies,
    "robust_balanced_accuracy": lambda curve: curve.balanced_accuracies,
}
"""Metric to its values per seed and budget."""


def attack_fields(entry: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the fields that the attacks of an entry may have, by their place in it."""
    several = entry.get("attacks")
    listed = several if isinstance(several, list | tuple) else []
    tables = {f"attacks.{place}": attack for place, attack in enumerate(listed)}
    tables["attack"] = entry.get("attack")
    names = {place: table.get("name") for place, table in tables.items() if isinstance(table, Mapping)}
    return {place: list(ATTACKS[name].model_fields) for place, name in names.items() if name in ATTACKS}


def over_trials(values: Any, name: str, context: Context) -> Any:
    """Put values of the trials that did not diverge in the places of their seeds; NaN for the others."""
    trials = context.trials_of(name)
    found = np.array([np.nan if value is None else value for value in values], dtype=float)
    every = np.full(len(trials), np.nan)
    every[[trial.status != "diverged" for trial in trials]] = found
    return every


def _metrics(study: Study) -> Iterator[Metric]:
    for plan in study.entries("attacks"):
        for quantity in _QUANTITIES:
            for epsilon in plan.budgets():
                yield Metric(quantity, plan.name, at=epsilon, recipes=plan.recipes)


def _measured(metric: Metric, cell: Cell | None, context: Context) -> Measured:
    assert cell is not None  # a robust accuracy belongs to a recipe
    curves: list[CurveRecord] = context.records["attacks"]
    found = [curve for curve in curves if (curve.attack, curve.recipe) == (metric.part, cell.name)]
    values = [
        accuracies[curve.epsilons.index(float(metric.at or 0.0))]
        for curve in found
        for accuracies in _QUANTITIES[metric.quantity](curve)
    ]
    evaluations = [folder for curve in found for folder in curve.evaluations]
    correct = None
    if metric.quantity == "robust_accuracy" and len(evaluations) == len(context.trials_of(cell.name)):
        correct = _results_by_image(evaluations, float(metric.at or 0.0), context)
    return Measured(over_trials(values, cell.name, context), correct=correct)


def _results_by_image(
    evaluations: Sequence[str], epsilon: float, context: Context
) -> Bool[np.ndarray, "seed image"] | None:
    """Return which images each seed classifies correctly under attack; None where that was not kept."""
    found = [correct_under_attack(context.session.store, folder, epsilon) for folder in evaluations]
    known = [each for each in found if each is not None]
    return np.stack(known) if len(known) == len(found) else None


def _run(plan: AttackPlan, context: Context, entry: Entry) -> list[CurveRecord]:
    trials = {name: context.trials_of(name) for name in plan.recipes if finished(context.trials_of(name))}
    return robustness_curves(plan, trials, context.session, entry.tell)


PART = Part(
    plan=AttackPlan,
    record=CurveRecord,
    run=_run,
    activity="attacking",
    recipes=lambda plan: plan.recipes,
    measures=tuple(_QUANTITIES),
    metrics=_metrics,
    measured=_measured,
    fields=attack_fields,
)
