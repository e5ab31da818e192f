"""Counts of attacked images by attack, class and size of the perturbation, for one or several models."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from foolscope.attacks import RobustAccuracyCurve
from foolscope.experiments.parts.attacks.records import AttackDetailsRecord, MaskingRecord

__all__ = ["attack_details", "summed_checks", "summed_details"]

_POINTS = 200
_DIGITS = 6
_COUNTS = (
    *("models", "misclassified", "taken", "held"),
    *("class_images", "class_clean", "class_robust", "becomes"),
)


def attack_details(curve: RobustAccuracyCurve, classes: Sequence[str] = ()) -> AttackDetailsRecord:
    """Count the images of one model by outcome; classes without names are named by their indices.

    Example:
        >>> from foolscope.attacks import FGSM, robust_accuracy_curve
        >>> linear = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(2, 2, bias=False))
        >>> _ = linear[1].weight.data.copy_(torch.eye(2))
        >>> images, labels = torch.tensor([[[[0.6, 0.4]]], [[[0.9, 0.1]]]]), torch.tensor([0, 0])
        >>> curve = robust_accuracy_curve(linear, images, labels, "linf", [0.2], [FGSM()], seed=0)
        >>> details = attack_details(curve, ["left", "right"])
        >>> details.taken, details.held, details.becomes
        ([[1]], [1], [[1, 1], [0, 0]])
    """
    smallest, count = curve.smallest_found, curve.clean_logits.shape[1]
    budgets = smallest.new_tensor(curve.epsilons)  # in the precision of the sizes, as the curve compares them
    clean, robust = smallest > 0, smallest > budgets[-1]
    predictions = curve.adversarial_logits.argmax(1) if len(smallest) else curve.labels
    predictions = torch.where(robust, curve.labels, predictions)
    pairs = curve.labels[clean] * count + predictions[clean]
    sizes, fallen = _distribution(smallest)
    return AttackDetailsRecord(
        models=1,
        classes=list(classes) or [str(index) for index in range(count)],
        misclassified=int((~clean).sum()),
        taken=[_tally(curve.fooled_by[clean & (smallest <= each)], len(curve.attacks)) for each in budgets],
        held=[int((smallest > each).sum()) for each in budgets],
        class_images=_tally(curve.labels, count),
        class_clean=_tally(curve.labels[clean], count),
        class_robust=_tally(curve.labels[robust], count),
        becomes=np.reshape(_tally(pairs, count * count), (count, count)).tolist(),
        sizes=sizes,
        fallen=fallen,
    )


def summed_details(parts: Sequence[AttackDetailsRecord]) -> AttackDetailsRecord:
    """Add up the counts of at least one model, all of the same classes, attacks and budgets."""
    sizes = np.unique(np.concatenate([part.sizes for part in parts]))
    fallen = np.zeros(len(sizes), dtype=np.int64)
    for part in parts:
        fallen += np.array(part.fallen)[np.searchsorted(part.sizes, sizes, side="right") - 1]
    kept = _spread(fallen)
    sums = {name: np.sum([getattr(part, name) for part in parts], axis=0).tolist() for name in _COUNTS}
    return AttackDetailsRecord(
        classes=parts[0].classes, sizes=sizes[kept].tolist(), fallen=fallen[kept].tolist(), **sums
    )


def summed_checks(parts: Sequence[Sequence[MaskingRecord]]) -> list[MaskingRecord]:
    """Count for each sign of masked gradients how many models show it, from the checks of each model."""
    by_name: dict[str, list[MaskingRecord]] = {}
    for each in (record for own in parts for record in own):
        by_name.setdefault(each.name, []).append(each)
    return [
        next((each for each in same if each.seen), same[0]).model_copy(
            update={"seen": sum(each.seen for each in same), "models": sum(each.models for each in same)}
        )
        for same in by_name.values()
    ]


def _tally(values: Int[Tensor, " count"], kinds: int) -> list[int]:
    """Count each of 0, 1, ...; negative values are skipped."""
    counts: list[int] = torch.bincount(values[values >= 0], minlength=kinds).tolist()
    return counts


def _distribution(smallest: Float[Tensor, " batch"]) -> tuple[list[float], list[int]]:
    """Return the sizes found, ascending from 0, and for each how many images it suffices to fool."""
    found = smallest[smallest.isfinite()].double().cpu().numpy()
    rounded = np.array([0.0, *(float(f"{each:.{_DIGITS}g}") for each in found)])
    sizes, counts = np.unique(rounded, return_counts=True)
    fallen = np.cumsum(counts) - 1  # the added 0.0 is not an image
    kept = _spread(fallen)
    return sizes[kept].tolist(), fallen[kept].tolist()


def _spread(fallen: Int[np.ndarray, " sizes"]) -> Int[np.ndarray, " kept"]:
    """Choose points of a rising count evenly over its range, the first and the last included."""
    if len(fallen) <= _POINTS:
        return np.arange(len(fallen))
    inner = np.searchsorted(fallen, np.linspace(fallen[0], fallen[-1], _POINTS - 1))
    return np.unique([*inner, 0, len(fallen) - 1])
