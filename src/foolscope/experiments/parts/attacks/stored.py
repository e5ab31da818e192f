"""Attacks on a subject over a range of budgets, stored with the result for every image.

STORE/attacks/<identity>/attack.json          settings and accuracies; written last, marks a finished attack
STORE/attacks/<identity>/images.jsonl         a line for each image: its label, predictions, what fooled it
STORE/attacks/<identity>/curve.safetensors    the same as tensors, with the fooling images and logits
STORE/attacks/<identity>/partial.safetensors  the state of a full evaluation that was interrupted
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from math import isclose, isfinite
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from foolscope.attacks import MaskingCheck, RobustAccuracyCurve
from foolscope.attacks.evaluation.full_evaluation import robustness_evaluation
from foolscope.attacks.evaluation.robust_accuracy import curve_evaluation
from foolscope.attacks.runner.side_by_side import Evaluation, alone, side_by_side
from foolscope.core.errors import RecipeError, StoreError
from foolscope.core.files import write_json, write_text
from foolscope.core.settings import Settings
from foolscope.experiments.parts.attacks.plans import as_attack
from foolscope.experiments.running.store import Store
from foolscope.experiments.subjects.subject import Subject
from foolscope.learning.checkpoints import load_tensors, save_tensors
from foolscope.threats import Threat

__all__ = [
    "ATTACK_VERSION",
    "StoredAttack",
    "attack_subject",
    "attack_subjects",
    "correct_under_attack",
    "curve_summary",
]

ATTACK_VERSION = 5
"""Raised when a change to the attacks, or to what is stored of them, makes old results incomparable."""

Progress = Callable[[str, float, int], None]

_SAVED_EVERY_SECONDS = 10.0


@dataclass(frozen=True, eq=False)
class StoredAttack:
    """The result of attacks on one subject, and where it is stored.

    Args:
        subject: model and images.
        attacks: settings, in the order tried; empty for the full evaluation.
        curve: the accuracies with the evidence for each image; doubts about the subject come first.
        folder: where the results are.
        was_stored: whether they were read and not computed.
    """

    subject: Subject
    attacks: tuple[Settings, ...]
    curve: RobustAccuracyCurve
    folder: Path
    was_stored: bool


def attack_subject(
    subject: Subject,
    norm: str,
    epsilons: Sequence[str | float],
    attacks: Sequence[Settings] = (),
    *,
    store: Store,
    seed: int | None = None,
    surrogate: Subject | None = None,
    levels: int | None = None,
    time_budget_seconds: float | None = None,
    progress: Progress | None = None,
) -> StoredAttack:
    """Attack a subject over a range of budgets, or read the result if the store has it.

    Args:
        subject: model and images.
        norm: a name from ``NORMS``.
        epsilons: the budgets in pixel units.
        attacks: settings, in the order tried; without any, the full evaluation is made.
        store: where the results are stored.
        seed: root of the attacks' randomness; by default the subject's.
        surrogate: another model, whose fooling images the full evaluation tries as well.
        levels: number of gray levels above 0 to which the full evaluation rounds fooling images.
        time_budget_seconds: when the full evaluation stops; the same call goes on where it stopped.
        progress: called with (stage, fraction of it done, images not fooled so far); not when the results
            are read.

    Raises:
        ThreatError: a budget or an attack makes no sense.
        RecipeError: a setting of the full evaluation beside attacks, or the surrogate is the model itself.
        StoreError: no space or no permission.
    """
    return alone(
        _attacked(
            subject,
            norm,
            epsilons,
            attacks,
            store=store,
            seed=seed,
            surrogate=surrogate,
            levels=levels,
            time_budget_seconds=time_budget_seconds,
            progress=progress,
        )
    )


def attack_subjects(
    subjects: Sequence[Subject],
    norm: str,
    epsilons: Sequence[str | float],
    attacks: Sequence[Settings] = (),
    *,
    store: Store,
    progress: Callable[[float, str], None],
) -> list[StoredAttack]:
    """Attack several subjects side by side, or read the results that the store has.

    Each is attacked and stored as :func:`attack_subject` does it.

    Args:
        subjects: models and images.
        norm: a name from ``NORMS``.
        epsilons: the budgets in pixel units.
        attacks: settings, in the order tried; without any, the full evaluation is made.
        store: where the results are stored.
        progress: called with the fraction of the images that are settled, fooled or done with, and the stage.
    """
    settled = [0.0] * len(subjects)

    def evaluated(number: int, subject: Subject) -> Evaluation[StoredAttack]:
        def tell(stage: str, done: float, left: int) -> None:
            settled[number] = 1 - left / max(1, len(subject.labels))
            progress(sum(settled) / len(settled), stage)

        found = yield from _attacked(subject, norm, epsilons, attacks, store=store, progress=tell)
        settled[number] = 1.0
        progress(sum(settled) / len(settled), "attacked")
        return found

    return side_by_side([evaluated(number, subject) for number, subject in enumerate(subjects)])


def _attacked(
    subject: Subject,
    norm: str,
    epsilons: Sequence[str | float],
    attacks: Sequence[Settings],
    *,
    store: Store,
    seed: int | None = None,
    surrogate: Subject | None = None,
    levels: int | None = None,
    time_budget_seconds: float | None = None,
    progress: Progress | None = None,
) -> Evaluation[StoredAttack]:
    """Attack a subject as :func:`attack_subject` does, step by step."""
    if attacks and (surrogate, levels, time_budget_seconds) != (None, None, None):
        raise RecipeError(
            "surrogate, levels and time_budget_seconds are for the full evaluation, not attacks"
        )
    if surrogate is not None and surrogate.identity == subject.identity:
        raise RecipeError("the surrogate is the model itself; name another one")
    budgets = sorted({Threat(norm, each).epsilon for each in epsilons})
    seed = subject.seed if seed is None else seed
    settings: dict[str, Any] = {"attacks": [each.model_dump(mode="json") for each in attacks]}
    if not attacks:
        identity = None if surrogate is None else surrogate.identity
        settings = {"evaluation": "full", "surrogate": identity, "levels": levels}
    determinants = {
        "model": subject.identity,
        "images": _digest(subject.images, subject.labels),
        "norm": norm,
        "epsilons": budgets,
        **settings,
        "seed": seed,
        "version": ATTACK_VERSION,
    }
    text = json.dumps(determinants, sort_keys=True)
    folder = store.root / "attacks" / hashlib.sha256(text.encode()).hexdigest()[:20]
    curve = _read(folder, subject.images.device)
    if curve is not None:
        return StoredAttack(subject, tuple(attacks), curve, folder, was_stored=True)
    attacked = (subject.model, subject.images, subject.labels, norm, budgets)
    if attacks:

        def told(budget: float, left: int) -> None:
            if progress is not None:
                progress("attacking", (budgets.index(budget) + 1) / len(budgets), left)

        named = [as_attack(each) for each in attacks]
        curve = yield from curve_evaluation(*attacked, named, seed=seed, progress=told)
    else:
        other = None if surrogate is None else surrogate.model
        saving = _Saving(folder / "partial.safetensors")
        curve = yield from robustness_evaluation(
            *attacked,
            seed=seed,
            surrogate=other,
            levels=levels,
            time_budget_seconds=time_budget_seconds,
            saved=saving.read(subject.images.device),
            save=saving,
            progress=progress,
        )
        if curve.unfinished:
            saving.write()
        curve = replace(curve, checks=(_input_check(subject), *curve.checks))
    curve = replace(curve, doubts=tuple(dict.fromkeys((*subject.doubts, *curve.doubts))))
    if not curve.unfinished:
        _write(folder, curve, {"subject": dict(subject.facts), "determinants": determinants}, subject)
        (folder / "partial.safetensors").unlink(missing_ok=True)
    return StoredAttack(subject, tuple(attacks), curve, folder, was_stored=False)


def correct_under_attack(store: Store, evaluation: str, epsilon: float) -> Bool[np.ndarray, " image"] | None:
    """Read which images of a stored evaluation are classified correctly whatever was tried within a budget.

    Args:
        store: where the evaluation is stored.
        evaluation: the name of its folder, as records of robust accuracy have it.
        epsilon: one of the budgets that were attacked, in pixel units.

    Returns:
        One truth value per image, in the order attacked, whose mean is the robust accuracy; ``None`` where
        the evaluation is not in the store, cannot be read, or did not attack this budget.
    """
    curve = _read(store.root / "attacks" / evaluation, torch.device("cpu"))
    if curve is None or not any(isclose(epsilon, each, rel_tol=1e-9) for each in curve.epsilons):
        return None
    correct: Bool[np.ndarray, " image"] = curve.correct_at(epsilon).numpy()
    return correct


def curve_summary(curve: RobustAccuracyCurve) -> dict[str, Any]:
    """Return a curve without its tensors as a JSON-able table."""
    intervals = curve.intervals()
    rows = zip(curve.epsilons, curve.robust_accuracies, intervals, strict=True)
    return {
        "norm": curve.norm,
        "attacks": list(curve.attacks),
        "images": len(curve.labels),
        "clean_accuracy": curve.clean_accuracy,
        "robust_accuracy": [
            {
                "epsilon": epsilon,
                "accuracy": accuracy,
                "low": low,
                "high": high,
                "fooled_by": {
                    name: count
                    for name, count in zip(curve.attacks, curve.taken(epsilon), strict=True)
                    if count
                },
            }
            for epsilon, accuracy, (low, high) in rows
        ],
        "forward_count": curve.forward_count,
        "backward_count": curve.backward_count,
        "masking_checks": [check.model_dump(mode="json") for check in curve.checks],
        "unfinished": curve.unfinished,
        "doubts": list(curve.doubts),
    }


def _input_check(subject: Subject) -> MaskingCheck:
    """Return what was found about the inputs before any attack, as one of the checks."""
    found = " ".join(subject.doubts)
    return MaskingCheck(
        name="input range or classes",
        fired=bool(found),
        sentence=found or "Clean accuracy is plausible, and no other usual scaling of the inputs raises it.",
        value=float(bool(found)),
    )


class _Saving:
    """Saves the state of an evaluation every few seconds, so that it can go on after an interruption."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._latest: dict[str, Tensor] = {}
        self._saved_at = monotonic()

    def __call__(self, tensors: Mapping[str, Tensor]) -> None:
        self._latest = dict(tensors)
        if monotonic() - self._saved_at >= _SAVED_EVERY_SECONDS:
            self.write()

    def write(self) -> None:
        """Write the latest state, if there is one."""
        if self._latest:
            save_tensors(self._path, self._latest, {})
            self._saved_at = monotonic()

    def read(self, device: torch.device) -> dict[str, Tensor] | None:
        """Return the state of an interrupted evaluation; None if there is none, or if it is damaged."""
        try:
            return load_tensors(self._path, device)[0]
        except StoreError:
            return None


