"""Accuracies of trained models on corrupted test images, each computed once and kept in the store."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from foolscope.core.modes import frozen
from foolscope.core.randomness import numpy_generator
from foolscope.corruptions import Corruption, corrupt, size_of
from foolscope.data import Dataset
from foolscope.data.splits import stratified_choice
from foolscope.experiments.parts.corruptions.plan import CorruptionPlan
from foolscope.experiments.parts.part import Tell
from foolscope.experiments.running.run import Session
from foolscope.experiments.running.store import StoredTrial
from foolscope.experiments.wording.fields import corruption_words
from foolscope.learning.measuring.evaluation import to_pixels
from foolscope.threats.prediction import automatic_batch_size, predict

__all__ = ["Accuracies", "Sample", "drawn_sample", "measured_accuracies"]

_CORRUPTION_VERSION = 1
"""Raised when a change to corruptions or to this file makes stored accuracies incomparable."""

_SEED = 0  # of images and corruptions: they are a fixed test set, the same for all models

Accuracies = dict[str, dict[int, list[float]]]
"""Name of a corruption, empty for none, to seed to accuracies, one per severity; one where there is none."""

_Show = Callable[[int], UInt8[Tensor, "image channel height width"]]


@dataclass(frozen=True)
class Sample:
    """Test images, drawn so that every class keeps its share.

    Args:
        images: in [0, 1].
        labels: their classes.
        indices: their places in the test set, which name their random draws.
    """

    images: Float[Tensor, "image channel height width"]
    labels: Int64[Tensor, " image"]
    indices: Int64[Tensor, " image"]

    def shown(self, name: str, severity: int) -> UInt8[Tensor, "image channel height width"]:
        """Return the images under a corruption, unchanged where the name is empty, in 256 levels."""
        images = self.images
        if name:
            images = corrupt(images, name, severity, seed=_SEED, indices=self.indices)
        return images.mul(255.0).round().to(torch.uint8)


def drawn_sample(dataset: Dataset, count: int) -> Sample:
    """Draw test images by class; all of them if there are no more."""
    test = dataset.test
    generator = numpy_generator(_SEED, "corruptions", "images")
    chosen = stratified_choice(test.labels, min(count, len(test)), generator)
    return Sample(to_pixels(test.images[chosen], torch.float32), test.labels[chosen], chosen)


def measured_accuracies(
    plan: CorruptionPlan,
    corruptions: Sequence[Corruption],
    trials: Mapping[str, Sequence[StoredTrial]],
    sample: Sample,
    session: Session,
    tell: Tell,
) -> dict[str, Accuracies]:
    """Test the models of every recipe and seed that did not diverge; they share each corrupted image.

    Args:
        plan: severities.
        corruptions: that can change the images.
        trials: recipe to its trials, all on the data of the sample.
        sample: the images.
        session: store and device.
        tell: is told of progress.

    Returns:
        The accuracies by recipe.
    """
    found: dict[str, Accuracies] = {name: {} for name in trials}
    names = ["", *(each.name for each in corruptions)]
    for place, name in enumerate(names):
        severities = plan.severities if name else (0,)
        determinants = {
            "corruption": name,
            "severities": list(severities),
            "images": len(sample.labels),
            "size": size_of(*sample.images.shape[2:]),
            "version": _CORRUPTION_VERSION,
        }
        show: _Show = cache(partial(sample.shown, name))
        compute = partial(_accuracies, show=show, severities=severities, sample=sample, session=session)
        for position, (recipe, own) in enumerate(trials.items()):
            done = (place + position / len(trials)) / len(names)
            tell(done, f"{recipe}, {corruption_words(name) or 'clean images'}")
            found[recipe][name] = session.store.remembered_by_seed(
                "corruptions", determinants, compute, own, lambda fraction, detail: None
            )
    return found


def _accuracies(
    trial: StoredTrial, *, show: _Show, severities: Sequence[int], sample: Sample, session: Session
) -> list[float]:
    model = trial.model(session.device)
    labels = sample.labels.to(session.device)
    accuracies = []
    with frozen(model):
        for severity in severities:
            images = to_pixels(show(severity).to(session.device), torch.float32)
            predictions = predict(model, images, automatic_batch_size(images, model)).argmax(dim=1)
            accuracies.append(float((predictions == labels).double().mean()))
    return accuracies
