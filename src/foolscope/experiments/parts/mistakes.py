"""Mistakes as a part of a study: confusion matrices, and the test images that a model classifies worst."""

import torch
from pydantic import Field
from torch import Tensor

from foolscope.core.settings import Settings
from foolscope.experiments.parts.part import Context, Entry, Part, finished
from foolscope.experiments.parts.pictures import GalleryRecord, PictureRecord
from foolscope.experiments.running.run import Session
from foolscope.experiments.running.store import StoredTrial
from foolscope.inspection.answers.worst import worst_classified
from foolscope.learning.measuring.evaluation import to_pixels

__all__ = ["PART", "MistakesPlan", "MistakesRecord", "worst_gallery"]

_PER_ROW = 6


def worst_gallery(
    recipe: str, trial: StoredTrial, session: Session, prefix: str, count: int = 12
) -> tuple[GalleryRecord, dict[str, Tensor]]:
    """Show the test images whose label the model gives the lowest probability.

    Returns:
        The gallery, and its pictures by key, (channel, height, width) in [0, 1].
    """
    dataset = session.dataset(trial.recipe.dataset)
    worst = worst_classified(trial.model(session.device), dataset.test, count)
    pictures, arrays = [], {}
    for place, index in enumerate(worst.indices.tolist()):
        key = f"{prefix}-{place}"
        arrays[key] = to_pixels(dataset.test.images[index], torch.float32)
        label = dataset.classes[int(dataset.test.labels[index])]
        predicted = dataset.classes[int(worst.predictions[place])]
        lines = [
            f"predicted {predicted}, {100 * float(worst.predicted_probabilities[place]):.1f} %",
            f"label {float(worst.label_probabilities[place]):.2g}",
        ]
        pictures.append(PictureRecord(key=key, title=label, lines=lines))
    caption = (
        f"The {len(pictures)} test images to whose label {recipe} (seed {trial.recipe.seed}) gives the "
        "lowest probability."
    )
    rows = [pictures[start : start + _PER_ROW] for start in range(0, len(pictures), _PER_ROW)]
    return GalleryRecord(kind="worst", recipe=recipe, caption=caption, rows=rows), arrays


class MistakesPlan(Settings):
    """Which mistakes the report shows."""

    confusion: tuple[str, ...] = Field((), description="recipes whose confusion matrix is drawn")
    worst: tuple[str, ...] = Field((), description="recipes whose worst-classified images are shown")


class MistakesRecord(Settings):
    """The mistakes that the report shows."""

    confusion: list[str] = Field(description="recipes whose confusion matrix is drawn")
    worst: list[GalleryRecord]


def _run(plan: MistakesPlan, context: Context, entry: Entry) -> list[MistakesRecord]:
    galleries = []
    for place, name in enumerate(plan.worst):
        entry.tell(place / len(plan.worst), name)
        trials = finished(context.trials_of(name))
        if trials:
            gallery, arrays = worst_gallery(name, trials[0], context.session, f"worst-{place}")
            galleries.append(gallery)
            context.arrays.update(arrays)
    return [MistakesRecord(confusion=list(plan.confusion), worst=galleries)]


PART = Part(
    plan=MistakesPlan,
    record=MistakesRecord,
    run=_run,
    activity="collecting mistakes",
    is_single=True,
    recipes=lambda plan: [*plan.confusion, *plan.worst],
)
