"""Inspect a model: its answers, its weights, its gradients."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from foolscope.experiments.parts.inspections.methods import methods_from
from foolscope.experiments.parts.inspections.model import inspect_subject
from foolscope.experiments.parts.inspections.records import ModelInspection
from foolscope.experiments.running.run import Observer, StageEvent, ignore_events, watched
from foolscope.experiments.running.session import Session
from foolscope.inspection.attribution import Attribution
from foolscope.reports import Document
from foolscope.reports.parts.inspections.inspection import inspection_document, inspection_sentences
from foolscope.threats import Threat
from foolscope.verbs.result import Result
from foolscope.verbs.subject import session_for, subject_for
from foolscope.verbs.train import Training

__all__ = ["Inspection", "inspect"]


@dataclass(frozen=True, eq=False)
class Inspection(Result):
    """What was found in a model.

    Args:
        record: numbers and words.
        arrays: the pixels and weights that it names by key.
    """

    record: ModelInspection
    arrays: Mapping[str, np.ndarray]

    @property
    def sentences(self) -> list[str]:
        """What was found, in words."""
        return [*inspection_sentences(self.record), *self.record.notes]

    @property
    def document(self) -> Document:
        """The report."""
        return inspection_document(self.record, self.arrays)


def inspect(
    trained: Training | nn.Module,
    images: Tensor | None = None,
    labels: Tensor | None = None,
    *,
    parts: Sequence[str] | None = None,
    methods: Sequence[str | Mapping[str, Any] | Attribution] | None = None,
    compress: Sequence[float] = (),
    dataset: str | Path | None = None,
    split: str = "test",
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    norm: str = "linf",
    epsilon: str | float = "2/255",
    limit: int = 1000,
    seed: int = 0,
    session: Session | None = None,
    observe: Observer = ignore_events,
) -> Inspection:
    """Inspect a trained model, or any module: its answers, its weights, its gradients.

    Args:
        trained: from :func:`train`; or any module from images in [0, 1] to logits.
        images: shape (batch, channel, height, width), floats in [0, 1], on the module's device.
        labels: their classes.
        parts: "confusion", "calibration", "modes", "input-gradients", "attributions", "attribution-sanity",
            "filters", "histograms", "gradient-flow", "spectrum", "tree"; all but
            "attribution-sanity" if it is None, the tree where the model is one.
        methods: of attribution: "gradient", "smoothgrad", "integrated-gradients", "grad-cam", "occlusion", or
            with settings, ``{"name": "occlusion", "patch": 4}``; all that apply to the model if it is None.
        compress: fractions of each layer's full rank; the model is attacked at each of them.
        dataset: where the images are from: the name of a data set, an ``.npz``, a folder of class folders.
        split: of the data set: "train", "validation" or "test".
        mean: per channel, in pixel units, where the module wants ``(images - mean) / std``.
        std: per channel, in pixel units; needs ``mean``.
        norm: of the attack on compressed models.
        epsilon: budget of that attack.
        limit: the first images of the split, at most this many.
        seed: root of all randomness.
        session: store, data and device; where it was trained if not given, or the defaults.
        observe: called as the inspection goes on.

    Raises:
        RecipeError: a part or method is unknown, a method that is named does not apply to the module, it is
            not clear which images are meant, or the module does not fit.

    Example:
        >>> linear = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        >>> inspection = inspect(linear, dataset="digits", parts=["spectrum"], limit=20)
        >>> len(inspection.record.spectra[0].singular_values)
        10
    """
    session = watched(session_for(trained, session), observe)
    subject = subject_for(trained, (images, labels), dataset, split, limit, (mean, std), session)
    found = inspect_subject(
        subject,
        parts,
        compress,
        Threat(norm, epsilon),
        None if methods is None else methods_from(methods),
        seed=seed,
        tell=lambda done, detail: observe(StageEvent("inspecting", done, detail)),
    )
    return Inspection(*found)
