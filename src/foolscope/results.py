"""What the verbs return: records that a notebook shows as HTML."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from foolscope.attacks import MaskingCheck
from foolscope.experiments.engines.records import EnginesRecord
from foolscope.experiments.parts.ablations import AblationRecord
from foolscope.experiments.parts.attacks.robustness import curve_record
from foolscope.experiments.parts.attacks.stored import StoredAttack
from foolscope.experiments.parts.galleries import attack_gallery
from foolscope.experiments.parts.inspections.records import ModelInspection
from foolscope.experiments.parts.searches.records import SearchRecord
from foolscope.experiments.parts.training import TrainingRecord
from foolscope.experiments.recipe import Recipe
from foolscope.experiments.running.store import StoredTrial
from foolscope.experiments.study_record import StudyRecord
from foolscope.inspection.check import Check
from foolscope.inspection.checks.learning_rates import LearningRateRange
from foolscope.reports import Document, render_html
from foolscope.reports.engines import engines_document
from foolscope.reports.pages import study_document
from foolscope.reports.parts.ablations import ablation_document
from foolscope.reports.parts.attacks.part import attack_document
from foolscope.reports.parts.checks import check_document
from foolscope.reports.parts.inspections.inspection import inspection_document, inspection_sentences
from foolscope.reports.parts.searches import search_document
from foolscope.reports.parts.training import training_document
from foolscope.reports.phrases import epsilon_words, with_unit

__all__ = ["Ablation", "CheckResult", "Inspection", "Robustness", "Search", "StudyResult", "Training"]


@dataclass(frozen=True)
class Training:
    """A trained model with its history.

    Args:
        trial: as the store has it.
        record: its results, for reports.
        data_dir: where its data set is.
        engines: how far the run in NumPy is from this one, if it was asked for.
    """

    trial: StoredTrial
    record: TrainingRecord
    data_dir: str | Path | None = None
    engines: EnginesRecord | None = None

    @property
    def test_accuracy(self) -> float:
        """Of the tested checkpoint, in [0, 1]; NaN if the trial diverged."""
        return self.trial.metric("test_accuracy")

    def _repr_html_(self) -> str:
        page = training_document(self.record) if self.engines is None else engines_document(self.engines)
        return _framed(page)


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
class Search:
    """A search with its winner.

    Args:
        record: every setting tried, the winner beside the baseline on fresh seeds, and the verdict.
        recipe: the winner, to be trained or varied; the baseline if every setting tried diverged.
    """

    record: SearchRecord
    recipe: Recipe

    @property
    def summary(self) -> str:
        """What was found, in words."""
        return self.record.summary

    def _repr_html_(self) -> str:
        return _framed(search_document(self.record))


@dataclass(frozen=True)
class CheckResult:
    """The checks of a recipe.

    Args:
        checks: what the sanity checks said.
        range_test: what the learning-rate range test said.
        classes: how many the data set has.
    """

    checks: Sequence[Check]
    range_test: LearningRateRange
    classes: int

    @property
    def passed(self) -> bool:
        """Whether every check passed, and the recipe's own learning rate is stable."""
        return self.range_test.passed and all(check.passed for check in self.checks)

    @property
    def sentences(self) -> list[str]:
        """What was found, in words."""
        return [*(check.sentence for check in self.checks), self.range_test.sentence]

    def _repr_html_(self) -> str:
        return _framed(check_document(self.checks, self.range_test, self.classes))


@dataclass(frozen=True, eq=False, repr=False)
class Robustness:
    """The accuracy that attacks leave a model, by budget.

    Args:
        attack: the result for each image (``attack.curve``), and where it is stored (``attack.folder``).
    """

    attack: StoredAttack

    @property
    def epsilons(self) -> tuple[float, ...]:
        """The budgets in pixel units, ascending."""
        return self.attack.curve.epsilons

    @property
    def robust_accuracies(self) -> tuple[float, ...]:
        """For each budget the fraction of images that no attack within it fooled."""
        return self.attack.curve.robust_accuracies

    @property
    def clean_accuracy(self) -> float:
        """The fraction of images classified correctly without an attack."""
        return self.attack.curve.clean_accuracy

    @property
    def checks(self) -> tuple[MaskingCheck, ...]:
        """The checks for masked gradients; only the full evaluation makes them."""
        return self.attack.curve.checks

    @property
    def doubts(self) -> tuple[str, ...]:
        """Reasons not to trust the numbers."""
        return self.attack.curve.doubts

    @property
    def document(self) -> Document:
        """The report, with the smallest perturbations found."""
        gallery, pixels = attack_gallery(self.attack)
        arrays = {key: value.cpu().numpy() for key, value in pixels.items()}
        classes = self.attack.curve.clean_logits.shape[1]
        return attack_document(curve_record(self.attack), gallery, arrays, classes)

    def __repr__(self) -> str:
        pairs = zip(self.robust_accuracies, self.epsilons, strict=True)
        shown = [f"{with_unit(self.clean_accuracy)} clean"]
        shown += [f"{with_unit(accuracy)} at ε = {epsilon_words(epsilon)}" for accuracy, epsilon in pairs]
        return f"Robustness of {self.attack.subject.name}, {self.attack.curve.norm}: {', '.join(shown)}"

    def _repr_html_(self) -> str:
        return _framed(self.document)


@dataclass(frozen=True, eq=False)
class Inspection:
    """The inspection of a model.

    Args:
        record: what was found.
        arrays: the pixels and weights that it names by key.
    """

    record: ModelInspection
    arrays: Mapping[str, np.ndarray]

    @property
    def sentences(self) -> list[str]:
        """What was found, in words."""
        return [*inspection_sentences(self.record), *self.record.notes]

    def _repr_html_(self) -> str:
        return _framed(inspection_document(self.record, self.arrays))


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
