"""Measure the accuracy that attacks leave a model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from foolscope.attacks import MaskingCheck
from foolscope.core.errors import RecipeError
from foolscope.experiments.parts.attacks.plans import attack_from
from foolscope.experiments.parts.attacks.robustness import curve_record
from foolscope.experiments.parts.attacks.stored import StoredAttack, attack_subject
from foolscope.experiments.parts.galleries import attack_gallery
from foolscope.experiments.running.run import Observer, StageEvent, ignore_events, watched
from foolscope.experiments.running.session import Session
from foolscope.experiments.subjects.subject import run_subject
from foolscope.reports import Document
from foolscope.reports.parts.attacks.part import attack_document
from foolscope.reports.phrases import epsilon_words, with_unit
from foolscope.verbs.result import Result
from foolscope.verbs.subject import session_for, subject_for
from foolscope.verbs.train import Training

__all__ = ["Robustness", "attack"]


@dataclass(frozen=True, eq=False, repr=False)
class Robustness(Result):
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


def attack(
    trained: Training | nn.Module,
    images: Tensor | None = None,
    labels: Tensor | None = None,
    *,
    epsilons: Sequence[str | float],
    dataset: str | Path | None = None,
    split: str = "test",
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    norm: str = "linf",
    attacks: Sequence[str | Mapping[str, Any]] | None = None,
    surrogate: Training | nn.Module | None = None,
    levels: int | None = None,
    time_budget_seconds: float | None = None,
    limit: int = 1000,
    seed: int | None = None,
    session: Session | None = None,
    observe: Observer = ignore_events,
) -> Robustness:
    """Measure the robust accuracy of a trained model, or of any module, or read it from the store.

    Args:
        trained: from :func:`train`, attacked on its test images; or any module from images in [0, 1] to
            logits, attacked on ``images`` or on ``dataset``.
        images: shape (batch, channel, height, width), floats in [0, 1], on the module's device.
        labels: their classes.
        epsilons: budgets in pixel units, images in [0, 1], such as ``"8/255"``.
        dataset: where the images are from: the name of a data set, an ``.npz``, a folder of class folders.
        split: of the data set: "train", "validation" or "test".
        mean: per channel, in pixel units, if the module takes ``(images - mean) / std``.
        std: per channel, beside ``mean``.
        norm: "linf", "l2" or "l1".
        attacks: names, or tables such as ``{"name": "pgd", "steps": 20}``, in the order tried; by default
            the full evaluation (:func:`foolscope.attacks.evaluate_robustness`).
        surrogate: another model, whose fooling images the full evaluation tries as well.
        levels: number of gray levels above 0 to which the full evaluation rounds fooling images, such as 255.
        time_budget_seconds: when the full evaluation stops; the same call goes on where it stopped.
        limit: number of images, from the start of the split.
        seed: root of the attacks' randomness; by default the training's own, 0 for a module.
        session: store, data and device; where it was trained if not given, or the defaults.
        observe: called as the attacks go on.

    Raises:
        ThreatError: a budget makes no sense, such as 8 instead of 8/255.
        RecipeError: it is not clear which images are meant, or the module does not fit them.

    Example:
        >>> from tempfile import mkdtemp
        >>> session = Session(mkdtemp())
        >>> linear = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        >>> budgets = {"epsilons": [0, "8/255"], "attacks": ["fgsm"]}
        >>> found = attack(linear, dataset="digits", limit=20, session=session, **budgets)
        >>> len(found.robust_accuracies)
        2
    """
    session = watched(session_for(trained, session), observe)
    settings = [attack_from({"name": each} if isinstance(each, str) else each) for each in attacks or ()]
    if attacks is not None and not settings:
        raise RecipeError("attacks is empty; name at least one, or omit it for the full evaluation")
    subject = subject_for(trained, (images, labels), dataset, split, limit, (mean, std), session)
    other = None
    if isinstance(surrogate, Training):
        other = run_subject(surrogate.trial, None, split, limit, session)
    elif surrogate is not None:
        pair = (subject.images, subject.labels)
        other = subject_for(surrogate, pair, None, split, limit, (None, None), session)
    return Robustness(
        attack_subject(
            subject,
            norm,
            epsilons,
            settings,
            store=session.store,
            seed=seed,
            surrogate=other,
            levels=levels,
            time_budget_seconds=time_budget_seconds,
            progress=lambda stage, done, left: observe(StageEvent(stage, done, f"{left} not fooled")),
        )
    )
