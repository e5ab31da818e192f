"""A look into a model, part by part: what it answers, what its layers are like, what lower ranks keep."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from foolscope.core.errors import RecipeError, did_you_mean
from foolscope.experiments.parts.inspections.compressing import compression_records
from foolscope.experiments.parts.inspections.inspected_answers import (
    calibration_record,
    confusion_record,
    input_gradients_record,
)
from foolscope.experiments.parts.inspections.inspected_layers import (
    filters_record,
    flow_records,
    spectrum_records,
    weights_records,
)
from foolscope.experiments.parts.inspections.look import Look, look_at
from foolscope.experiments.parts.inspections.records import InspectionRecord
from foolscope.experiments.subjects.subject import Subject
from foolscope.threats import Threat

__all__ = ["PARTS", "Inspected", "inspect_subject"]

PARTS: dict[str, Callable[[Look], dict[str, Any]]] = {
    "confusion": confusion_record,
    "calibration": calibration_record,
    "input-gradients": input_gradients_record,
    "filters": filters_record,
    "histograms": weights_records,
    "gradient-flow": flow_records,
    "spectrum": spectrum_records,
}
"""Name of a part -> from the look to the fields of :class:`InspectionRecord` that it fills."""


@dataclass(frozen=True, eq=False)
class Inspected:
    """What a look into a model found.

    Args:
        record: numbers and words.
        arrays: the pixels and weights that it names by key.
    """

    record: InspectionRecord
    arrays: dict[str, NDArray[Any]]


def inspect_subject(
    subject: Subject,
    parts: Sequence[str] | None = None,
    fractions: Sequence[float] = (),
    threat: Threat | None = None,
    *,
    seed: int,
    tell: Callable[[float, str], None],
) -> Inspected:
    """Look into a model.

    Args:
        subject: model and images.
        parts: of :data:`PARTS`; all of them if it is None.
        fractions: of each layer's full rank, to which the model is compressed.
        threat: what an attacker of compressed models may do; L∞ 2/255 if not said.
        seed: root of the randomness.
        tell: called with the fraction done and a detail.

    Raises:
        RecipeError: a part is unknown, or the model gives no finite logits.
    """
    chosen = list(PARTS) if parts is None else list(dict.fromkeys(parts))
    for part in chosen:
        if part not in PARTS:
            raise RecipeError(f"there is no part {part!r} of a model to inspect. {did_you_mean(part, PARTS)}")
    threat = threat or Threat("linf", "2/255")
    steps = len(chosen) + len(fractions)
    tell(0.0, "answers")
    look = look_at(subject, seed)
    fields: dict[str, Any] = {"spectra": []}
    for place, part in enumerate(chosen):
        tell(place / steps, part.replace("-", " "))
        fields |= PARTS[part](look)
    compression = compression_records(
        look.subject,
        fractions,
        threat,
        seed=seed,
        tell=lambda done, detail: tell((len(chosen) + done * len(fractions)) / steps, detail),
    )
    record = InspectionRecord(
        name=subject.name,
        facts={key: None if value is None else str(value) for key, value in subject.facts.items()},
        images=len(look.labels),
        norm=threat.norm,
        epsilon=threat.epsilon,
        accuracy=float((look.predictions == look.labels).mean()),
        compression=compression,
        notes=look.notes,
        doubts=list(look.doubts),
        **fields,
    )
    return Inspected(record, look.arrays)
