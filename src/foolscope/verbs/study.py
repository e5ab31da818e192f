"""Run a study and write its report."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from foolscope.experiments.running.run import Observer, ignore_events, watched
from foolscope.experiments.running.session import Session
from foolscope.experiments.study_file import FIRST_STUDY, read_study
from foolscope.experiments.study_record import StudyRecord
from foolscope.experiments.study_run import run_study
from foolscope.reports import Document
from foolscope.reports.pages import read_pictures, study_document, write_study_report
from foolscope.verbs.result import Result

__all__ = ["StudyResult", "study"]


@dataclass(frozen=True, eq=False)
class StudyResult(Result):
    """A study with its report.

    Args:
        record: what it found.
        pictures: pixels of its galleries by key.
        report: the page.
    """

    record: StudyRecord
    pictures: Mapping[str, np.ndarray]
    report: Path

    @property
    def document(self) -> Document:
        """The report."""
        return study_document(self.record, self.pictures)


def study(
    name_or_path: str | Path = FIRST_STUDY,
    *,
    seeds: int | None = None,
    session: Session | None = None,
    observe: Observer = ignore_events,
    command: str = "",
) -> StudyResult:
    """Run a built-in study or a study file, or what of it the store lacks, and write its report.

    Args:
        name_or_path: a built-in name, or the path of a TOML file.
        seeds: trials per cell, instead of the file's.
        session: store, data, device and executor; the defaults if not given.
        observe: called as the study goes on.
        command: what the report says how to run it again; the command line's verb if not given.
    """
    plan, text = read_study(str(name_or_path))
    if seeds is not None:
        plan = plan.model_copy(update={"seeds": seeds})
    session = watched(session or Session(), observe)
    again = command or f"foolscope study {name_or_path}"
    record = run_study(plan, session, text=text, command=again, observe=observe)
    folder = session.store.study_folder(record.name)
    pictures = read_pictures(folder / "pictures.safetensors")
    files = write_study_report(record, pictures, folder)
    return StudyResult(record, pictures, files["html"])
