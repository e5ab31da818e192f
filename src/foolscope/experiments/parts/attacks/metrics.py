"""Metrics that an attack of the study measures: ``robust_accuracy:NAME@EPSILON`` and its like."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from foolscope.attacks import parse_epsilon
from foolscope.core.errors import RecipeError
from foolscope.experiments.claims.claim import Selector
from foolscope.experiments.parts.trace_records import TraceRecord
from foolscope.experiments.parts.traces import QUANTITIES
from foolscope.experiments.records import CurveRecord
from foolscope.experiments.running.store import StoredTrial
from foolscope.experiments.study import AttackPlan, Study, TracePlan

__all__ = ["ATTACK_LOSS", "AttackMetric", "attack_losses", "attack_metric", "attack_values", "is_measured"]

ATTACK_LOSS = "attack_loss"
"""The curve that a followed attack has: the mean loss before each step and after the last."""


@dataclass(frozen=True)
class AttackMetric:
    """A metric that an attack measures.

    Args:
        quantity: which one.
        plan: the attack.
        epsilon: its budget; 0 in a followed attack is what was before it.
    """

    quantity: str
    plan: AttackPlan | TracePlan
    epsilon: float


def is_measured(metric: str) -> bool:
    """Whether an attack measures it, by its name.

    Example:
        >>> is_measured("robust_accuracy:linf@8/255"), is_measured("test_accuracy")
        (True, False)
    """
    quantity, colon, _ = metric.partition(":")
    return bool(colon) and quantity in (*QUANTITIES, ATTACK_LOSS)


def attack_metric(metric: str, cell: Selector, study: Study) -> AttackMetric:
    """Find the attack and the budget that a metric of a cell speaks of.

    Raises:
        RecipeError: the study has no such attack, or the attack no such budget.
    """
    quantity, _, rest = metric.partition(":")
    name, at, budget = rest.partition("@")
    plan = next((each for each in _plans(quantity, cell, study) if each.name == name), None)
    if not at or cell.settings or plan is None:
        known = [
            f"{quantity}:{each.name}@ε of {' and '.join(_recipes(each))}"
            for each in _plans(quantity, None, study)
        ]
        kind = "an attack, [[attacks]]" if quantity == "robust_accuracy" else "one, [[attack_traces]]"
        raise RecipeError(
            f"no metric {metric!r} of {_cell_text(cell)}; "
            + (f"there is {', '.join(known)}" if known else f"add {kind}")
        )
    epsilon, budgets = parse_epsilon(budget), plan.budgets()
    if isinstance(plan, TracePlan) and quantity != ATTACK_LOSS:
        budgets = (0.0, *budgets)
    for known_epsilon in budgets:
        if abs(known_epsilon - epsilon) < 1e-9:
            return AttackMetric(quantity, plan, known_epsilon)
    raise RecipeError(
        f"the attack {name!r} has no ε = {budget}; add it to its epsilons "
        f"({', '.join(f'{each:g}' for each in budgets)})"
    )


def attack_values(
    asked: AttackMetric,
    recipe: str,
    trials: Sequence[StoredTrial],
    curves: Sequence[CurveRecord],
    traces: Sequence[TraceRecord],
) -> list[float]:
    """Return the metric of every seed; NaN where the trial diverged, or no image counted."""
    if isinstance(asked.plan, AttackPlan):
        position = asked.plan.budgets().index(asked.epsilon)
        found = [
            [accuracies[position] for accuracies in curve.accuracies]
            for curve in curves
            if (curve.attack, curve.recipe) == (asked.plan.name, recipe)
        ]
    else:
        field = QUANTITIES[asked.quantity]
        found = [
            getattr(budget, field)
            for trace in traces
            for budget in trace.budgets
            if (trace.attack, budget.epsilon) == (asked.plan.name, asked.epsilon)
        ]
    values = iter(found[0] if found else ())
    measured = [None if trial.status == "diverged" else next(values) for trial in trials]
    return [float("nan") if value is None else value for value in measured]


def attack_losses(asked: AttackMetric, traces: Sequence[TraceRecord]) -> Float[np.ndarray, "seed step"]:
    """Return the mean loss of every seed that did not diverge, before each step and after the last."""
    losses = [
        budget.losses
        for trace in traces
        for budget in trace.budgets
        if (trace.attack, budget.epsilon) == (asked.plan.name, asked.epsilon)
    ]
    return np.array(losses[0], dtype=float)


def _plans(quantity: str, cell: Selector | None, study: Study) -> list[AttackPlan | TracePlan]:
    """List the attacks that measure a quantity, of one cell or of any."""
    every: list[AttackPlan | TracePlan] = [*study.attack_traces]
    if quantity == "robust_accuracy":
        every = [*study.attacks, *every]
    return [plan for plan in every if cell is None or cell.recipe in _recipes(plan)]


def _recipes(plan: AttackPlan | TracePlan) -> tuple[str, ...]:
    return plan.recipes if isinstance(plan, AttackPlan) else (plan.recipe,)


def _cell_text(cell: Selector) -> str:
    settings = ", ".join(f"{name} = {value}" for name, value in cell.settings.items())
    return f"{cell.recipe} with {settings}" if settings else str(cell.recipe)
