"""The verbs as functions, for scripts and notebooks; their results show themselves as HTML."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from foolscope.attacks import RobustAccuracyCurve, robust_accuracy_curve
from foolscope.experiments import ablation as ablations
from foolscope.experiments.execution import Workplace, run_trials
from foolscope.experiments.recipe import Recipe, recipe_from
from foolscope.experiments.records import AblationRecord, StudyRecord, TrainingRecord
from foolscope.experiments.store import Store, StoredTrial
from foolscope.experiments.study import as_attack, attack_from
from foolscope.experiments.study_file import read_study
from foolscope.experiments.study_run import run_study, training_record
from foolscope.learning.evaluation import to_pixels
from foolscope.reports import Document, render_html
from foolscope.reports.study_report import (
    ablation_document,
    read_pictures,
    study_document,
    training_document,
    write_study_report,
)

__all__ = ["Ablation", "StudyResult", "Training", "ablate", "attack", "recipe", "study", "train"]

_DEFAULT_STORE = Path("foolscope-runs")


@dataclass(frozen=True)
class Training:
    """A trained model with its history."""

    trial: StoredTrial
    record: TrainingRecord
    data_dir: str | Path | None = None

    @property
    def test_accuracy(self) -> float:
        """Of the tested checkpoint, in [0, 1]; NaN if the trial diverged."""
        return self.trial.metric("test_accuracy")

    def _repr_html_(self) -> str:
        return _framed(training_document(self.record))


@dataclass(frozen=True)
class Ablation:
    """An ablation with its verdicts."""

    record: AblationRecord

    @property
    def sentences(self) -> list[str]:
        """The verdicts in words."""
        return self.record.sentences

    def _repr_html_(self) -> str:
        return _framed(ablation_document(self.record))


@dataclass(frozen=True)
class StudyResult:
    """A study with its report."""

    record: StudyRecord
    pictures: Mapping[str, np.ndarray]
    report: Path

    def _repr_html_(self) -> str:
        return _framed(study_document(self.record, self.pictures))


def _framed(document: Document) -> str:
    """Put a report into a frame of its own, so that its style and the notebook's stay apart."""
    page = html.escape(render_html(document), quote=True)
    return f'<iframe srcdoc="{page}" style="width:100%;height:640px;border:0"></iframe>'


def _workplace(store: str | Path, data_dir: str | Path | None, device: str) -> Workplace:
    return Workplace(Store(Path(store)), None if data_dir is None else Path(data_dir), device)


def recipe(values: Mapping[str, Any] | None = None) -> Recipe:
    """Validate a nested mapping into a recipe.

    Raises:
        RecipeError: an unknown field or a value out of range.

    Example:
        >>> recipe({"model": {"name": "mlp", "hidden": [50]}}).model.hidden
        (50,)
    """
    return recipe_from(values or {})


def train(
    recipe: Recipe,
    *,
    store: str | Path = _DEFAULT_STORE,
    data_dir: str | Path | None = None,
    device: str = "auto",
) -> Training:
    """Train one model, or read it from the store.

    Args:
        recipe: what to train.
        store: folder in which runs are kept.
        data_dir: where the data sets are.
        device: "auto", "cpu", "cuda" and so on.
    """
    (trial,) = run_trials([recipe], _workplace(store, data_dir, device))
    return Training(trial, training_record(recipe.model.name, [trial]), data_dir)


def ablate(
    recipe: Recipe,
    vary: Mapping[str, Sequence[Any]],
    *,
    seeds: int = 5,
    practical_difference: float = 0.005,
    metric: str = "test_accuracy",
    store: str | Path = _DEFAULT_STORE,
    data_dir: str | Path | None = None,
    device: str = "auto",
) -> Ablation:
    """Vary one field at a time around a recipe and judge every value against the baseline.

    Args:
        recipe: the baseline.
        vary: field to values.
        seeds: trials per cell, at least 2.
        practical_difference: the smallest difference that matters, in the metric's own unit.
        metric: which result decides.
        store: folder in which runs are kept.
        data_dir: where the data sets are.
        device: "auto", "cpu", "cuda" and so on.

    Raises:
        RecipeError: fewer than 2 seeds, an unknown field, or a value out of range.
    """
    workplace = _workplace(store, data_dir, device)
    return Ablation(
        ablations.ablate(
            recipe,
            vary,
            seeds=seeds,
            workplace=workplace,
            metric=metric,
            practical_difference=practical_difference,
        )
    )


def attack(
    trained: Training,
    *,
    epsilons: Sequence[str | float],
    norm: str = "linf",
    attacks: Sequence[str | Mapping[str, Any]] = ("fgsm", "pgd"),
    limit: int = 1000,
    seed: int = 0,
    data_dir: str | Path | None = None,
    device: str = "auto",
) -> RobustAccuracyCurve:
    """Measure the robust accuracy of a trained model on its test images.

    Args:
        trained: from :func:`train`.
        epsilons: budgets in pixel units, images in [0, 1], such as ``"8/255"``.
        norm: "linf", "l2" or "l1".
        attacks: names, or tables such as ``{"name": "pgd", "steps": 20}``; the cheap ones first.
        limit: the first so many test images.
        seed: root of the attacks' randomness.
        data_dir: where the data sets are; by default where training found them.
        device: "auto", "cpu", "cuda" and so on.

    Raises:
        ThreatError: a budget makes no sense, such as 8 instead of 8/255.
    """
    workplace = _workplace(_DEFAULT_STORE, data_dir or trained.data_dir, device)
    test = workplace.dataset(trained.trial.recipe.dataset).test
    model = trained.trial.model(workplace.device)
    settings = [attack_from({"name": each} if isinstance(each, str) else each) for each in attacks]
    return robust_accuracy_curve(
        model,
        to_pixels(test.images[:limit], next(model.parameters()).dtype),
        test.labels[:limit],
        norm,
        epsilons,
        [as_attack(each) for each in settings],
        seed=seed,
    )


def study(
    name_or_path: str | Path = "first-study",
    *,
    store: str | Path = _DEFAULT_STORE,
    data_dir: str | Path | None = None,
    device: str = "auto",
) -> StudyResult:
    """Run a built-in study or a study file, or what of it the store lacks, and write its report.

    Args:
        name_or_path: a built-in name, or the path of a TOML file.
        store: folder in which runs are kept.
        data_dir: where the data sets are.
        device: "auto", "cpu", "cuda" and so on.
    """
    plan, text = read_study(str(name_or_path))
    workplace = _workplace(store, data_dir, device)
    record = run_study(plan, workplace, text=text, command=f"foolscope study {name_or_path}")
    folder = workplace.store.study_folder(record.name)
    pictures = read_pictures(folder / "pictures.safetensors")
    files = write_study_report(record, pictures, folder)
    return StudyResult(record, pictures, files["html"])
