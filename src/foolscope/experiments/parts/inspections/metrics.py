"""What a look into a model measures, and claims about it: ``inspection:NAME.MEASURE``."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import nn

from foolscope.experiments.parts.inspections.records import InspectionRecord, MeanRecord
from foolscope.inspection.spectrum import spectra
from foolscope.inspection.weights import weight_histograms

__all__ = ["LAYER_MEASURES", "MEASURES", "Measured", "measures_of"]


@dataclass(frozen=True)
class Measured:
    """One number of one model.

    Args:
        words: what it is.
        value: None where there is none, as of edges in images that have none.
    """

    words: str
    value: float | None


@dataclass(frozen=True)
class _Measure:
    part: str | None
    words: str
    of: Callable[[InspectionRecord], float | None]


@dataclass(frozen=True)
class _LayerMeasure:
    part: str
    words: str
    of: Callable[[InspectionRecord], dict[str, float]]
    layers: Callable[[nn.Module], list[str]]


def _edges(of: str) -> Callable[[InspectionRecord], float | None]:
    def value(record: InspectionRecord) -> float | None:
        gradients = record.input_gradients
        found: MeanRecord | None = None if gradients is None else getattr(gradients, of)
        return None if found is None else found.mean

    return value


def _calibration(of: str) -> Callable[[InspectionRecord], float | None]:
    def value(record: InspectionRecord) -> float | None:
        found: float | None = None if record.calibration is None else getattr(record.calibration, of)
        return found

    return value


MEASURES = {
    "accuracy": _Measure(None, "accuracy, of the images looked at", lambda record: record.accuracy),
    "calibration_error": _Measure(
        "calibration", "expected calibration error", _calibration("expected_error")
    ),
    "calibration_by_chance": _Measure(
        "calibration",
        "expected calibration error if every confidence were true",
        _calibration("expected_by_chance"),
    ),
    "confidence": _Measure("calibration", "mean confidence", _calibration("mean_confidence")),
    "negative_log_likelihood": _Measure(
        "calibration", "negative log-likelihood, nats", _calibration("negative_log_likelihood")
    ),
    "brier_score": _Measure("calibration", "Brier score, 0 to 2", _calibration("brier_score")),
    "edge_own": _Measure(
        "input-gradients", "correlation of |gradient| with the edges of its own image", _edges("own")
    ),
    "edge_other": _Measure(
        "input-gradients", "correlation of |gradient| with the edges of another image", _edges("other")
    ),
    "edge_difference": _Measure(
        "input-gradients",
        "correlation of |gradient| with edges, own minus other image",
        _edges("difference"),
    ),
}
LAYER_MEASURES = {
    "near_zero": _LayerMeasure(
        "histograms",
        "share of the weights of {} near zero",
        lambda record: {each.layer: each.near_zero for each in record.weights},
        lambda model: [each.name for each in weight_histograms(model)],
    ),
    "effective_rank": _LayerMeasure(
        "spectrum",
        "effective rank of {}",
        lambda record: {each.layer: each.effective_rank for each in record.spectra},
        lambda model: [each.name for each in spectra(model)],
    ),
}


def measures_of(record: InspectionRecord, parts: Sequence[str]) -> dict[str, Measured]:
    """Return the numbers of one model by the names by which claims call them.

    Args:
        record: what was found in it.
        parts: that were looked at.
    """
    found = {
        name: Measured(each.words, each.of(record))
        for name, each in MEASURES.items()
        if each.part is None or each.part in parts
    }
    for name, measure in LAYER_MEASURES.items():
        if measure.part in parts:
            for layer, value in measure.of(record).items():
                found[f"{name}@{layer}"] = Measured(measure.words.format(layer), value)
    return found
