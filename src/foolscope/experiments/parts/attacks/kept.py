"""The attack on one subject over a range of budgets, with what became of every image kept on disk.

STORE/attacks/<identity>/attack.json          settings and accuracies; written last, marks a finished one
STORE/attacks/<identity>/images.jsonl         a line for each image: its label, what fooled it and from where
STORE/attacks/<identity>/curve.safetensors    the same as tensors, with the fooling images and logits
STORE/attacks/<identity>/partial.safetensors  what an evaluation that is not finished knows so far
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from math import isfinite
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from torch import Tensor

from foolscope.attacks import Attack, MaskingCheck, RobustAccuracyCurve, evaluate, robust_accuracy_curve
from foolscope.core.errors import StoreError
from foolscope.core.files import write_json, write_text
from foolscope.core.settings import Settings
from foolscope.experiments.running.store import Store
from foolscope.experiments.subjects.subject import Subject
from foolscope.learning.checkpoints import load_tensors, save_tensors

__all__ = ["ATTACK_VERSION", "Attacked", "attack_subject", "curve_summary", "evaluate_subject"]

ATTACK_VERSION = 5
"""Raised when a change to the attacks, or to what is kept of them, makes old results incomparable."""

_SAVED_EVERY_SECONDS = 10.0


@dataclass(frozen=True)
class Attacked:
    """What an attack left, and where that is kept.

    Args:
        curve: the accuracies with the evidence for each image; doubts about the subject come first.
        folder: where the results are.
        was_stored: whether they were read and not computed.
    """

    curve: RobustAccuracyCurve
    folder: Path
    was_stored: bool


def attack_subject(
    subject: Subject,
    norm: str,
    epsilons: Sequence[float],
    attacks: Sequence[Attack],
    *,
    seed: int,
    store: Store,
    progress: Callable[[float, int], None] | None = None,
) -> Attacked:
    """Attack a subject over a range of budgets; what has been attacked before is read.

    Args:
        subject: model and images.
        norm: a name from ``NORMS``.
        epsilons: the budgets in pixel units.
        attacks: settings, in the order tried.
        seed: root of the attacks' randomness.
        store: where the results are kept.
        progress: called with (budget, survivors) after every attack; not when the results are read.

    Raises:
        ThreatError: budgets or attacks make no sense.
        StoreError: no space or no permission.
    """
    settings = [each.model_dump(mode="json") for each in attacks if isinstance(each, Settings)]

    def compute(folder: Path) -> RobustAccuracyCurve:
        return robust_accuracy_curve(
            subject.model,
            subject.images,
            subject.labels,
            norm,
            epsilons,
            attacks,
            seed=seed,
            progress=progress,
        )

    return _kept(subject, norm, epsilons, {"attacks": settings}, seed, store, compute)


def evaluate_subject(
    subject: Subject,
    norm: str,
    epsilons: Sequence[float],
    *,
    seed: int,
    store: Store,
    surrogate: Subject | None = None,
    levels: int | None = None,
    time_budget_seconds: float | None = None,
    progress: Callable[[str, float, int], None] | None = None,
) -> Attacked:
    """Evaluate a subject in full; what was evaluated before is read, and what was interrupted goes on.

    Args:
        subject: model and images.
        norm: a name from ``NORMS``.
        epsilons: the budgets in pixel units.
        seed: root of the attacks' randomness.
        store: where the results are kept.
        surrogate: another model, whose fooling images are tried, too.
        levels: to how many levels of gray above 0 fooling images are rounded before they count.
        time_budget_seconds: stop after this long; the same call goes on where it stopped.
        progress: called with (stage, fraction of its images done, images that still hold).

    Raises:
        ThreatError: budgets make no sense.
        StoreError: no space or no permission.
    """
    settings = {
        "evaluation": "full",
        "surrogate": None if surrogate is None else surrogate.identity,
        "levels": levels,
    }

    def compute(folder: Path) -> RobustAccuracyCurve:
        partial = folder / "partial.safetensors"
        latest: dict[str, Tensor] = {}
        saved_at = monotonic()

        def save(tensors: Mapping[str, Tensor]) -> None:
            nonlocal saved_at
            latest.update(tensors)
            if monotonic() - saved_at >= _SAVED_EVERY_SECONDS:
                save_tensors(partial, latest, {})
                saved_at = monotonic()

        curve = evaluate(
            subject.model,
            subject.images,
            subject.labels,
            norm,
            epsilons,
            seed=seed,
            surrogate=None if surrogate is None else surrogate.model,
            levels=levels,
            time_budget_seconds=time_budget_seconds,
            saved=_partial(partial, subject.images.device),
            save=save,
            progress=progress,
        )
        if curve.unfinished and latest:
            save_tensors(partial, latest, {})
        return replace(curve, checks=(*_subject_checks(subject), *curve.checks))

    return _kept(subject, norm, epsilons, settings, seed, store, compute)


def curve_summary(curve: RobustAccuracyCurve) -> dict[str, Any]:
    """Return what a curve says, without its tensors, as a JSON-able table."""
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
        "masking_checks": [asdict(check) for check in curve.checks],
        "unfinished": curve.unfinished,
        "doubts": list(curve.doubts),
    }


def _kept(
    subject: Subject,
    norm: str,
    epsilons: Sequence[float],
    settings: Mapping[str, Any],
    seed: int,
    store: Store,
    compute: Callable[[Path], RobustAccuracyCurve],
) -> Attacked:
    """Read a result, or compute and keep it; one that was cut short is not kept as a result."""
    determinants = {
        "model": subject.identity,
        "images": _digest(subject.images, subject.labels),
        "norm": norm,
        "epsilons": sorted(set(epsilons)),
        **settings,
        "seed": seed,
        "version": ATTACK_VERSION,
    }
    text = json.dumps(determinants, sort_keys=True)
    folder = store.root / "attacks" / hashlib.sha256(text.encode()).hexdigest()[:20]
    curve = _read(folder, subject.images.device)
    if curve is not None:
        return Attacked(curve, folder, was_stored=True)
    curve = compute(folder)
    curve = replace(curve, doubts=tuple(dict.fromkeys((*subject.doubts, *curve.doubts))))
    if not curve.unfinished:
        _write(folder, curve, {"subject": dict(subject.facts), "determinants": determinants}, subject)
        (folder / "partial.safetensors").unlink(missing_ok=True)
    return Attacked(curve, folder, was_stored=False)


def _subject_checks(subject: Subject) -> tuple[MaskingCheck, ...]:
    """Say as a check what was found about the inputs before any attack."""
    found = " ".join(subject.doubts)
    said = found or "Clean accuracy is plausible, and no other usual scaling of the inputs raises it."
    return (MaskingCheck("input range or classes", bool(found), said, float(bool(found))),)


def _digest(*tensors: Tensor) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(repr((str(tensor.dtype), tuple(tensor.shape))).encode())
        digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _write(folder: Path, curve: RobustAccuracyCurve, document: dict[str, Any], subject: Subject) -> None:
    values = {field.name: getattr(curve, field.name) for field in fields(curve)}
    values["checks"] = [asdict(check) for check in curve.checks]
    tensors = {name: value for name, value in values.items() if isinstance(value, Tensor)}
    plain = {name: value for name, value in values.items() if name not in tensors}
    save_tensors(folder / "curve.safetensors", tensors, plain)
    write_text(folder / "images.jsonl", "".join(f"{json.dumps(row)}\n" for row in _rows(curve)))
    write_json(folder / "attack.json", {**document, "remarks": subject.remarks, **curve_summary(curve)})


def _partial(path: Path, device: torch.device) -> dict[str, Tensor] | None:
    """Return what an interrupted evaluation saved; None where there is nothing to read."""
    if not path.exists():
        return None
    try:
        tensors, _ = load_tensors(path, device)
    except StoreError:  # damaged: begin again
        return None
    return tensors


def _read(folder: Path, device: torch.device) -> RobustAccuracyCurve | None:
    """Return the curve kept in a folder; None where there is none, or one of another version."""
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
    except (StoreError, TypeError, KeyError):
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
