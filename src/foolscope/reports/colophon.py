"""The colophon of a study: commands, software, machine, data, recipes, study file, trials."""

import re
from collections.abc import Sequence
from typing import Any

import tomli_w

from foolscope.experiments.study_record import StudyRecord
from foolscope.experiments.wording.sentences import POINTS, number
from foolscope.reports import document as doc
from foolscope.reports.phrases import duration_words, join_words, moment_words, one_or_many

__all__ = ["colophon"]


def colophon(record: StudyRecord) -> list[doc.Block]:
    """Build the blocks that say how the study was made and how to repeat it."""
    facts = record.provenance
    took = duration_words(record.duration_seconds)
    trained = facts.get("training_seconds")
    training = (
        f" Training the {record.trial_count:,} models takes {duration_words(trained)} in total"
        if trained
        else ""
    )
    blocks: list[doc.Block] = [
        doc.Paragraph(
            f"Made on {moment_words(record.finished)} in {took}."
            + (
                f"{training}; models that were already in the store were not trained again."
                if training
                else ""
            )
        ),
        doc.Code("\n".join(_commands(record)), "sh"),
        doc.Bullets(_facts(record)),
        doc.Details("The study file", [doc.Code(record.study_file.strip(), "toml")]),
    ]
    if record.recipes:
        recipes = doc.Code(tomli_w.dumps({"recipes": record.recipes}).strip(), "toml")
        blocks.append(doc.Details("The recipes, with every setting", [recipes]))
    trials = _trials(record)
    return [*blocks, doc.Details("The trials of each recipe", [trials])] if trials.rows else blocks


def _commands(record: StudyRecord) -> list[str]:
    run = record.command or f"foolscope study {record.name}"
    again = f"foolscope report {record.name}{_store_option(run)}"
    width = max(len(run), len(again)) + 3
    return [
        f"{run:<{width}}# repeats the study",
        f"{again:<{width}}# writes this report again without training",
    ]


def _store_option(command: str) -> str:
    """Return the ``--store`` option of a command with a space before it; empty if it has none."""
    found = re.search(r" --store(?:=| +)(?:'[^']*'|\S+)", command)
    return found[0] if found else ""


def _facts(record: StudyRecord) -> list[doc.Text]:
    facts = record.provenance
    software = join_words(
        [f"{name} {facts[key]}" for key, name in _SOFTWARE.items() if facts.get(key) is not None]
    )
    items: list[doc.Text] = [(doc.Strong("Software:"), f" {software}{_training_version(facts)}")]
    items.append((doc.Strong("Machine:"), f" {_machine(facts)}"))
    if facts.get("precision"):
        items.append((doc.Strong("Precision:"), f" {join_words([str(each) for each in facts['precision']])}"))
    items.append((doc.Strong("Seeds:"), f" {_seed_words(record.seeds)}"))
    items += [_dataset(dataset) for dataset in facts.get("datasets", ())]
    return items


_SOFTWARE = {"foolscope": "foolscope", "torch": "PyTorch", "numpy": "NumPy", "python": "Python"}


def _training_version(facts: dict[str, Any]) -> str:
    version = facts.get("training_version")
    return "" if version is None else f"; training semantics version {version}"


def _seed_words(seeds: Sequence[int]) -> str:
    if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[0] + len(seeds))):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(str(seed) for seed in seeds)


def _machine(facts: dict[str, Any]) -> str:
    threads = facts.get("threads")
    parts = [
        facts.get("processor"),
        f"device {facts['device']}" if facts.get("device") else None,
        one_or_many(threads, "thread") if isinstance(threads, int) else None,
        facts.get("platform"),
    ]
    return ", ".join(str(part) for part in parts if part) or "not recorded"


def _dataset(facts: dict[str, Any]) -> doc.Text:
    counts = facts.get("counts", {})
    parts = {"train": "training", "validation": "validation", "test": "test"}
    images = join_words([f"{counts[key]:,} {word}" for key, word in parts.items() if counts.get(key)])
    shape = " × ".join(str(side) for side in facts.get("image_shape", ()))
    classes = one_or_many(len(facts.get("classes", ())), "class", "classes")
    pieces: list[doc.Inline] = [
        doc.Strong("Data:"),
        f" {facts.get('name')}, {images} images of {shape}, {classes}",
    ]
    if facts.get("fingerprint"):
        pieces += ["; SHA-256 ", doc.Mono(str(facts["fingerprint"]))]
    return tuple(pieces)


def _trials(record: StudyRecord) -> doc.Table:
    rows: list[list[doc.CellValue]] = []
    for training in record.of("training"):
        accuracies = training.metrics.get("test_accuracy", [None] * len(training.seeds))
        for seed, identity, accuracy in zip(training.seeds, training.identities, accuracies, strict=True):
            written = None if accuracy is None else number(accuracy, POINTS, 0.0001)
            rows.append([training.recipe, str(seed), identity, written])
    return doc.Table(
        [
            "recipe",
            doc.Column("seed", align="right"),
            "trial",
            doc.Column("test accuracy, %", align="right"),
        ],
        rows,
        "The trials of each recipe. A trial's identity in the store is a hash of everything that "
        "determines its result. A dash marks a training that diverged.",
        key="trials",
    )
