"""The trained recipes of a study over the seeds, and the metrics that every training measures."""

from collections.abc import Iterator, Sequence

import numpy as np
from pydantic import Field

from foolscope.core.settings import Settings
from foolscope.experiments.claims.curves import CURVES, curve_of
from foolscope.experiments.claims.metric import Metric
from foolscope.experiments.claims.sources import Cell, Measured
from foolscope.experiments.parts.part import Context, Entry, Part, finished
from foolscope.experiments.running.store import StoredTrial
from foolscope.experiments.study import Study
from foolscope.experiments.wording.fields import field_words
from foolscope.statistics.blocks import BlockDesign, mean_interval

__all__ = ["METRICS", "PART", "ParameterGroup", "TrainingRecord", "training_record"]

METRICS = ("test_accuracy", "test_loss", "training_accuracy", "validation_accuracy", "validation_loss")
"""What every trial measures; those of validation only where there is a validation set."""


class ParameterGroup(Settings):
    """Parameters that training treats alike: how many, and with which learning rate, decay and penalties."""

    group: str
    tensors: int
    numbers: int
    learning_rate: float = Field(description="before the schedule")
    weight_decay: float
    l1: float
    l2: float


class TrainingRecord(Settings):
    """The trials of one recipe over the seeds."""

    recipe: str
    model: str
    identities: list[str]
    seeds: list[int]
    parameter_count: int
    metrics: dict[str, list[float | None]] = Field(description="metric to one value per seed")
    means: dict[str, tuple[float | None, float | None, float | None]] = Field(
        description="metric to mean and 95 % interval"
    )
    epochs: list[int]
    curves: dict[str, list[list[float | None]]] = Field(description="quantity to one curve per seed")
    classes: list[str] = Field(description="their names, by class index")
    confusion: list[list[int]] = Field(description="true class by predicted class, summed over seeds")
    diverged: int
    duration_seconds: float
    doubts: list[str] = Field(default_factory=list, description="reasons not to trust a defense, with seeds")
    groups: list[ParameterGroup] = Field(
        default_factory=list, description="parameters that are treated alike"
    )


def training_record(name: str, trials: Sequence[StoredTrial]) -> TrainingRecord:
    """Sum up the trials of one recipe over its seeds."""
    trained = finished(trials)
    names = sorted({metric for trial in trained for metric in trial.outcome["metrics"]})
    metrics = {metric: [trial.metric(metric) for trial in trials] for metric in names}
    seeds = tuple(trial.recipe.seed for trial in trials)
    designs = {
        metric: BlockDesign((metric,), seeds, np.array([values], dtype=float))
        for metric, values in metrics.items()
    }
    epochs = max(len(trial.outcome["history"]) for trial in trials)
    curves: dict[str, list[list[float | None]]] = {}
    for quantity in _drawn_curves(trials):
        own = [curve_of(trial.outcome["history"], quantity) for trial in trials]
        if any(value is not None for curve in own for value in curve):
            curves[quantity] = [[*curve, *[None] * (epochs - len(curve))] for curve in own]
    confusion = np.sum([np.array(trial.outcome["confusion"]) for trial in trained], axis=0) if trained else []
    return TrainingRecord(
        recipe=name,
        model=trials[0].recipe.model.name,
        identities=[trial.identity for trial in trials],
        seeds=list(seeds),
        parameter_count=trials[0].outcome["parameter_count"],
        metrics={
            metric: [value if np.isfinite(value) else None for value in values]
            for metric, values in metrics.items()
        },
        means={metric: mean_interval(design, metric) for metric, design in designs.items()},
        epochs=list(range(1, epochs + 1)),
        classes=list(trials[0].provenance["dataset"]["classes"]),
        curves=curves,
        confusion=np.asarray(confusion).astype(int).tolist(),
        diverged=len(trials) - len(trained),
        duration_seconds=sum(trial.outcome["duration_seconds"] for trial in trials),
        doubts=[
            f"seed {trial.recipe.seed}: {doubt}" if len(trials) > 1 else doubt
            for trial in trials
            for doubt in trial.outcome.get("doubts", ())
        ],
        groups=[ParameterGroup(**group) for group in trials[0].outcome.get("parameter_groups", ())],
    )


def _drawn_curves(trials: Sequence[StoredTrial]) -> list[str]:
    """Name the curves worth keeping: costs where weights are penalized, the learning rate if it changes."""
    records = [record for trial in trials for record in trial.outcome["history"]]
    penalized = any(record["penalty"] for record in records)
    scheduled = trials[0].recipe.schedule.name != "constant"
    names = [name for name in CURVES if penalized or not name.endswith("_cost")]
    return [*names, *(["learning_rate"] if scheduled else [])]


def _metrics(study: Study) -> Iterator[Metric]:
    if not study.recipes:
        return
    for name in METRICS:
        yield Metric(name, higher_is_better=not name.endswith("loss"))
    for name in CURVES:
        yield Metric(name, axis="epoch", higher_is_better=name.endswith("accuracy"))


def _measured(metric: Metric, cell: Cell | None, context: Context) -> Measured:
    assert cell is not None  # every trained setting has these metrics
    trials = context.trials[cell.recipe]
    if metric.axis is None:
        return Measured(np.array([trial.metric(metric.quantity) for trial in trials]))
    diverged = len(trials) - len(finished(trials))
    if diverged:
        return Measured(np.empty((0, 0)), f"diverged in {diverged} of {len(trials)} seeds")
    # Early stopping gives seeds curves of different lengths; what all of them have is compared.
    epochs = min(len(trial.outcome["history"]) for trial in trials)
    curves = [curve_of(trial.outcome["history"][:epochs], metric.quantity) for trial in trials]
    values = np.array(curves, dtype=float)
    if not np.isfinite(values).all():
        return Measured(values, f"has no {field_words(metric.quantity)}")
    return Measured(values, "has one epoch only" if epochs < 2 else "")


def _run(name: str, context: Context, entry: Entry) -> list[TrainingRecord]:
    return [training_record(name, context.trials_of(name))]


PART = Part(
    plan=str,
    record=TrainingRecord,
    run=_run,
    activity="training",
    plans=lambda study: tuple(study.recipes),
    metrics=_metrics,
    measured=_measured,
)
