"""The trained recipes of a study over the seeds, and the metrics that every training measures."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pydantic
from pydantic import Field

from foolscope.core.errors import RecipeError, require_known
from foolscope.core.settings import Settings
from foolscope.data.dataset import Dataset
from foolscope.experiments.claims.curves import CURVES, curve_of
from foolscope.experiments.claims.metric import ANY_CLASS, Metric
from foolscope.experiments.claims.sources import Cell, Measured
from foolscope.experiments.parts.part import Context, Entry, Part, finished
from foolscope.experiments.parts.predictions import LargestClass, largest_test_class, results_by_image
from foolscope.experiments.recipe import Recipe
from foolscope.experiments.recipe_words import settings_in_words
from foolscope.experiments.running.store import CLASS_METRICS, StoredTrial
from foolscope.experiments.study import Study
from foolscope.experiments.wording.fields import metric_words
from foolscope.experiments.wording.sentences import higher_is_better
from foolscope.models import MODELS
from foolscope.statistics.blocks import BlockDesign, mean_interval

__all__ = [
    "METRICS",
    "PART",
    "ClassRecord",
    "MeanInterval",
    "ParameterGroup",
    "TrainingRecord",
    "check_trained_metric",
    "training_record",
    "variant_metrics",
]

MeanInterval = tuple[float | None, float | None, float | None]
"""A mean over seeds and the ends of its 95 % interval; None where there are none."""

_SCORES = ("accuracy", "balanced_accuracy", "f1", "auc", "loss", "log_loss", "brier")

METRICS = (
    *(f"test_{score}" for score in _SCORES),
    "training_accuracy",
    "training_loss",
    *(f"validation_{score}" for score in _SCORES),
)
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


class ClassRecord(Settings):
    """How well one class is recognized on the test images: means over the seeds with 95 % intervals."""

    name: str
    images: int = Field(description="test images of the class")
    recall: MeanInterval
    precision: MeanInterval
    f1: MeanInterval
    auc: MeanInterval = Field(description="area under the ROC curve of the class against the rest")


class TrainingRecord(Settings):
    """The trials of one recipe over the seeds."""

    recipe: str
    model: str
    identities: list[str]
    seeds: list[int]
    parameter_count: int
    metrics: dict[str, list[float | None]] = Field(description="metric to one value per seed")
    means: dict[str, MeanInterval] = Field(description="metric to mean and 95 % interval")
    epochs: list[int]
    curves: dict[str, list[list[float | None]]] = Field(description="quantity to one curve per seed")
    classes: list[str] = Field(description="their names, by class index")
    confusion: list[list[int]] = Field(description="true class by predicted class, summed over seeds")
    by_class: list[ClassRecord] = Field(default_factory=list)
    largest_class: LargestClass | None = Field(None, description="of the test images, where unequal")
    training_images: int | None = Field(
        None,
        description="over which training accuracy is measured; null in records with a running mean there",
    )
    diverged: int
    duration_seconds: float
    doubts: list[str] = Field(
        default_factory=list, description="reasons not to trust a defense or an accuracy, with seeds"
    )
    settings: list[tuple[str, str]] = Field(
        default_factory=list, description="what was trained, and how: setting and value in words"
    )
    groups: list[ParameterGroup] = Field(
        default_factory=list, description="parameters that are treated alike"
    )

    @pydantic.field_validator("curves", mode="before")
    @classmethod
    def _running_means(cls, curves: Any) -> Any:
        """Read records that call the running mean ``training_accuracy``, as earlier versions did."""
        if not isinstance(curves, Mapping):
            return curves
        return {re.sub("^training_", "running_", name): own for name, own in curves.items()}


def training_record(name: str, trials: Sequence[StoredTrial]) -> TrainingRecord:
    """Sum up the trials of one recipe over its seeds."""
    trained = finished(trials)
    names = sorted({metric for trial in trained for metric in trial.outcome["metrics"]})
    metrics = {metric: [trial.metric(metric) for trial in trials] for metric in names}
    seeds = tuple(trial.recipe.seed for trial in trials)
    designs = {metric: _alone(metric, values, trials) for metric, values in metrics.items()}
    epochs = max(len(trial.outcome["history"]) for trial in trials)
    curves: dict[str, list[list[float | None]]] = {}
    for quantity in _drawn_curves(trials):
        own = [curve_of(trial.outcome["history"], quantity) for trial in trials]
        if any(value is not None for curve in own for value in curve):
            curves[quantity] = [[*curve, *[None] * (epochs - len(curve))] for curve in own]
    confusion = np.sum([np.array(trial.outcome["confusion"]) for trial in trained], axis=0) if trained else []
    settings = settings_in_words(trials[0].recipe)
    return TrainingRecord(
        recipe=name,
        settings=settings if len(trials) == 1 else [pair for pair in settings if pair[0] != "seed"],
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
        by_class=_by_class(trained),
        largest_class=largest_test_class(trained),
        training_images=max((trial.outcome["training_images"] for trial in trained), default=None),
        diverged=len(trials) - len(trained),
        duration_seconds=sum(trial.outcome["duration_seconds"] for trial in trials),
        doubts=[
            f"seed {trial.recipe.seed}: {doubt}" if len(trials) > 1 else doubt
            for trial in trials
            for doubt in trial.outcome.get("doubts", ())
        ],
        groups=[ParameterGroup(**group) for group in trials[0].outcome.get("parameter_groups", ())],
    )


def _alone(metric: str, values: Sequence[float], trials: Sequence[StoredTrial]) -> BlockDesign:
    """Return the design of one metric of one setting, with the images behind an accuracy."""
    correct = results_by_image(metric, trials)
    return BlockDesign(
        (metric,),
        tuple(trial.recipe.seed for trial in trials),
        np.array([values], dtype=float),
        correct=None if correct is None else correct[None],
    )


def _by_class(trained: Sequence[StoredTrial]) -> list[ClassRecord]:
    """Sum up by class the trials that did not diverge."""
    if not trained:
        return []
    seeds = tuple(trial.recipe.seed for trial in trained)
    images = np.array(trained[0].outcome["confusion"]).sum(axis=1).tolist()

    def mean(metric: str) -> MeanInterval:
        values = np.array([[trial.metric(metric) for trial in trained]])
        return mean_interval(BlockDesign((metric,), seeds, values), metric)

    return [
        ClassRecord(
            name=name,
            images=count,
            recall=mean(f"test_recall@{name}"),
            precision=mean(f"test_precision@{name}"),
            f1=mean(f"test_f1@{name}"),
            auc=mean(f"test_auc@{name}"),
        )
        for name, count in zip(trained[0].provenance["dataset"]["classes"], images, strict=True)
    ]


def variant_metrics(model: str) -> tuple[str, ...]:
    """Return the metrics that only this model has: the accuracy of each of its variants.

    Example:
        >>> variant_metrics("prototype-tree")[0], variant_metrics("mlp")
        ('test_accuracy_soft', ())
    """
    return tuple(f"test_accuracy_{variant}" for variant in MODELS[model].variants)


def check_trained_metric(metric: str, recipe: Recipe, dataset: Dataset) -> None:
    """Refuse a metric that trials of a recipe on a data set do not have.

    Raises:
        RecipeError: no training measures it, or not of this class.
    """
    quantity, of_class, name = metric.partition("@")
    if not of_class:
        own = [*METRICS, *variant_metrics(recipe.model.name)]
        require_known(metric, [*own, *(f"{each}@{ANY_CLASS}" for each in CLASS_METRICS)], "metric")
        return
    require_known(quantity, CLASS_METRICS, "metric of a class")
    require_known(name, dataset.classes, "class")
    if not bool((dataset.test.labels == dataset.classes.index(name)).any()):
        raise RecipeError(f"{metric}: {dataset.name} has no test images of class {name!r}")


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
        yield Metric(name, higher_is_better=higher_is_better(name))
    for model in dict.fromkeys(recipe.model.name for recipe in study.recipes.values()):
        for name in variant_metrics(model):
            yield Metric(name, higher_is_better=True)
    for name in CLASS_METRICS:
        yield Metric(name, at=ANY_CLASS)
    for name in CURVES:
        yield Metric(name, axis="epoch", higher_is_better=higher_is_better(name))


def _check_metric(metric: Metric, cell: Cell | None, context: Context) -> None:
    if cell is not None and metric.axis is None:
        check_trained_metric(str(metric), cell.recipe, context.session.dataset(cell.recipe.dataset))


def _measured(metric: Metric, cell: Cell | None, context: Context) -> Measured:
    assert cell is not None  # every trained setting has these metrics
    trials = context.trials[cell.recipe]
    if metric.axis is None:
        values = np.array([trial.metric(str(metric)) for trial in trials])
        return Measured(
            values,
            step=max(trial.step(str(metric)) for trial in trials),
            correct=results_by_image(str(metric), trials),
        )
    diverged = len(trials) - len(finished(trials))
    if diverged:
        return Measured(np.empty((0, 0)), f"diverged in {diverged} of {len(trials)} seeds")
    # Early stopping gives seeds curves of different lengths; what all of them have is compared.
    epochs = min(len(trial.outcome["history"]) for trial in trials)
    curves = [curve_of(trial.outcome["history"][:epochs], metric.quantity) for trial in trials]
    values = np.array(curves, dtype=float)
    if not np.isfinite(values).all():
        return Measured(values, f"has no {metric_words(metric.quantity)}")
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
    check_metric=_check_metric,
)
