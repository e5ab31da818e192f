"""The attack on one subject over a range of budgets, with what became of every image kept on disk.

STORE/attacks/<identity>/attack.json         settings and accuracies; written last, so it marks a finished one
STORE/attacks/<identity>/images.jsonl        a line for each image: its label, what fooled it and from where
STORE/attacks/<identity>/curve.safetensors   the same as tensors, with the fooling images and clean logits
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from foolscope.attacks import Attack, RobustAccuracyCurve, robust_accuracy_curve
from foolscope.core.errors import StoreError
from foolscope.core.files import write_json, write_text
from foolscope.core.settings import Settings
from foolscope.experiments.store import Store
from foolscope.experiments.subjects import Subject
from foolscope.learning.checkpoints import load_tensors, save_tensors

__all__ = ["ATTACK_VERSION", "Attacked", "attack_subject", "curve_summary"]

ATTACK_VERSION = 1
"""Raised when a change to the attacks makes old results incomparable."""


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
    determinants = {
        "model": subject.identity,
        "images": _digest(subject.images, subject.labels),
        "norm": norm,
        "epsilons": sorted(set(epsilons)),
        "attacks": [each.model_dump(mode="json") for each in attacks if isinstance(each, Settings)],
        "seed": seed,
        "version": ATTACK_VERSION,
    }
    text = json.dumps(determinants, sort_keys=True)
    folder = store.root / "attacks" / hashlib.sha256(text.encode()).hexdigest()[:20]
    curve = _read(folder, subject.images.device)
    was_stored = curve is not None
    if curve is None:
        curve = robust_accuracy_curve(
            subject.model,
            subject.images,
            subject.labels,
            norm,
            epsilons,
            attacks,
            seed=seed,
            progress=progress,
        )
        curve = replace(curve, doubts=tuple(dict.fromkeys((*subject.doubts, *curve.doubts))))
        _write(folder, curve, {"subject": dict(subject.facts), "determinants": determinants}, subject)
    return Attacked(curve, folder, was_stored)


def curve_summary(curve: RobustAccuracyCurve) -> dict[str, Any]:
    """Return what a curve says, without its tensors, as a JSON-able table."""
    return {
        "norm": curve.norm,
        "attacks": list(curve.attacks),
        "images": len(curve.labels),
        "clean_accuracy": curve.clean_accuracy,
        "robust_accuracy": [
            {"epsilon": epsilon, "accuracy": accuracy, "low": low, "high": high}
            for epsilon, accuracy, (low, high) in zip(
                curve.epsilons, curve.robust_accuracies, curve.intervals(), strict=True
            )
        ],
        "forward_count": curve.forward_count,
        "backward_count": curve.backward_count,
        "doubts": list(curve.doubts),
    }


def _digest(*tensors: Tensor) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(repr((str(tensor.dtype), tuple(tensor.shape))).encode())
        digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _write(folder: Path, curve: RobustAccuracyCurve, document: dict[str, Any], subject: Subject) -> None:
    values = {field.name: getattr(curve, field.name) for field in fields(curve)}
    tensors = {name: value for name, value in values.items() if isinstance(value, Tensor)}
    plain = {name: value for name, value in values.items() if name not in tensors}
    save_tensors(folder / "curve.safetensors", tensors, plain)
    write_text(folder / "images.jsonl", "".join(f"{json.dumps(row)}\n" for row in _rows(curve, subject)))
    write_json(folder / "attack.json", {**document, "remarks": subject.remarks, **curve_summary(curve)})


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
        return RobustAccuracyCurve(**values)
    except (StoreError, TypeError):
        return None


def _rows(curve: RobustAccuracyCurve, subject: Subject) -> list[dict[str, Any]]:
    predictions = curve.clean_logits.argmax(1).tolist()
    columns = (curve.labels.tolist(), predictions, curve.smallest_found.tolist(), curve.fooled_by.tolist())
    return [
        {
            "image": index,
            "label": label,
            "clean_prediction": prediction,
            "smallest_found": smallest if isfinite(smallest) else None,
            "fooled_by": None if attack < 0 else curve.attacks[attack],
        }
        for index, (label, prediction, smallest, attack) in enumerate(zip(*columns, strict=True))
    ]
