"""Inspection of one model, part by part: its answers, its layers, and its compressed versions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64, Int64
from numpy.typing import NDArray
from torch import nn

from foolscope.core.errors import RecipeError, did_you_mean
from foolscope.core.modes import frozen
from foolscope.core.randomness import numpy_generator
from foolscope.experiments.parts.inspections.compression import compressions
from foolscope.experiments.parts.inspections.records import ModelInspection
from foolscope.experiments.subjects.subject import Subject
from foolscope.inspection.answers.calibration import calibration
from foolscope.inspection.answers.confusion import confusion
from foolscope.inspection.attribution import edge_tracing
from foolscope.inspection.gradients.gradient_flow import TimeFlow, flow_through_time
from foolscope.inspection.gradients.layer_flow import flow_by_layer
from foolscope.inspection.layers.filters import first_layer_filters
from foolscope.inspection.layers.spectrum import spectra
from foolscope.inspection.layers.weights import weight_histograms
from foolscope.inspection.tree.prototype_tree import inspect_tree
from foolscope.models.prototype_projection import tree_parts
from foolscope.models.recurrent_layers import LSTMLayer, RNNLayer
from foolscope.threats import Threat
from foolscope.threats.prediction import automatic_batch_size, predict

__all__ = ["PARTS", "inspect_subject"]

_FLOW_IMAGES = 200


@dataclass(frozen=True)
class _Answers:
    """A model with its answers to the images whose logits are finite; its parts add arrays and notes."""

    subject: Subject
    classes: Sequence[str]
    log_probabilities: Float64[np.ndarray, "image class"]
    labels: Int64[np.ndarray, " image"]
    seed: int
    lost: int
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, subject: Subject, seed: int) -> "_Answers":
        """Predict all images.

        Raises:
            RecipeError: no logits are finite.
        """
        with frozen(subject.model):
            logits = predict(subject.model, subject.images, automatic_batch_size(subject.images))
        finite = logits.isfinite().all(dim=1)
        lost = int((~finite).sum())
        if lost == len(logits):
            raise RecipeError(
                f"{subject.name} gives no finite logits for any of {len(logits)} images; check its weights"
            )
        if lost:
            subject = replace(subject, images=subject.images[finite], labels=subject.labels[finite])
        classes = subject.classes or tuple(map(str, range(logits.shape[1])))
        log_probabilities = torch.log_softmax(logits[finite].double(), dim=1).cpu().numpy()
        return cls(subject, classes, log_probabilities, subject.labels.cpu().numpy(), seed, lost)

    @property
    def predictions(self) -> Int64[np.ndarray, " image"]:
        """The class of the largest logit."""
        return np.asarray(self.log_probabilities.argmax(axis=1))

    @property
    def doubts(self) -> list[str]:
        """Reasons not to trust the results."""
        lost = f"{self.lost} of {self.lost + len(self.labels)} images have logits that are not finite"
        return [*self.subject.doubts, *([f"{lost}; they are skipped."] if self.lost else [])]


def _confusion(answers: _Answers) -> dict[str, Any]:
    return {"confusion": confusion(answers.labels, answers.predictions, answers.classes)}


def _calibration(answers: _Answers) -> dict[str, Any]:
    generator = numpy_generator(answers.seed, "inspect", "calibration")
    return {"calibration": calibration(answers.log_probabilities, answers.labels, generator)}


def _input_gradients(answers: _Answers) -> dict[str, Any]:
    found, arrays = edge_tracing(
        answers.subject.model,
        answers.subject.images,
        answers.subject.labels,
        answers.predictions,
        answers.classes,
        numpy_generator(answers.seed, "inspect", "edges"),
        batch_size=automatic_batch_size(answers.subject.images),
    )
    answers.arrays.update(arrays)
    return {"input_gradients": found}


def _filters(answers: _Answers) -> dict[str, Any]:
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


def _weights(answers: _Answers) -> dict[str, Any]:
    found = weight_histograms(answers.subject.model)
    if not found:
        answers.notes.append("The model does not expose its weights; a torch.export archive never does.")
    return {"weights": found}


def _flow(answers: _Answers) -> dict[str, Any]:
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


def _spectra(answers: _Answers) -> dict[str, Any]:
    found = spectra(answers.subject.model)
    if not found:
        answers.notes.append(
            "The model shows no affine layer or convolution whose weights would have singular values."
        )
    return {"spectra": found}


def _tree(answers: _Answers) -> dict[str, Any]:
    found = inspect_tree(
        answers.subject.model,
        answers.subject.images,
        answers.subject.labels,
        answers.classes,
        numpy_generator(answers.seed, "inspect", "tree"),
        batch_size=automatic_batch_size(answers.subject.images),
    )
    if found is None:
        answers.notes.append("The model has no prototype tree.")
        return {}
    answers.arrays.update(found[1])
    return {"tree": found[0]}


PARTS: dict[str, Callable[[_Answers], dict[str, Any]]] = {
    "confusion": _confusion,
    "calibration": _calibration,
    "input-gradients": _input_gradients,
    "filters": _filters,
    "histograms": _weights,
    "gradient-flow": _flow,
    "spectrum": _spectra,
    "tree": _tree,
}
"""Name of a part -> from a model's answers to the fields of :class:`ModelInspection` that it fills."""


def _usual_parts(model: nn.Module) -> list[str]:
    """Return the parts that are inspected where none is named: the tree where there is one."""
    return [part for part in PARTS if part != "tree" or tree_parts(model) is not None]


def inspect_subject(
    subject: Subject,
    parts: Sequence[str] | None = None,
    fractions: Sequence[float] = (),
    threat: Threat | None = None,
    *,
    seed: int,
    tell: Callable[[float, str], None],
) -> tuple[ModelInspection, dict[str, NDArray[Any]]]:
    """Inspect a model.

    Args:
        subject: model and images.
        parts: of :data:`PARTS`; all of them if it is None, the tree where the model is one.
        fractions: of each layer's full rank, to which the model is compressed.
        threat: budget of the attack on compressed models; L∞ 2/255 by default.
        seed: root of the randomness.
        tell: called with the fraction done and a detail.

    Returns:
        The inspection, and the pixels and weights that it names by key.

    Raises:
        RecipeError: a part is unknown, or the model gives no finite logits.
    """
    chosen = list(dict.fromkeys(_usual_parts(subject.model) if parts is None else parts))
    for part in chosen:
        if part not in PARTS:
            raise RecipeError(f"there is no part {part!r} of a model to inspect. {did_you_mean(part, PARTS)}")
    threat = threat or Threat("linf", "2/255")
    steps = len(chosen) + len(fractions)
    tell(0.0, "answers")
    answers = _Answers.of(subject, seed)
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
