"""Inspections as a part of a study: ``[[inspections]]``, their run on every seed, and claims about them."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pydantic
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from foolscope.core.errors import RecipeError, did_you_mean, require_known
from foolscope.core.settings import Settings
from foolscope.experiments.claims.metric import ANY_LAYER, Metric
from foolscope.experiments.claims.sources import Cell, Measured
from foolscope.experiments.parts.inspections.metrics import LAYER_MEASURES, MEASURES, measures_of
from foolscope.experiments.parts.inspections.model import PARTS, inspect_subject
from foolscope.experiments.parts.inspections.records import ModelInspection, StudyInspection
from foolscope.experiments.parts.measures import MeasureRecord, measured_over_seeds
from foolscope.experiments.parts.part import Context, Entry, Part, Tell, finished
from foolscope.experiments.running.run import Session
from foolscope.experiments.running.store import StoredTrial
from foolscope.experiments.study import Study
from foolscope.experiments.subjects.subject import run_subject
from foolscope.inspection.checks.initial_loss import initial_model

__all__ = ["PART", "InspectionPlan", "inspected_record"]

_INSPECTION_VERSION = 1
_USUAL = tuple(part for part in PARTS if part != "tree")  # which few models have
_PICTURED = ("input-gradients", "filters", "tree")  # parts with pixels or weights to draw


class InspectionPlan(Settings):
    """An inspection of the models of every seed, as ``foolscope inspect`` makes it of one."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]*$",
        description='name in claims, as in metric = "inspection:NAME.edge_difference"',
    )
    recipe: str
    parts: tuple[str, ...] = Field(_USUAL, min_length=1, description="what is inspected")
    images: int = Field(1000, ge=1, description="number of test images, from the start of the test set")

    @pydantic.field_validator("parts")
    @classmethod
    def _known_parts(cls, parts: tuple[str, ...]) -> tuple[str, ...]:
        for part in parts:
            require_known(part, PARTS, "part")
        return parts


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


def inspected_record(
    plan: InspectionPlan, trials: Sequence[StoredTrial], session: Session, tell: Tell
) -> tuple[StudyInspection, dict[str, Tensor]]:
    """Inspect the model of every seed that did not diverge; stored numbers are read, pictures made anew."""
    parts = [part for part in PARTS if part in plan.parts]
    determinants = {"parts": parts, "images": plan.images, "version": _INSPECTION_VERSION}
    drawn: dict[str, dict[str, NDArray[Any]]] = {}

    def inspected(trial: StoredTrial) -> dict[str, Any]:
        record, drawn[trial.identity] = _inspected(trial, parts, plan.images, session)
        return record.model_dump(mode="json")

    by_seed = session.store.remembered_by_seed("inspections", determinants, inspected, trials, tell)
    found = [ModelInspection.model_validate(each) for each in by_seed.values()]
    first = next(trial for trial in trials if trial.status != "diverged")
    pictured = [part for part in parts if part in _PICTURED]
    if pictured and first.identity not in drawn:
        _, drawn[first.identity] = _inspected(first, pictured, plan.images, session)
    pixels = drawn[first.identity] if pictured else {}
    seeds = list(by_seed)
    measured = [measures_of(each, parts) for each in found]
    record = StudyInspection(
        name=plan.name,
        recipe=plan.recipe,
        seeds=seeds,
        measures=[
            MeasureRecord.over_seeds(name, words, [own[name][1] for own in measured], seeds)
            for name, (words, _) in measured[0].items()
        ],
        first=found[0].model_copy(update={"name": plan.recipe}),
        doubts=[
            f"seed {seed}: {doubt}" if len(seeds) > 1 else doubt
            for seed, each in zip(seeds, found, strict=True)
            for doubt in each.doubts
        ],
    )
    return record, {record.prefix + key: torch.tensor(array) for key, array in pixels.items()}


def _inspected(
    trial: StoredTrial, parts: Sequence[str], images: int, session: Session
) -> tuple[ModelInspection, dict[str, NDArray[Any]]]:
    subject = run_subject(trial, None, "test", images, session)
    return inspect_subject(subject, parts, seed=trial.recipe.seed, tell=lambda done, detail: None)


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
