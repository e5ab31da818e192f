"""Inspection of one model, part by part: its answers, its layers, and its compressed versions."""

from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import NDArray
from torch import nn

from foolscope.core.errors import RecipeError, did_you_mean
from foolscope.core.modes import frozen
from foolscope.core.randomness import numpy_generator
from foolscope.experiments.parts.inspections.answers import Answers
from foolscope.experiments.parts.inspections.compression import compressions
from foolscope.experiments.parts.inspections.methods import ALL_METHODS
from foolscope.experiments.parts.inspections.records import ModelInspection
from foolscope.experiments.subjects.subject import Subject
from foolscope.inspection.answers.calibration import calibration
from foolscope.inspection.answers.confusion import confusion
from foolscope.inspection.answers.modes import mode_difference
from foolscope.inspection.attribution import Attribution
from foolscope.inspection.attribution.explanations import applicable, explain
from foolscope.inspection.attribution.input_gradients import edge_tracing
from foolscope.inspection.attribution.sanity import sanity
from foolscope.inspection.gradients.gradient_flow import TimeFlow, flow_through_time
from foolscope.inspection.gradients.layer_flow import flow_by_layer
from foolscope.inspection.layers.filters import first_layer_filters
from foolscope.inspection.layers.spectrum import spectra
from foolscope.inspection.layers.weights import weight_histograms
from foolscope.inspection.tree.prototype_tree import inspect_tree
from foolscope.models.prototype_projection import tree_parts
from foolscope.models.recurrent_layers import LSTMLayer, RNNLayer
from foolscope.threats import Threat
from foolscope.threats.prediction import automatic_batch_size

__all__ = ["ATTRIBUTING", "DEFAULT_PARTS", "PARTS", "inspect_subject"]

_FLOW_IMAGES = 200


def _confusion(answers: Answers) -> dict[str, Any]:
    return {"confusion": confusion(answers.log_probabilities, answers.labels, answers.classes)}


def _calibration(answers: Answers) -> dict[str, Any]:
    generator = numpy_generator(answers.seed, "inspect", "calibration")
    return {"calibration": calibration(answers.log_probabilities, answers.labels, generator)}


def _modes(answers: Answers) -> dict[str, Any]:
    generator = numpy_generator(answers.seed, "inspect", "modes")
    return {"modes": mode_difference(answers.subject.model, answers.subject.images, generator)}


def _input_gradients(answers: Answers) -> dict[str, Any]:
    found, arrays = edge_tracing(
        answers.subject.model,
        answers.subject.images,
        answers.subject.labels,
        answers.predictions,
        answers.classes,
        numpy_generator(answers.seed, "inspect", "edges"),
        batch_size=automatic_batch_size(answers.subject.images, answers.subject.model),
    )
    answers.arrays.update(arrays)
    return {"input_gradients": found}


def _attributions(answers: Answers) -> dict[str, Any]:
    subject = answers.subject
    if not answers.methods:
        return {}
    found, arrays = explain(
        subject.model,
        subject.images,
        subject.labels,
        answers.predictions,
        answers.classes,
        answers.methods,
        numbers=answers.numbers,
        seed=answers.seed,
        batch_size=automatic_batch_size(subject.images, subject.model),
        tell=answers.tell,
    )
    answers.arrays.update(arrays)
    answers.found_doubts.extend(found.doubts)
    return {"attributions": found}


def _attribution_sanity(answers: Answers) -> dict[str, Any]:
    if not answers.methods:
        return {}
    found = sanity(
        answers.subject.model,
        answers.subject.images,
        answers.predictions,
        answers.methods,
        numbers=answers.numbers,
        seed=answers.seed,
        batch_size=automatic_batch_size(answers.subject.images, answers.subject.model),
        tell=answers.tell,
    )
    if found is None:
        answers.notes.append(
            "Whether attributions depend on the weights cannot be tested: the model exposes no weights."
        )
        return {}
    answers.found_doubts.extend(found.doubts)
    return {"attribution_sanity": found}


def _filters(answers: Answers) -> dict[str, Any]:
    model = answers.subject.model
    with frozen(model):
        found = first_layer_filters(model, answers.subject.images[0])
    if found is None:
        answers.notes.append(
            "The first layer's weights are not pictures: it multiplies neither patches nor whole images."
        )
        return {}
    answers.arrays.update(found[1])
    return {"filters": found[0]}


def _weights(answers: Answers) -> dict[str, Any]:
    found = weight_histograms(answers.subject.model)
    if not found:
        answers.notes.append("The model does not expose its weights; a torch.export archive never does.")
    return {"weights": found}


def _flow(answers: Answers) -> dict[str, Any]:
    model = answers.subject.model
    images, labels = answers.subject.images[:_FLOW_IMAGES], answers.subject.labels[:_FLOW_IMAGES]
    fields: dict[str, Any] = {"flow_images": len(labels), "flow": flow_by_layer(model, images, labels)}
    if sum(isinstance(layer, RNNLayer | LSTMLayer) for layer in model.modules()) == 1:
        steps = flow_through_time(model, images, labels)
        fields["time_flow"] = TimeFlow(
            hidden=steps.hidden.tolist(),
            cell=None if steps.cell is None else steps.cell.tolist(),
            spectral_norm=steps.spectral_norm,
        )
    elif any(isinstance(layer, nn.RNNBase) for layer in model.modules()):
        answers.notes.append(
            "The gradient by time step is not shown: PyTorch's own recurrent layers do not expose their "
            "states."
        )
    return fields


