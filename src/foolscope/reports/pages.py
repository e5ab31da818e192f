"""From the stored record of a study, an ablation or a training to its report."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foolscope.core.errors import StoreError
from foolscope.core.files import whole_file, write_text
from foolscope.experiments.records import (
    AblationRecord,
    CurveRecord,
    GalleryRecord,
    SearchRecord,
    StudyRecord,
    TrainingRecord,
)
from foolscope.experiments.wording.sentences import amount, scale_of
from foolscope.reports.colophon import colophon
from foolscope.reports.document import Block, Document, Section
from foolscope.reports.opening import factor_verdicts, opening, study_facts
from foolscope.reports.parts.ablation import ablation_blocks, ablation_section
from foolscope.reports.parts.attacks.section import robustness_section
from foolscope.reports.parts.checks import check_section
from foolscope.reports.parts.demonstrations.section import demonstration_section
from foolscope.reports.parts.graphs import graph_blocks
from foolscope.reports.parts.inspections.section import inspected_section
from foolscope.reports.parts.mistakes import confusion_blocks, mistakes_section
from foolscope.reports.parts.search import search_blocks, search_section, search_verdict
from foolscope.reports.parts.training import classifier_table, classifiers, training_figure
from foolscope.reports.phrases import join_words, metric_words
from foolscope.reports.render.html import render_html
from foolscope.reports.render.latex import render_latex
from foolscope.reports.render.markdown import render_markdown

__all__ = [
    "ablation_document",
    "attack_document",
    "read_pictures",
    "search_document",
    "study_document",
    "training_document",
    "write_study_report",
]

FORMATS = ("html", "markdown", "latex")


def study_document(record: StudyRecord, arrays: Mapping[str, NDArray[Any]]) -> Document:
    """Build the report of a study: verdicts first, then the evidence, then how it was made.

    Args:
        record: what the study left behind.
        arrays: pixels of its galleries by key, as :func:`read_pictures` returns them.

    Returns:
        The document; sections for which the study has nothing are left out.
    """
    classes = len(record.classes)
    fooling = [gallery for gallery in record.galleries if gallery.kind == "fooling"]
    sections = [demonstration_section(each) for each in record.demonstrations]
    if record.trainings:
        trained = classifiers(record.trainings, classes)
        sections.append(Section(trained.title, [*trained.blocks, *graph_blocks(record.graphs)]))
    if record.ablations:
        sections.append(ablation_section(record.ablations))
    if record.searches:
        sections.append(search_section(record.searches))
    if record.checks or record.range_tests:
        sections.append(check_section(record.checks, record.range_tests, classes))
    sections += [inspected_section(each, arrays) for each in record.inspections]
    if record.curves or record.traces or fooling:
        sections.append(
            robustness_section(record.curves, fooling, arrays, classes, record.traces, record.classes)
        )
    mistakes = mistakes_section(record, arrays)
    if mistakes is not None:
        sections.append(mistakes)
    return Document(
        record.title,
        record.question,
        lead=opening(record),
        sections=sections,
        colophon=colophon(record),
        facts=study_facts(record),
    )


def ablation_document(record: AblationRecord, title: str = "") -> Document:
    """Build the report of an ablation alone.

    Args:
        record: what the ablation left behind.
        title: its heading; by default the recipe's name and what was varied.
    """
    factors = join_words([factor.words for factor in record.factors])
    scale = scale_of(record.metric)
    return Document(
        title or f"Ablation of {record.recipe}",
        f"How does {metric_words(record.metric)} depend on {factors}?",
        lead=[factor_verdicts(record)],
        sections=[Section("One factor at a time", ablation_blocks(record))],
        facts=[
            ("Baseline", record.recipe),
            ("Seeds", str(len(record.seeds))),
            ("Smallest difference that counts", amount(record.practical_difference, scale)),
        ],
    )


def search_document(record: SearchRecord, title: str = "") -> Document:
    """Build the report of a search alone.

    Args:
        record: what the search left behind.
        title: its heading; by default the recipe's name.
    """
    dimensions = join_words([dimension.words for dimension in record.dimensions])
    tried = sum(len(each.trials) for each in record.rounds)
    smallest = amount(record.practical_difference, scale_of("test_accuracy"))
    return Document(
        title or f"Search around {record.recipe}",
        f"Which {dimensions} would be better, and does that hold on fresh seeds?",
        lead=[search_verdict(record)],
        sections=[Section("Better settings", search_blocks(record))],
        facts=[
            ("Baseline", record.recipe),
            ("Settings tried", str(tried)),
            ("Fresh seeds", str(len(record.fresh_seeds))),
            ("Smallest difference that counts", smallest),
        ],
    )


def training_document(record: TrainingRecord, title: str = "") -> Document:
    """Build the report of the trials of one recipe.

    Args:
        record: what they left behind.
        title: its heading; by default the recipe's name.
    """
    curves = training_figure(record)
    evidence: list[Block] = [classifier_table([record])]
    if curves is not None:
        evidence.append(curves)
    sections = [Section("Training", evidence)]
    mistakes = confusion_blocks(record) if record.confusion else []
    if mistakes:
        sections.append(Section("Mistakes", mistakes))
    return Document(
        title or f"Training of {record.recipe}",
        "How well does it do, and where is it wrong?",
        sections=sections,
        facts=[("Model", record.model), ("Parameters", f"{record.parameter_count:,}")],
    )


def attack_document(
    curve: CurveRecord, gallery: GalleryRecord, arrays: Mapping[str, NDArray[Any]], classes: int
) -> Document:
    """Build the report of an attack on one model.

    Args:
        curve: the accuracy that the attack left, by budget.
        gallery: images that fool.
        arrays: their pixels by key.
        classes: how many there are.
    """
    subject = curve.attacked
    known = () if subject is None else (("Data", subject.dataset), ("Split", subject.split))
    names = [] if curve.details is None else curve.details.classes
    return Document(
        f"Attack on {curve.recipe}",
        "How much of its accuracy does an attack leave?",
        sections=[robustness_section([curve], [gallery], arrays, classes, names=names)],
        facts=[
            *[(name, value) for name, value in known if value],
            ("Images", f"{curve.images:,}"),
            ("Attacks", "full evaluation" if curve.checks else ", ".join(curve.attacks)),
        ],
    )


def write_study_report(
    record: StudyRecord,
    arrays: Mapping[str, NDArray[Any]],
    folder: Path,
    formats: Sequence[str] = FORMATS,
) -> dict[str, Path]:
    """Write the report of a study: ``report.html``, ``report.md`` with ``figures/``, ``tables.tex``.

    Args:
        record: what the study left behind.
        arrays: pixels of its galleries by key.
        folder: where to write; made if need be.
        formats: of "html", "markdown" and "latex".

    Returns:
        The file of each format.

    Raises:
        StoreError: no space or no permission.
        ValueError: an unknown format.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise ValueError(f"a report can be written as {join_words(FORMATS, 'or')}; got {unknown[0]!r}")
    document = study_document(record, arrays)
    written: dict[str, Path] = {}
    if "html" in formats:
        written["html"] = folder / "report.html"
        write_text(written["html"], render_html(document))
    if "markdown" in formats:
        written["markdown"] = folder / "report.md"
        text, files = render_markdown(document, prefix="figures/")
        for name, content in files.items():
            with whole_file(folder / name) as stream:
                stream.write(content)
        write_text(written["markdown"], text)
    if "latex" in formats:
        written["latex"] = folder / "tables.tex"
        write_text(written["latex"], render_latex(document))
    return written


def read_pictures(path: Path) -> dict[str, NDArray[Any]]:
    """Read the pixels of a study's galleries.

    Args:
        path: of ``pictures.safetensors``.

    Raises:
        StoreError: the file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return {name: np.asarray(array) for name, array in sorted(load_file(path).items())}
    except (OSError, SafetensorError) as error:
        raise StoreError(
            f"cannot read {path} ({error}); run the study again (nothing is trained twice)"
        ) from error
