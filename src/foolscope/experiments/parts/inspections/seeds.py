"""A study's inspections of its models: numbers of every seed, pictures of the first."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from foolscope.experiments.parts.inspections.metrics import measures_of
from foolscope.experiments.parts.inspections.model import PARTS, inspect_subject
from foolscope.experiments.parts.inspections.plan import InspectionPlan
from foolscope.experiments.parts.inspections.records import ModelInspection, StudyInspection
from foolscope.experiments.parts.measures import MeasureRecord
from foolscope.experiments.running.run import Session
from foolscope.experiments.running.store import StoredTrial
from foolscope.experiments.subjects.subject import run_subject

__all__ = ["inspected_record"]

_INSPECTION_VERSION = 1
_PICTURED = ("input-gradients", "filters")  # parts with pixels or weights to draw


def inspected_record(
    plan: InspectionPlan,
    trials: Sequence[StoredTrial],
    session: Session,
    tell: Callable[[float, str], None],
) -> tuple[StudyInspection, dict[str, Tensor]]:
    """Inspect the model of every seed; stored numbers are read, pictures are made anew.

    Args:
        plan: parts, number of images.
        trials: one per seed; those that diverged are skipped.
        session: store and data.
        tell: called with the fraction done and a detail.
    """
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
