"""Corruption robustness as a part of a study: ``[[corruptions]]``, and claims about it."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from foolscope.corruptions import Corruption, size_of
from foolscope.data.settings import DatasetSettings
from foolscope.experiments.claims.metric import Metric
from foolscope.experiments.claims.sources import Cell, Measured
from foolscope.experiments.parts.attacks.part import over_trials
from foolscope.experiments.parts.corruptions.errors import measures_of, weak_ratios
from foolscope.experiments.parts.corruptions.measuring import (
    Accuracies,
    Sample,
    drawn_sample,
    measured_accuracies,
)
from foolscope.experiments.parts.corruptions.plan import CorruptionPlan, check_plan
from foolscope.experiments.parts.corruptions.records import CorruptedRecord, OneCorruption
from foolscope.experiments.parts.measures import MeasureRecord
from foolscope.experiments.parts.part import Context, Entry, Part, finished
from foolscope.experiments.parts.pictures import PictureRecord
from foolscope.experiments.study import Study
from foolscope.experiments.wording.fields import corruption_words
from foolscope.experiments.wording.sentences import POINTS, number
from foolscope.learning.measuring.evaluation import to_pixels

__all__ = ["PART"]

_PICTURED = 3  # severity
_FEW_IMAGES = 300
_POOR = 2 / 3  # error without corruption, as a share of that by guessing
_PUBLISHED_SIDES = {"small": 32, "large": 224}
_NOTHING: Accuracies = {"": {}}  # of a baseline that diverged with every seed


def _metrics(study: Study) -> Iterator[Metric]:
    for plan in study.entries("corruptions"):
        recipes = tuple(plan.every_recipe())
        names = ["mean_error", "clean_error", "added_error"]
        names += [] if plan.baseline is None else ["mce", "relative_mce"]
        for name in names:
            yield Metric(name, plan.name, kind="corruption", recipes=recipes, higher_is_better=False)
        kinds = [each.kind for each in plan.chosen()]
        for place in dict.fromkeys([*kinds, *(each.name for each in plan.chosen())]):
            yield Metric("error", plan.name, "corruption", place, recipes=recipes, higher_is_better=False)


def _measured(metric: Metric, cell: Cell | None, context: Context) -> Measured:
    assert cell is not None  # an error belongs to a recipe
    found: list[CorruptedRecord] = context.records["corruptions"]
    record = next((each for each in found if (each.name, each.recipe) == (metric.part, cell.name)), None)
    if record is None:  # every seed diverged
        return Measured(over_trials([], cell.name, context))
    name = metric.quantity if metric.at is None else f"{metric.quantity}@{metric.at}"
    measure = record.measure(name)
    if measure is None:
        return Measured(np.empty(0), f"is not changed by {metric.at} ({'; '.join(record.skipped)})")
    missing = measure.values.count(None)
    lack = f"has no finite {name} in {missing} of {len(measure.values)} seeds" if missing else ""
    return Measured(over_trials(measure.values, cell.name, context), lack)


def _run(plan: CorruptionPlan, context: Context, entry: Entry) -> list[CorruptedRecord]:
    """Test recipes on the same data together, so that each image is corrupted once."""
    names = [name for name in plan.every_recipe() if finished(context.trials_of(name))]
    by_data: dict[DatasetSettings, list[str]] = {}
    for name in names:
        by_data.setdefault(context.study.recipes[name].dataset, []).append(name)
    found: dict[str, Accuracies] = {}
    samples: dict[str, Sample] = {}

    def tell(place: int, done: float, detail: str) -> None:
        entry.tell((place + done) / len(by_data), detail)

    for place, (dataset, own) in enumerate(by_data.items()):
        sample = drawn_sample(context.session.dataset(dataset), plan.images)
        corruptions, _ = plan.usable(sample.images.shape[1])
        trials = {name: context.trials_of(name) for name in own}
        found |= measured_accuracies(plan, corruptions, trials, sample, context.session, partial(tell, place))
        samples |= dict.fromkeys(own, sample)
    baseline = None if plan.baseline is None else found.get(plan.baseline, _NOTHING)
    records = [_record(plan, name, found[name], baseline, samples[name]) for name in names]
    if records:
        pictures, arrays = _contact_sheet(plan, samples[names[0]], f"corruption-{entry.place}")
        context.arrays.update(arrays)
        records[0] = records[0].model_copy(update=pictures)
    return records


def _record(
    plan: CorruptionPlan, recipe: str, accuracies: Accuracies, baseline: Accuracies | None, sample: Sample
) -> CorruptedRecord:
    channels, height, width = sample.images.shape[1:]
    corruptions, skipped = plan.usable(channels)
    seeds = list(accuracies[""])
    measures = measures_of(accuracies, corruptions, baseline)
    doubts = [*_doubts_about_images(sample), *_doubts_about_models(accuracies, sample)]
    if baseline is not None and recipe != plan.baseline:
        doubts += _doubts_about_ratios(str(plan.baseline), baseline, corruptions, seeds)
    return CorruptedRecord(
        name=plan.name,
        recipe=recipe,
        baseline=plan.baseline,
        seeds=seeds,
        images=len(sample.labels),
        shape=(channels, height, width),
        size=size_of(height, width),
        severities=list(plan.severities),
        clean=[own[0] for own in accuracies[""].values()],
        corruptions=[_one(each, accuracies[each.name], plan.severities) for each in corruptions],
        measures=[
            MeasureRecord.over_seeds(name, words, values, seeds) for name, (words, values) in measures.items()
        ],
        skipped=skipped,
        doubts=doubts,
    )


def _one(
    corruption: Corruption, accuracies: Mapping[int, Sequence[float]], severities: Sequence[int]
) -> OneCorruption:
    by_severity = [[own[place] for own in accuracies.values()] for place in range(len(severities))]
    errors = [
        MeasureRecord.over_seeds(
            f"severity {severity}",
            f"error under {corruption.name} at severity {severity}",
            [1.0 - accuracy for accuracy in own],
            list(accuracies),
        )
        for severity, own in zip(severities, by_severity, strict=True)
    ]
    return OneCorruption(name=corruption.name, kind=corruption.kind, accuracies=by_severity, errors=errors)


def _contact_sheet(
    plan: CorruptionPlan, sample: Sample, prefix: str
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Show the first image unchanged and under every corruption, at severity 3 or what is nearest to it."""
    severity = min(plan.severities, key=lambda each: abs(each - _PICTURED))
    corruptions, _ = plan.usable(sample.images.shape[1])
    first = Sample(sample.images[:1], sample.labels[:1], sample.indices[:1])
    pictures, arrays = [], {}
    for name in ["", *(each.name for each in corruptions)]:
        key = f"{prefix}-{name or 'original'}"
        arrays[key] = to_pixels(first.shown(name, severity)[0], torch.float32)
        pictures.append(PictureRecord(key=key, title=corruption_words(name) or "original", lines=[]))
    return {"pictures": pictures, "pictured": severity}, arrays