def _spectra(answers: Answers) -> dict[str, Any]:
    found = spectra(answers.subject.model)
    if not found:
        answers.notes.append(
            "The model shows no affine layer or convolution whose weights would have singular values."
        )
    return {"spectra": found}


def _tree(answers: Answers) -> dict[str, Any]:
    found = inspect_tree(
        answers.subject.model,
        answers.subject.images,
        answers.subject.labels,
        answers.classes,
        numpy_generator(answers.seed, "inspect", "tree"),
        batch_size=automatic_batch_size(answers.subject.images, answers.subject.model),
    )
    if found is None:
        answers.notes.append("The model has no prototype tree.")
        return {}
    answers.arrays.update(found[1])
    return {"tree": found[0]}


PARTS: dict[str, Callable[[Answers], dict[str, Any]]] = {
    "confusion": _confusion,
    "calibration": _calibration,
    "modes": _modes,
    "input-gradients": _input_gradients,
    "attributions": _attributions,
    "attribution-sanity": _attribution_sanity,
    "filters": _filters,
    "histograms": _weights,
    "gradient-flow": _flow,
    "spectrum": _spectra,
    "tree": _tree,
}
"""Name of a part -> from a model's answers to the fields of :class:`ModelInspection` that it fills."""

ATTRIBUTING = frozenset({"attributions", "attribution-sanity"})
"""The parts that attribution methods are for."""

DEFAULT_PARTS = tuple(part for part in PARTS if part not in ("attribution-sanity", "tree"))
"""What is inspected unless parts are named: all but the most expensive, and what few models have."""


def _choose_methods(answers: Answers, methods: Sequence[Attribution] | None) -> None:
    """Take the methods that were asked for, or all that apply, with a note about those that do not."""
    tried = ALL_METHODS if methods is None else methods
    used, refusals = applicable(answers.subject.model, answers.subject.images, tried)
    if methods is not None and refusals:
        raise RecipeError(refusals[0])
    answers.methods.extend(used)
    answers.notes.extend(f"{refusal.partition(';')[0]}; it is skipped." for refusal in refusals)


def _usual_parts(model: nn.Module) -> list[str]:
    """Return the parts that are inspected where none is named: also the tree where there is one."""
    return [*DEFAULT_PARTS, *(["tree"] if tree_parts(model) is not None else [])]


def inspect_subject(
    subject: Subject,
    parts: Sequence[str] | None = None,
    fractions: Sequence[float] = (),
    threat: Threat | None = None,
    methods: Sequence[Attribution] | None = None,
    *,
    seed: int,
    tell: Callable[[float, str], None],
) -> tuple[ModelInspection, dict[str, NDArray[Any]]]:
    """Inspect a model.

    Args:
        subject: model and images.
        parts: of :data:`PARTS`; :data:`DEFAULT_PARTS` if it is None, and the tree where the model is one.
        fractions: of each layer's full rank, to which the model is compressed.
        threat: budget of the attack on compressed models; L∞ 2/255 by default.
        methods: of attribution; if it is None, all that apply to the model.
        seed: root of the randomness.
        tell: called with the fraction done and a detail.

    Returns:
        The inspection, and the pixels and weights that it names by key.

    Raises:
        RecipeError: a part is unknown, an attribution method that was asked for does not apply, or the model
            gives no finite logits.
    """
    chosen = list(dict.fromkeys(_usual_parts(subject.model) if parts is None else parts))
    for part in chosen:
        if part not in PARTS:
            raise RecipeError(f"there is no part {part!r} of a model to inspect. {did_you_mean(part, PARTS)}")
    threat = threat or Threat("linf", "2/255")
    steps = len(chosen) + len(fractions)
    tell(0.0, "answers")
    place = 0

    def tell_within(done: float, detail: str) -> None:
        tell((place + done) / steps, f"{chosen[place].replace('-', ' ')}, {detail}")

    answers = Answers.of(subject, seed, tell_within)
    if ATTRIBUTING.intersection(chosen):
        _choose_methods(answers, methods)
    fields: dict[str, Any] = {"spectra": []}
    for place, part in enumerate(chosen):
        tell(place / steps, part.replace("-", " "))
        fields |= PARTS[part](answers)
    compression = compressions(
        answers.subject,
        fractions,
        threat,
        seed=seed,
        tell=lambda done, detail: tell((len(chosen) + done * len(fractions)) / steps, detail),
    )
    record = ModelInspection(
        name=subject.name,
        facts={key: None if value is None else str(value) for key, value in subject.facts.items()},
        images=len(answers.labels),
        norm=threat.norm,
        epsilon=threat.epsilon,
        accuracy=float((answers.predictions == answers.labels).mean()),
        compression=compression,
        notes=answers.notes,
        doubts=answers.doubts,
        **fields,
    )
    return record, answers.arrays
