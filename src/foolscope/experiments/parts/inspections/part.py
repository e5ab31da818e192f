"""Inspections as a part of a study: ``[[inspections]]``, their run on every seed, and claims about them."""

from collections.abc import Iterator, Mapping, Sequence
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
from foolscope.experiments.parts.inspections.methods import ALL_METHODS, AnyMethod, methods_from
from foolscope.experiments.parts.inspections.metrics import (
    LAYER_MEASURES,
    MEASURES,
    METHOD_MEASURES,
    measures_of,
)
from foolscope.experiments.parts.inspections.model import (
    ATTRIBUTING,
    DEFAULT_PARTS,
    PARTS,
    inspect_subject,
)
from foolscope.experiments.parts.inspections.records import ModelInspection, StudyInspection
from foolscope.experiments.parts.measures import MeasureRecord, measured_over_seeds
from foolscope.experiments.parts.part import Context, Entry, Part, Tell, finished
from foolscope.experiments.running.run import Session
from foolscope.experiments.running.store import StoredTrial
from foolscope.experiments.study import Study
from foolscope.experiments.subjects.subject import run_subject
from foolscope.inspection.attribution import ATTRIBUTIONS
from foolscope.inspection.attribution.explanations import applicable
from foolscope.inspection.checks.initial_loss import initial_model
from foolscope.learning.measuring.evaluation import to_pixels

__all__ = ["PART", "InspectionPlan", "inspected_record"]

_INSPECTION_VERSION = 1
_PICTURED = ("input-gradients", "attributions", "filters", "tree")  # parts with pixels or weights to draw


class InspectionPlan(Settings):
    """An inspection of the models of every seed, as ``foolscope inspect`` makes it of one."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]*$",
        description='name in claims, as in metric = "inspection:NAME.edge_difference"',
    )
    recipe: str
    parts: tuple[str, ...] = Field(DEFAULT_PARTS, min_length=1, description="what is inspected")
    methods: tuple[AnyMethod, ...] | None = Field(
        None, min_length=1, description="of attribution; by default all that apply to the model"
    )
    images: int = Field(1000, ge=1, description="number of test images, from the start of the test set")

    @pydantic.field_validator("parts")
    @classmethod
    def _known_parts(cls, parts: tuple[str, ...]) -> tuple[str, ...]:
        for part in parts:
            require_known(part, PARTS, "part")
        return parts

    @pydantic.model_validator(mode="after")
    def _methods_are_used_and_differ(self) -> "InspectionPlan":
        if self.methods is not None:
            methods_from(self.methods)
            if not ATTRIBUTING.intersection(self.parts):
                raise ValueError(
                    f"methods are for the parts {' and '.join(sorted(ATTRIBUTING))}; add one to parts, "
                    "or omit methods"
                )
        return self


def _fields(entry: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the settings that the methods of an entry may have, by their place in it."""
    listed = entry.get("methods")
    tables = enumerate(listed) if isinstance(listed, list | tuple) else ()
    names = {place: table.get("name") for place, table in tables if isinstance(table, Mapping)}
    return {
        f"methods.{place}": list(ATTRIBUTIONS[name].model_fields)
        for place, name in names.items()
        if name in ATTRIBUTIONS
    }


def _metrics(study: Study) -> Iterator[Metric]:
    for plan in study.entries("inspections"):
        for name, measure in MEASURES.items():
            if measure.part is None or measure.part in plan.parts:
                yield Metric(name, plan.name, kind="inspection", recipes=())
        chosen = [method.name for method in plan.methods or ALL_METHODS]
        for name, each in METHOD_MEASURES.items():
            if each.part in plan.parts:
                for method in each.methods:
                    if method in chosen:
                        yield Metric(name, plan.name, kind="inspection", at=method, recipes=())
        for name, own in LAYER_MEASURES.items():
            if own.part in plan.parts:
                yield Metric(name, plan.name, kind="inspection", at=ANY_LAYER, recipes=())


def _check_place(metric: Metric, cell: Cell | None, context: Context) -> None:
    """Refuse a layer that the model does not have, and a method that does not apply to it."""
    if metric.at is None:
        return
    recipe = context.study.recipes[_plan(metric, context).recipe]
    dataset = context.session.dataset(recipe.dataset)
    model = initial_model(recipe, dataset)
    if metric.quantity in METHOD_MEASURES:
        chosen = next(
            each for each in _plan(metric, context).methods or ALL_METHODS if each.name == metric.at
        )
        refusals = applicable(model, to_pixels(dataset.test.images[:1], torch.float32), [chosen])[1]
        if refusals:
            raise RecipeError(f"{_plan(metric, context).recipe}: {refusals[0]}")
        return
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
    determinants: dict[str, Any] = {
        "parts": parts,
        "images": plan.images,
        "version": _INSPECTION_VERSION,
    }
    if ATTRIBUTING.intersection(parts):
        determinants["methods"] = [each.model_dump() for each in plan.methods or ALL_METHODS]
    drawn: dict[str, dict[str, NDArray[Any]]] = {}

    def inspected(trial: StoredTrial) -> dict[str, Any]:
        record, drawn[trial.identity] = _inspected(trial, parts, plan, session)
        return record.model_dump(mode="json")

    by_seed = session.store.remembered_by_seed("inspections", determinants, inspected, trials, tell)
    found = [ModelInspection.model_validate(each) for each in by_seed.values()]
    first = next(trial for trial in trials if trial.status != "diverged")
    pictured = [part for part in parts if part in _PICTURED]
    if pictured and first.identity not in drawn:
        _, drawn[first.identity] = _inspected(first, pictured, plan, session)
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
    trial: StoredTrial, parts: Sequence[str], plan: InspectionPlan, session: Session
) -> tuple[ModelInspection, dict[str, NDArray[Any]]]:
    subject = run_subject(trial, None, "test", plan.images, session)
    return inspect_subject(
        subject, parts, methods=plan.methods, seed=trial.recipe.seed, tell=lambda done, detail: None
    )


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
    check_metric=_check_place,
    fields=_fields,
)
