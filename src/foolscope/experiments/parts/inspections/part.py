"""Inspections as a part of a study: ``[[inspections]]``, and claims about what they measure."""

from collections.abc import Iterator

import numpy as np

from foolscope.core.errors import RecipeError, did_you_mean
from foolscope.experiments.claims.metric import ANY_LAYER, Metric
from foolscope.experiments.claims.sources import Cell, Measured
from foolscope.experiments.parts.inspections.metrics import LAYER_MEASURES, MEASURES
from foolscope.experiments.parts.inspections.plan import InspectionPlan
from foolscope.experiments.parts.inspections.records import StudyInspection
from foolscope.experiments.parts.inspections.seeds import inspected_record
from foolscope.experiments.parts.measures import measured_over_seeds
from foolscope.experiments.parts.part import Context, Entry, Part, finished
from foolscope.experiments.study import Study
from foolscope.inspection.checks.initial_loss import initial_model

__all__ = ["PART"]


def _metrics(study: Study) -> Iterator[Metric]:
    for plan in study.entries("inspections"):
        for name, measure in MEASURES.items():
            if measure.part is None or measure.part in plan.parts:
                yield Metric(name, plan.name, kind="inspection", recipes=())
        for name, own in LAYER_MEASURES.items():
            if own.part in plan.parts:
                yield Metric(name, plan.name, kind="inspection", at=ANY_LAYER, recipes=())


def _check_layer(metric: Metric, cell: Cell | None, context: Context) -> None:
    """Refuse a layer that the model does not have."""
    if metric.at is None:
        return
    recipe = context.study.recipes[_plan(metric, context).recipe]
    model = initial_model(recipe, context.session.dataset(recipe.dataset))
    layers = LAYER_MEASURES[metric.quantity].layers(model)
    if metric.at not in layers:
        raise RecipeError(
            f"{_plan(metric, context).recipe} has no layer {metric.at!r} with weights. "
            f"{did_you_mean(str(metric.at), layers)}"
        )


def _measured(metric: Metric, cell: Cell | None, context: Context) -> Measured:
    name = _plan(metric, context).recipe
    trials = context.trials_of(name)
    lost = len(trials) - len(finished(trials))
    if lost:
        return Measured(np.empty(0), f"{name} diverged in {lost} of {len(trials)} seeds")
    record = next(each for each in context.records["inspections"] if each.name == metric.part)
    measure = metric.quantity if metric.at is None else f"{metric.quantity}@{metric.at}"
    return measured_over_seeds(record.measure(measure))


def _plan(metric: Metric, context: Context) -> InspectionPlan:
    plans: tuple[InspectionPlan, ...] = context.study.entries("inspections")
    return next(plan for plan in plans if plan.name == metric.part)


def _run(plan: InspectionPlan, context: Context, entry: Entry) -> list[StudyInspection]:
    trials = context.trials_of(plan.recipe)
    if not finished(trials):
        return []
    record, arrays = inspected_record(
        plan, trials, context.session, lambda done, detail: entry.tell(done, f"{plan.name}, {detail}")
    )
    context.arrays.update(arrays)
    return [record]


PART = Part(
    plan=InspectionPlan,
    record=StudyInspection,
    run=_run,
    activity="inspecting models",
    recipes=lambda plan: [plan.recipe],
    measures=("inspection",),
    metrics=_metrics,
    measured=_measured,
    check_metric=_check_layer,
)
