"""The measures of an inspection, and claims about them: ``inspection:NAME.MEASURE``."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import nn

from foolscope.experiments.parts.inspections.records import ModelInspection
from foolscope.experiments.wording.sentences import capitalized
from foolscope.inspection.attribution import ATTRIBUTIONS
from foolscope.inspection.attribution.means import Mean
from foolscope.inspection.layers.spectrum import spectra
from foolscope.inspection.layers.weights import weight_histograms

__all__ = ["LAYER_MEASURES", "MEASURES", "METHOD_MEASURES", "measures_of"]


@dataclass(frozen=True)
class _Measure:
    """One number of a model that claims can be about; None where a model has no such number."""

    part: str | None
    words: str
    of: Callable[[ModelInspection], float | None]


@dataclass(frozen=True)
class _LayerMeasure:
    """One number of each layer; the layers of a model are known before it is trained."""

    part: str
    words: str
    of: Callable[[ModelInspection], dict[str, float]]
    layers: Callable[[nn.Module], list[str]]


@dataclass(frozen=True)
class _MethodMeasure:
    """One number of each attribution method.

    Args:
        part: of an inspection, in which it is measured.
        words: what it is, with the method's title in place of ``{}``.
        of: from an inspection to the number, by the name of the method; without those that did not apply.
        methods: those that have it.
    """

    part: str
    words: str
    of: Callable[[ModelInspection], dict[str, float | None]]
    methods: tuple[str, ...] = tuple(ATTRIBUTIONS)


def _mean(found: Mean | None) -> float | None:
    return None if found is None else found.mean


def _map_edges(whose: str, words: str) -> _MethodMeasure:
    def of(record: ModelInspection) -> dict[str, float | None]:
        methods = record.attributions.methods if record.attributions is not None else []
        return {each.method: _mean(getattr(each, whose)) for each in methods}

    return _MethodMeasure("attributions", f"{{}}, correlation of |map| with {words}", of)


def _completeness(record: ModelInspection) -> dict[str, float | None]:
    methods = record.attributions.methods if record.attributions is not None else []
    return {each.method: each.completeness.median_error for each in methods if each.completeness is not None}


def _remaining(record: ModelInspection) -> dict[str, float | None]:
    methods = record.attribution_sanity.methods if record.attribution_sanity is not None else []
    return {each.method: _mean(each.final.own) for each in methods}


def _edges(whose: str, words: str) -> _Measure:
    def of(record: ModelInspection) -> float | None:
        found: Mean | None = getattr(record.input_gradients, whose, None)
        return None if found is None else found.mean

    return _Measure("input-gradients", f"correlation of |gradient| with {words}", of)


def _calibration(field: str, words: str) -> _Measure:
    return _Measure("calibration", words, lambda record: getattr(record.calibration, field, None))


def _modes(field: str, words: str) -> _Measure:
    return _Measure("modes", words, lambda record: getattr(record.modes, field, None))


MEASURES = {
    "accuracy": _Measure(None, "accuracy on the inspected images", lambda record: record.accuracy),
    "calibration_error": _calibration("expected_error", "expected calibration error"),
    "calibration_by_chance": _calibration(
        "expected_by_chance", "expected calibration error with perfect calibration"
    ),
    "confidence": _calibration("mean_confidence", "mean confidence"),
    "negative_log_likelihood": _calibration("negative_log_likelihood", "negative log-likelihood, nats"),
    "brier_score": _calibration("brier_score", "Brier score, 0 to 2"),
    "mode_difference": _modes("between", "largest change of a logit between training and evaluation mode"),
    "training_repeated": _modes(
        "training_repeated", "largest change of a logit in training mode, the same batch twice"
    ),
    "training_companions": _modes(
        "training_companions", "largest change of a logit in training mode with other images in the batch"
    ),
    "evaluation_repeated": _modes(
        "evaluation_repeated", "largest change of a logit in evaluation mode, the same batch twice"
    ),
    "evaluation_companions": _modes(
        "evaluation_companions", "largest change of a logit in evaluation mode with other images in the batch"
    ),
    "edge_own": _edges("own", "the edges of its own image"),
    "edge_other": _edges("other", "the edges of another image"),
    "edge_difference": _edges("difference", "edges, own minus other image"),
}
METHOD_MEASURES = {
    "edge_own": _map_edges("own", "the edges of its own image"),
    "edge_other": _map_edges("other", "the edges of another image"),
    "edge_difference": _map_edges("difference", "edges, own minus other image"),
    "completeness_error": _MethodMeasure(
        "attributions",
        "{}, relative error of completeness, median over images",
        _completeness,
        ("integrated-gradients",),
    ),
    "attribution_sanity": _MethodMeasure(
        "attribution-sanity",
        "{}, rank correlation of maps before and after all weights are randomized",
        _remaining,
    ),
}
LAYER_MEASURES = {
    "near_zero": _LayerMeasure(
        "histograms",
        "fraction of the weights of {} near zero",
        lambda record: {each.layer: each.near_zero for each in record.weights},
        lambda model: [each.layer for each in weight_histograms(model)],
    ),
    "effective_rank": _LayerMeasure(
        "spectrum",
        "effective rank of {}",
        lambda record: {each.layer: each.effective_rank for each in record.spectra},
        lambda model: [each.layer for each in spectra(model)],
    ),
}


def measures_of(record: ModelInspection, parts: Sequence[str]) -> dict[str, tuple[str, float | None]]:
    """Return the numbers of one model: name in claims -> what the number is, and its value."""
    found = {
        name: (each.words, each.of(record))
        for name, each in MEASURES.items()
        if each.part is None or each.part in parts
    }
    for name, each_method in METHOD_MEASURES.items():
        if each_method.part in parts:
            for method, found_value in each_method.of(record).items():
                title = capitalized(ATTRIBUTIONS[method].title)
                found[f"{name}@{method}"] = (each_method.words.format(title), found_value)
    for name, measure in LAYER_MEASURES.items():
        if measure.part in parts:
            for layer, value in measure.of(record).items():
                found[f"{name}@{layer}"] = (measure.words.format(layer), value)
    return found
