"""Accuracy, robust accuracy, parameters and time of a model at lower ranks."""

from collections.abc import Callable, Sequence
from statistics import median
from time import perf_counter

import torch
from torch import nn

from foolscope.attacks import PGD, run
from foolscope.core.errors import RecipeError
from foolscope.core.modes import frozen
from foolscope.experiments.parts.inspections.records import Compression
from foolscope.experiments.subjects.subject import Subject
from foolscope.inspection.layers.compression import compressed, parameter_count
from foolscope.inspection.layers.spectrum import factored_layers
from foolscope.threats import Threat
from foolscope.threats.prediction import automatic_batch_size, predict

__all__ = ["compressions"]

_ROUNDS = 5
_STEPS = 20


def compressions(
    subject: Subject,
    fractions: Sequence[float],
    threat: Threat,
    *,
    seed: int,
    tell: Callable[[float, str], None],
) -> list[Compression]:
    """Compress a model to fractions of each layer's full rank, and measure each version.

    Raises:
        RecipeError: there is no layer to replace.
    """
    if fractions and not factored_layers(subject.model):
        raise RecipeError(
            f"{subject.name} shows no affine layer or convolution that factors could replace; do without "
            "compress, or pass the module that it was made from"
        )
    records = []
    for place, fraction in enumerate(sorted(set(fractions), reverse=True)):
        tell(place / len(fractions), f"{100 * fraction:g} % of the rank")
        model = compressed(subject.model, fraction)
        attack = PGD(steps=_STEPS, loss="margin")
        result = run(model, subject.images, subject.labels, threat, attack, seed=seed)
        records.append(
            Compression(
                fraction=fraction,
                parameters=parameter_count(model),
                accuracy=result.clean_accuracy,
                robust_accuracy=result.robust_accuracy,
                milliseconds=1000 * _seconds(model, subject),
            )
        )
    return records


def _seconds(model: nn.Module, subject: Subject) -> float:
    """Time a forward pass over one batch."""
    batch = subject.images[: automatic_batch_size(subject.images, model)]
    times = []
    with frozen(model):
        for _ in range(_ROUNDS + 1):  # the first warms up
            started = perf_counter()
            predict(model, batch, len(batch))
            if batch.is_cuda:
                torch.cuda.synchronize()
            times.append(perf_counter() - started)
    return median(times[1:])