def _doubts_about_images(sample: Sample) -> list[str]:
    count, _, height, width = sample.images.shape
    doubts = []
    side = _PUBLISHED_SIDES[size_of(height, width)]
    longer = max(height, width)
    if not 0.75 <= longer / side <= 1.5:
        change = "stronger" if longer < side else "weaker"
        doubts.append(
            f"The parameters were chosen for images of {side}×{side} pixels; on {height}×{width} pixels, "
            f"blur and whatever else is measured in pixels is {change}."
        )
    if count < _FEW_IMAGES:
        doubts.append(
            f"{count} images: their choice alone gives an accuracy a standard error of up to "
            f"{50 / count**0.5:.1f} points, which intervals over seeds do not show."
        )
    return doubts


def _doubts_about_models(accuracies: Accuracies, sample: Sample) -> list[str]:
    clean = float(np.mean([1.0 - own[0] for own in accuracies[""].values()]))
    guessing = 1.0 - 1.0 / len(set(sample.labels.tolist()))
    if clean <= _POOR * guessing:
        return []
    return [
        f"Without corruption {number(clean, POINTS)} % of the images are classified wrongly already; "
        f"guessing would get {number(guessing, POINTS)} % wrong, so there is little that corruptions can add."
    ]


def _doubts_about_ratios(
    name: str, baseline: Accuracies, corruptions: Sequence[Corruption], seeds: Sequence[int]
) -> list[str]:
    weak = weak_ratios(baseline, corruptions, seeds)
    if not weak:
        return []
    return [
        f"Less than one point is added to the error of the baseline {name} by "
        f"{', '.join(map(corruption_words, weak))}; relative_mce, which divides by it, says little or is "
        "undefined."
    ]


PART = Part(
    plan=CorruptionPlan,
    record=CorruptedRecord,
    run=_run,
    activity="testing on corrupted images",
    recipes=lambda plan: plan.every_recipe(),
    check=check_plan,
    measures=("corruption",),
    metrics=_metrics,
    measured=_measured,
)
