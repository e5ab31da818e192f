"""What a look into a model measures, and claims about it: ``inspection:NAME.MEASURE``."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from foolscope.core.errors import RecipeError, did_you_mean
from foolscope.experiments.claims.claim import INSPECTION, ValueClaim
from foolscope.experiments.claims.judgement import ClaimResult, untestable
from foolscope.experiments.parts.demonstrations.metrics import judge_measured
from foolscope.experiments.parts.inspections.records import InspectedRecord, InspectionRecord, MeanRecord
from foolscope.experiments.recipe import Recipe
from foolscope.experiments.records import FigureRecord
from foolscope.experiments.running.session import Session
from foolscope.experiments.running.store import StoredTrial
from foolscope.experiments.study import LookPlan, Study
from foolscope.experiments.wording.sentences import PLAIN
from foolscope.inspection import initial_model
from foolscope.inspection.spectrum import spectra
from foolscope.inspection.weights import weight_histograms

__all__ = ["Measured", "check_inspection", "check_layers", "judge_inspection", "measures_of"]


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


_MEASURES = {
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
_LAYER_MEASURES = {
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
_LAYER = "@LAYER"  # stands for any layer in a list of measures


def measures_of(record: InspectionRecord, parts: Sequence[str]) -> dict[str, Measured]:
    """Return the numbers of one model by the names by which claims call them.

    Args:
        record: what was found in it.
        parts: that were looked at.
    """
    found = {
        name: Measured(each.words, each.of(record))
        for name, each in _MEASURES.items()
        if each.part is None or each.part in parts
    }
    for name, measure in _LAYER_MEASURES.items():
        if measure.part in parts:
            for layer, value in measure.of(record).items():
                found[f"{name}@{layer}"] = Measured(measure.words.format(layer), value)
    return found


def check_inspection(metric: str, plans: Sequence[LookPlan]) -> tuple[LookPlan, str]:
    """Return the inspection and the name of the measure that a metric speaks of; its layer is not looked up.

    Raises:
        RecipeError: the study has no such inspection, or the inspection no such measure.

    Example:
        >>> plan = LookPlan(name="edges", recipe="cnn", parts=("input-gradients",))
        >>> check_inspection("inspection:edges.edge_difference", [plan])[1]
        'edge_difference'
    """
    name, _, measure = metric.removeprefix(INSPECTION).partition(".")
    plan = next((each for each in plans if each.name == name), None)
    if plan is None:
        known = [each.name for each in plans]
        hint = did_you_mean(name, known) if known else "Add one: [[inspections]]"
        raise RecipeError(f"no inspection {name!r}. {hint}")
    quantity, at, _ = measure.partition("@")
    form = f"{quantity}{_LAYER}" if at else measure
    part_of: dict[str, str | None] = {each: found.part for each, found in _MEASURES.items()}
    part_of |= {f"{each}{_LAYER}": found.part for each, found in _LAYER_MEASURES.items()}
    if form not in part_of:
        raise RecipeError(f"an inspection has no measure {measure!r}. {did_you_mean(form, part_of)}")
    part = part_of[form]
    if part is not None and part not in plan.parts:
        raise RecipeError(f"{measure} belongs to {part}; add that to the parts of the inspection {name!r}")
    return plan, measure


def check_layers(study: Study, session: Session) -> None:
    """Refuse claims about layers that a model does not have, before anything is trained.

    Raises:
        RecipeError: which claim, and what the layers are.
    """
    for claim in study.claims:
        if not claim.metric.startswith(INSPECTION) or "@" not in claim.metric:
            continue
        plan, measure = check_inspection(claim.metric, study.inspections)
        quantity, _, layer = measure.partition("@")
        recipe = study.recipes[plan.recipe]
        layers = _LAYER_MEASURES[quantity].layers(initial_model(recipe, session.dataset(recipe.dataset)))
        if layer not in layers:
            raise RecipeError(
                f"claim {claim.sentence!r}: {plan.recipe} has no layer {layer!r} with weights. "
                f"{did_you_mean(layer, layers)}"
            )


def judge_inspection(
    claim: ValueClaim,
    study: Study,
    trials: Mapping[Recipe, Sequence[StoredTrial]],
    records: Sequence[InspectedRecord],
) -> tuple[ClaimResult, list[FigureRecord]]:
    """Test a claim about what was found in the models of every seed.

    Args:
        claim: from the study file.
        study: whose claim it is.
        trials: of every recipe, one per seed.
        records: of the inspections.

    Returns:
        The result, undecided where a training diverged, and the figure.
    """
    plan, measure = check_inspection(claim.metric, study.inspections)
    own = trials[study.recipes[plan.recipe]]
    lost = sum(trial.status == "diverged" for trial in own)
    if lost:
        reason = f"{plan.recipe} diverged in {lost} of {len(own)} seeds, so that the claim cannot be tested."
        return untestable(claim.sentence, reason, scale=PLAIN), []
    record = next(each for each in records if each.name == plan.name)
    found = record.measure(measure)
    assert found is not None  # check_layers has seen to it
    return judge_measured(claim, found, record.seeds)
