"""From the stored record of a study to its report."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foolscope.core.errors import StoreError
from foolscope.core.files import whole_file, write_text
from foolscope.experiments.study_record import StudyRecord
from foolscope.reports import document as doc
from foolscope.reports.colophon import colophon
from foolscope.reports.opening import opening, study_facts
from foolscope.reports.parts.part import Shown
from foolscope.reports.parts.table import PARTS
from foolscope.reports.phrases import join_words
from foolscope.reports.render.html import render_html
from foolscope.reports.render.latex import render_latex
from foolscope.reports.render.markdown import render_markdown

__all__ = ["read_pictures", "study_document", "write_study_report"]

FORMATS = ("html", "markdown", "latex")


def study_document(record: StudyRecord, arrays: Mapping[str, NDArray[Any]]) -> doc.Document:
    """Build the report of a study: verdicts first, then the evidence, then how it was made.

    Returns:
        The document; it has no section for what the study has not.
    """
    shown = Shown(record, arrays)
    sections = [
        section
        for name, part in PARTS.items()
        if record.of(name)
        for section in part.sections(record.of(name), shown)
    ]
    return doc.Document(
        record.title,
        record.question,
        lead=opening(shown),
        sections=_joined(sections),
        colophon=colophon(record),
        facts=study_facts(record),
    )


def _joined(sections: Sequence[doc.Section]) -> list[doc.Section]:
    """Put neighboring sections with the same title together; drop empty ones."""
    return [
        doc.Section(title, blocks)
        for title, group in groupby(sections, key=lambda section: section.title)
        if (blocks := [block for section in group for block in section.blocks])
    ]


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
    """Read the pixels of a study's galleries from its ``pictures.safetensors``.

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