def _digest(*tensors: Tensor) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(repr((str(tensor.dtype), tuple(tensor.shape))).encode())
        digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _write(folder: Path, curve: RobustAccuracyCurve, document: dict[str, Any], subject: Subject) -> None:
    values = {field.name: getattr(curve, field.name) for field in fields(curve)}
    values["checks"] = [check.model_dump(mode="json") for check in curve.checks]
    tensors = {name: value for name, value in values.items() if isinstance(value, Tensor)}
    plain = {name: value for name, value in values.items() if name not in tensors}
    save_tensors(folder / "curve.safetensors", tensors, plain)
    write_text(folder / "images.jsonl", "".join(f"{json.dumps(row)}\n" for row in _rows(curve)))
    write_json(folder / "attack.json", {**document, "remarks": subject.remarks, **curve_summary(curve)})


def _read(folder: Path, device: torch.device) -> RobustAccuracyCurve | None:
    """Return the curve stored in a folder; None if there is none, or if it cannot be read."""
    if not (folder / "attack.json").exists():
        return None
    try:
        tensors, plain = load_tensors(folder / "curve.safetensors", device)
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in {**plain, **tensors}.items()
        }
        values["checks"] = tuple(MaskingCheck(**check) for check in values["checks"])
        return RobustAccuracyCurve(**values)
    except (StoreError, TypeError, KeyError, ValueError):
        return None


def _rows(curve: RobustAccuracyCurve) -> list[dict[str, Any]]:
    logits = (curve.clean_logits, curve.adversarial_logits)
    predictions = [each.argmax(1).tolist() if len(each) else [] for each in logits]
    columns = (curve.labels.tolist(), *predictions, curve.smallest_found.tolist(), curve.fooled_by.tolist())
    return [
        {
            "image": index,
            "label": label,
            "clean_prediction": clean,
            "adversarial_prediction": adversarial,
            "smallest_found": smallest if isfinite(smallest) else None,
            "fooled_by": None if attack < 0 else curve.attacks[attack],
        }
        for index, (label, clean, adversarial, smallest, attack) in enumerate(zip(*columns, strict=True))
    ]
