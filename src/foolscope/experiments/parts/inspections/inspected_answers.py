"""What a model answers: confusion of classes, calibration, and the gradient of its loss by the pixels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.stats import binomtest
from torch import Tensor

from foolscope.core.modes import frozen
from foolscope.core.randomness import numpy_generator
from foolscope.experiments.parts.inspections.look import Look, mean_record, or_none
from foolscope.experiments.parts.inspections.records import (
    CalibrationBinRecord,
    CalibrationRecord,
    ConfusionRecord,
    GradientPictureRecord,
    InputGradientsRecord,
)
from foolscope.inspection.calibration import DEFAULT_BINS, calibration, calibration_error_by_chance
from foolscope.inspection.input_gradients import edge_correlations, edges, input_gradients
from foolscope.threats.prediction import automatic_batch_size

__all__ = ["calibration_record", "confusion_record", "input_gradients_record"]

_GRADIENT_IMAGES = 500  # a backward pass each
_PICTURES = 4  # of each kind
_BRIGHTEST = 0.99  # quantile of a gradient's pixels that is drawn white


def confusion_record(look: Look) -> dict[str, Any]:
    """Count what the images of each class are taken for."""
    count = len(look.classes)
    pairs = np.bincount(look.labels * count + look.predictions, minlength=count**2)
    return {
        "confusion": ConfusionRecord(classes=list(look.classes), counts=pairs.reshape(count, count).tolist())
    }


def calibration_record(look: Look) -> dict[str, Any]:
    """Compare the model's confidence with how often it is right."""
    found = calibration(look.log_probabilities, look.labels)
    confidence = np.exp(look.log_probabilities.max(axis=1))
    chance = calibration_error_by_chance(confidence, numpy_generator(look.seed, "inspect", "calibration"))
    bins = []
    for place, (images, mean, accuracy) in enumerate(
        zip(found.counts.tolist(), found.confidences, found.accuracies, strict=True)
    ):
        low = high = None
        if images:
            ends = binomtest(round(accuracy * images), images).proportion_ci(method="wilson")
            low, high = float(ends.low), float(ends.high)
        bins.append(
            CalibrationBinRecord(
                low=place / DEFAULT_BINS,
                high=(place + 1) / DEFAULT_BINS,
                images=images,
                confidence=or_none(mean),
                accuracy=or_none(accuracy),
                accuracy_low=low,
                accuracy_high=high,
            )
        )
    return {
        "calibration": CalibrationRecord(
            bins=bins,
            expected_error=found.expected_error,
            expected_by_chance=float(chance.mean()),
            highest_by_chance=float(np.quantile(chance, 0.95)),
            mean_confidence=found.mean_confidence,
            accuracy=found.accuracy,
            negative_log_likelihood=found.negative_log_likelihood,
            brier_score=found.brier_score,
        )
    }


def input_gradients_record(look: Look) -> dict[str, Any]:
    """Correlate the gradient by the pixels with edges; keep a few images as pictures."""
    count = min(_GRADIENT_IMAGES, len(look.labels))
    gradients = _gradients(look, range(count))
    images = look.subject.images[:count]
    generator = numpy_generator(look.seed, "inspect", "edges")
    found = edge_correlations(images, gradients, generator)
    is_right = look.predictions == look.labels
    chosen = {
        "right": np.flatnonzero(is_right)[:_PICTURES].tolist(),
        "wrong": np.flatnonzero(~is_right)[:_PICTURES].tolist(),
    }
    return {
        "input_gradients": InputGradientsRecord(
            images=count,
            counted=int(np.isfinite(found.own).sum()),
            own=mean_record(found.own),
            other=mean_record(found.other),
            difference=mean_record(found.own - found.other),
            right=_pictures(look, "right", chosen["right"]),
            wrong=_pictures(look, "wrong", chosen["wrong"]),
        )
    }


def _gradients(look: Look, places: Sequence[int]) -> Float[Tensor, "batch channel height width"]:
    subject = look.subject
    rows = torch.tensor(list(places), device=subject.images.device)
    with frozen(subject.model):
        return input_gradients(
            subject.model,
            subject.images[rows],
            subject.labels[rows],
            batch_size=automatic_batch_size(subject.images),
        )


def _pictures(look: Look, kind: str, places: Sequence[int]) -> list[GradientPictureRecord]:
    if not places:
        return []
    images, gradients = look.subject.images[list(places)], _gradients(look, places)
    strengths, outlines = gradients.abs().sum(dim=1), edges(images)
    own = edge_correlations(images, gradients, np.random.default_rng(0)).own  # the others are not used
    records = []
    for row, place in enumerate(places):
        keys = {part: f"{kind}-{place}-{part}" for part in ("image", "gradient", "edges")}
        look.arrays[keys["image"]] = images[row].float().cpu().numpy()
        look.arrays[keys["gradient"]] = _bright(strengths[row])
        look.arrays[keys["edges"]] = _bright(outlines[row])
        records.append(
            GradientPictureRecord(
                label=look.classes[look.labels[place]],
                predicted=look.classes[look.predictions[place]],
                correlation=or_none(own[row]),
                **keys,
            )
        )
    return records


def _bright(strengths: Float[Tensor, "height width"]) -> NDArray[np.float32]:
    """Scale what is not negative to a picture from black to white."""
    values = strengths.double().cpu().numpy()
    largest = np.quantile(values, _BRIGHTEST) or values.max() or 1.0
    return np.asarray(np.clip(values / largest, 0, 1), dtype=np.float32)
