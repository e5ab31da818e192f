"""The classifiers of a study: how accurate they are, and how their training went."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from foolscope.experiments.parts.training import TrainingRecord, variant_metrics
from foolscope.experiments.wording.sentences import PLAIN, POINTS, Scale
from foolscope.reports import document as doc
from foolscope.reports import figures as draw
from foolscope.reports.parts.mistakes import confusion_blocks
from foolscope.reports.parts.parameter_groups import group_table, groups_by_recipe
from foolscope.reports.parts.part import PartReport, doubt_notices, doubt_sentences
from foolscope.reports.phrases import duration_words, join_words, one_or_many, with_interval, with_unit

__all__ = ["REPORT", "training_document", "training_figure", "training_sections"]

_SHOWN = 3
_HEADINGS = {
    "test_accuracy": "test accuracy, %",
    "test_balanced_accuracy": "balanced, %",
    "validation_accuracy": "validation, %",
    "training_accuracy": "training, %",
    "robust_validation_accuracy": "validation under short PGD, %",
}
_BALANCED = "test_balanced_accuracy"
_HEIGHT = 250
_IN_A_ROW = 3
_RATE = "Learning rate"
_UNKNOWN = (None, None, None)


def classifiers(trainings: Sequence[TrainingRecord], classes: int) -> doc.Section:
    """Build the section about the trained classifiers."""
    figures = [figure for training in trainings if (figure := training_figure(training)) is not None]
    guessing = f"; guessing would reach {100 / classes:.3g} %" if classes > 1 else ""
    largest = dict.fromkeys(each.largest_class.sentence for each in trainings if each.largest_class)
    blocks: list[doc.Block] = [
        doc.Paragraph(
            (
                doc.Reference("classifiers"),
                f" shows the accuracy of each classifier{guessing}. {''.join(f'{each} ' for each in largest)}"
                "All choices were made on validation images, never on test images.",
            )
        ),
        classifier_table(trainings),
        *variant_tables(trainings),
        *(notice for each in trainings for notice in doubt_notices(each.doubts, each.recipe)),
        *figures[:_SHOWN],
        *groups_by_recipe(trainings),
    ]
    if figures[_SHOWN:]:
        title = f"Training curves of {one_or_many(len(figures) - _SHOWN, 'more classifier')}"
        blocks.append(doc.Details(title, figures[_SHOWN:]))
    return doc.Section("The classifiers", blocks)


def training_document(record: TrainingRecord) -> doc.Document:
    """Build the report of the trials of one recipe."""
    return doc.Document(
        f"Training of {record.recipe}",
        "How accurate is it, and which mistakes does it make?",
        lead=[*_divergence(record), *doubt_notices(record.doubts, record.recipe)],
        sections=training_sections([record]),
        facts=[("Model", record.model), ("Parameters", f"{record.parameter_count:,}")],
    )


def training_sections(
    records: Sequence[TrainingRecord], comparison: Sequence[doc.Section] = ()
) -> list[doc.Section]:
    """Show trainings beside each other, and the curves and mistakes of the first.

    Args:
        records: at least one.
        comparison: of the trainings, between the curves and the mistakes.
    """
    curves = training_figure(records[0])
    tables = [classifier_table(records), *variant_tables(records)]
    evidence: list[doc.Block] = [*tables, *([] if curves is None else [curves])]
    evidence += [_settings_table(each) for each in records[:1] if each.settings]
    evidence += [group_table(each) for each in records[:1] if each.groups]
    mistakes = confusion_blocks(records[0]) if records[0].confusion else []
    return [
        doc.Section("Training", evidence),
        *comparison,
        *([doc.Section("Mistakes", mistakes)] if mistakes else []),
    ]


def _settings_table(record: TrainingRecord) -> doc.Table:
    return doc.Table(
        ["setting", "value"],
        [[name, value] for name, value in record.settings],
        f"How {record.recipe} was trained.",
        note="Settings that are not listed have their defaults.",
        key=f"settings-{record.recipe}",
    )


def _divergence(record: TrainingRecord) -> list[doc.Notice]:
    if not record.diverged:
        return []
    seeds = one_or_many(record.diverged, "seed")
    how = f"Training diverged with {seeds}: the loss became infinite or NaN. Lower the learning rate."
    return [doc.Notice(how, tone="bad")]


def classifier_table(trainings: Sequence[TrainingRecord]) -> doc.Table:
    """Tabulate size, accuracies, loss and time of every recipe."""
    unequal = any(training.largest_class for training in trainings)
    metrics = [
        name
        for name in _HEADINGS
        if any(name in training.means for training in trainings) and (unequal or name != _BALANCED)
    ]
    has_diverged = any(training.diverged for training in trainings)
    columns: list[doc.Column | str] = [
        "recipe",
        "model",
        doc.Column("parameters", align="right", format=","),
        *doc.right(*(_HEADINGS[name] for name in metrics)),
        *[doc.Column("diverged", align="right")] * has_diverged,
        doc.Column("time", align="right"),
    ]
    rows: list[list[doc.CellValue]] = [
        [
            training.recipe,
            training.model,
            training.parameter_count,
            *[with_interval(*training.means.get(name, _UNKNOWN), bounds=(0.0, 1.0)) for name in metrics],
            *[f"{training.diverged} of {len(training.seeds)}"] * has_diverged,
            duration_words(training.duration_seconds),
        ]
        for training in trainings
    ]
    return doc.Table(
        columns,
        rows,
        "Size, accuracy and training time of the classifiers.",
        note=_note(trainings),
        key="classifiers",
    )


def variant_tables(trainings: Sequence[TrainingRecord]) -> list[doc.Table]:
    """Tabulate the accuracy after each step that a model takes once it is trained, such as projection."""
    tables = []
    for model in dict.fromkeys(training.model for training in trainings):
        names, own = variant_metrics(model), [training for training in trainings if training.model == model]
        shown = [name for name in names if any(name in training.means for training in own)]
        if not shown:
            continue
        rows: list[list[doc.CellValue]] = [
            [
                training.recipe,
                *(with_interval(*training.means.get(name, _UNKNOWN), bounds=(0.0, 1.0)) for name in shown),
            ]
            for training in own
        ]
        headings = (f"{name.removeprefix('test_accuracy_')}, %" for name in shown)
        tables.append(
            doc.Table(
                ["recipe", *doc.right(*headings)],
                rows,
                f"Test accuracy of {model} as trained and after each step that follows training; "
                "each step is taken after the ones before it.",
                key=f"variants-{model}",
            )
        )
    return tables


def training_figure(training: TrainingRecord) -> doc.Figure | None:
    """Draw by epoch what is minimized and how often it is right; None where there is nothing to draw.

    Loss and accuracy, training beside validation; the cost where weights are penalized, and the learning rate
    where it does not only fall.
    """
    panels = _panels(training)
    if not panels or not training.epochs:
        return None
    finished = len(_finished(training))
    length = one_or_many(len(training.epochs), "epoch")
    caption = [f"Training of {training.recipe} by epoch."]
    if finished > 1:
        caption = [
            f"Training of {training.recipe} by epoch: lines are means over {finished} seeds, "
            "bands reach from the lowest to the highest."
        ]
    if "Cost" in panels:
        caption.append("The cost is the loss plus the penalty on the weights.")
    if _RATE in panels:
        caption.append("The learning rate is that of each epoch's last step.")
    if any(name.startswith("running_") for name in training.curves):
        caption.append("The running mean is over an epoch's minibatches, while the weights change.")
    if finished < len(training.seeds):
        caption.append(f"Trials that diverged are skipped ({training.diverged}).")
    rows = 2 if len(panels) > _IN_A_ROW else 1
    return doc.Figure(
        draw.later(
            draw.line_panels, training.epochs, panels, x_label="epoch", rows=rows, height=_HEIGHT * rows
        ),
        " ".join(caption),
        f"Curves of {join_words([title.lower() for title in panels])} over {length} of {training.recipe}.",
        key=f"training-{training.recipe}",
    )


def _panels(training: TrainingRecord) -> dict[str, dict[str, draw.Curve]]:
    panels: dict[str, dict[str, draw.Curve]] = {}
    quantities = (("Cost", "cost", PLAIN), ("Loss", "loss", PLAIN), ("Accuracy, %", "accuracy", POINTS))
    for title, quantity, scale in quantities:
        curves: dict[str, draw.Curve] = {
            part: _band(training, f"{source}_{quantity}", scale)
            for part, source in (("training (running mean)", "running"), ("validation", "validation"))
            if f"{source}_{quantity}" in training.curves
        }
        if curves:
            panels[title] = curves
    if panels and "learning_rate" in training.curves:
        rates = _band(training, "learning_rate", PLAIN)
        if np.any(np.diff(np.asarray(rates.mean)) > 0):
            panels[_RATE] = {"learning rate": draw.Band(rates.mean)}
    return panels


def _note(trainings: Sequence[TrainingRecord]) -> str:
    seeds = max((len(training.seeds) for training in trainings), default=0)
    diverged = (
        " Where some seeds diverged, no mean is given: it would look better than it is."
        if any(training.diverged for training in trainings)
        else ""
    )
    means = (
        f"Means over {seeds} seeds, with 95 % intervals in brackets, those of test and validation accuracy "
        "for new images, too; time is for all seeds together."
        if seeds > 1
        else "With one seed, the spread between seeds is unknown, so there are no intervals."
    )
    return means + diverged + _training_note(trainings) + _unequal_note(trainings)


def _training_note(trainings: Sequence[TrainingRecord]) -> str:
    """Say on which images training accuracy was measured."""
    counts = sorted({each.training_images for each in trainings if each.training_images})
    if not counts:
        return ""
    images = join_words([f"{count:,}" for count in counts])
    return (
        f" Training accuracy is that of the tested checkpoint on {images} training images, in evaluation "
        "mode and without augmentation."
    )


def _unequal_note(trainings: Sequence[TrainingRecord]) -> str:
    """Say what always predicting the largest class would reach, where classes are unequal."""
    sentences = dict.fromkeys(each.largest_class.sentence for each in trainings if each.largest_class)
    balanced = " Balanced accuracy is the mean recall over the classes." if sentences else ""
    return "".join(f" {each}" for each in sentences) + balanced


def _finished(training: TrainingRecord) -> list[int]:
    """Return the places of the trials that did not diverge; of all, where every one did."""
    values = next(iter(training.metrics.values()), [None] * len(training.seeds))
    return [place for place, value in enumerate(values) if value is not None] or list(
        range(len(training.seeds))
    )


def _band(training: TrainingRecord, quantity: str, scale: Scale) -> draw.Band:
    """Return the mean over the finished trials, and the range where there are several."""
    curves = training.curves[quantity]
    chosen = [curves[place] for place in _finished(training) if place < len(curves)]
    values = np.array(chosen, dtype=np.float64) * scale.factor
    mean = _over_seeds(values, np.mean)
    if len(values) < 2:
        return draw.Band(mean)
    return draw.Band(mean, _over_seeds(values, np.min), _over_seeds(values, np.max))


def _over_seeds(
    values: NDArray[np.float64], reduce: Callable[[NDArray[np.float64]], np.floating]
) -> NDArray[np.float64]:
    columns = [column[np.isfinite(column)] for column in values.T]
    return np.array([float(reduce(column)) if column.size else np.nan for column in columns])


def _accuracy_sentence(trainings: Sequence[TrainingRecord], seeds: int) -> str:
    scored = [
        (training.recipe, *training.means["test_accuracy"])
        for training in trainings
        if training.means.get("test_accuracy", (None,))[0] is not None
    ]
    lost = [training.recipe for training in trainings if training.diverged]
    diverged = f" Training diverged with some seeds for {join_words(lost)}." if lost else ""
    if not scored:
        return diverged.strip()
    largest = dict.fromkeys(each.largest_class.sentence for each in trainings if each.largest_class)
    beside = "".join(f" {each}" for each in largest)
    if len(scored) == 1:
        recipe, mean, low, high = scored[0]
        value, _, ends = (with_interval(mean, low, high, bounds=(0.0, 1.0)) or "").partition(" (")
        evidence = f" (95 % interval {ends.removesuffix(')')}, {seeds} seeds)" if ends else ""
        return f"The test accuracy of {recipe} is {value} %{evidence}.{beside}{diverged}"
    scored.sort(key=lambda each: each[1] or 0.0)
    (worst, low_mean, *_), (best, high_mean, *_) = scored[0], scored[-1]
    ends = f"{with_unit(low_mean or 0.0)} ({worst}) to {with_unit(high_mean or 0.0)} ({best})"
    means = f", means over {seeds} seeds" if seeds > 1 else ""
    return f"Test accuracy ranges from {ends}{means}.{beside}{diverged}"


REPORT = PartReport[TrainingRecord](
    sections=lambda records, shown: [classifiers(records, len(shown.record.classes))],
    sentences=lambda records, shown: [_accuracy_sentence(records, len(shown.record.seeds))],
    doubts=doubt_sentences,
)
