"""The classifiers of a study: how accurate they are, and how their training went."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from foolscope.experiments.prose import PLAIN, POINTS
from foolscope.experiments.records import TrainingRecord
from foolscope.reports import figures as draw
from foolscope.reports.document import Block, Cell, Column, Details, Figure, Paragraph, Reference, Section, Table
from foolscope.reports.sections.phrases import duration_words, one_or_many, with_interval

__all__ = ["classifier_table", "classifiers", "training_figure"]

_SHOWN = 3
_ACCURACIES = ("test_accuracy", "validation_accuracy", "training_accuracy")
_HEIGHT = 250


def classifiers(trainings: Sequence[TrainingRecord], classes: int) -> Section:
    """Build the section about the trained classifiers."""
    shown, folded = trainings[:_SHOWN], trainings[_SHOWN:]
    mention = ("Training by epoch is in ", Reference(f"training-{shown[0].recipe}"), ".") if shown else ()
    blocks: list[Block] = [
        Paragraph(
            (
                "Each classifier was trained once per seed; the checkpoint with the best validation accuracy was "
                "tested where its recipe keeps that one. Test images played no part in any choice. "
                f"Guessing would get {100 / max(classes, 1):.3g} % right. ",
                *mention,
            )
        ),
        classifier_table(trainings),
        *[training_figure(training) for training in shown],
    ]
    if folded:
        title = f"Training curves of {one_or_many(len(folded), 'more classifier')}"
        blocks.append(Details(title, [training_figure(training) for training in folded]))
    return Section("The classifiers", blocks)


def classifier_table(trainings: Sequence[TrainingRecord]) -> Table:
    """Tabulate size, accuracies and time of every recipe."""
    metrics = [name for name in _ACCURACIES if any(name in training.means for training in trainings)]
    has_diverged = any(training.diverged for training in trainings)
    columns = [
        Column("recipe"),
        Column("model"),
        Column("parameters", align="right", format=","),
        *[Column(name.replace("_", " ") + ", %", align="right") for name in metrics],
        *[Column("diverged", align="right")] * has_diverged,
        Column("time", align="right"),
    ]
    best = _best(trainings)
    rows = [
        [
            training.recipe,
            training.model,
            training.parameter_count,
            *[Cell(_mean(training, name), emphasis=name == best and training is _top(trainings)) for name in metrics],
            *[_diverged(training)] * has_diverged,
            duration_words(training.duration_seconds),
        ]
        for training in trainings
    ]
    seeds = max((len(training.seeds) for training in trainings), default=0)
    return Table(
        columns,
        rows,
        "The classifiers and how often they are right.",
        note=_note(seeds),
        key="classifiers",
    )
