"""How a report shows a part of a study: sections, sentences for the opening, and doubts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from numpy.typing import NDArray

from foolscope.core.settings import Settings
from foolscope.experiments.study_record import StudyRecord
from foolscope.experiments.wording.sentences import Scale
from foolscope.reports import document as doc
from foolscope.reports.phrases import full_stop

__all__ = ["PartReport", "Shown", "doubt_notices", "doubt_sentences"]

RecordT = TypeVar("RecordT", bound=Settings)


@dataclass(frozen=True)
class Shown:
    """The study whose report is written.

    Args:
        record: everything that the study left behind.
        arrays: pixels and weights by key.
    """

    record: StudyRecord
    arrays: Mapping[str, NDArray[Any]]


def doubt_notices(doubts: Sequence[str], recipe: str = "") -> list[doc.Notice]:
    """Show every doubt about a recipe, or about the section in which the notices stand."""
    title = doc.Strong(f"Doubt about {recipe}:" if recipe else "Doubt:")
    return [doc.Notice((title, f" {full_stop(doubt)}")) for doubt in doubts]


def doubt_sentences(records: Sequence[Any]) -> list[str]:
    """Write every doubt of records that have a ``recipe`` and ``doubts``, after the recipe's name."""
    return [f"{record.recipe}: {full_stop(doubt)}" for record in records for doubt in record.doubts]


def _none(*_: Any) -> tuple[()]:
    return ()


def _no_scale(records: Sequence[Any]) -> Scale | None:
    return None


@dataclass(frozen=True)
class PartReport(Generic[RecordT]):
    """How a report shows the records of a part. Only ``sections`` is required.

    Args:
        sections: from the part's records to sections; neighboring sections with the same title become one.
        sentences: what the opening says of them, whole sentences, the most important first.
        verdicts: blocks that stand in the opening, below the claims.
        doubts: reasons not to trust the numbers, whole sentences.
        scale: how the differences are written that the part judges; None if it judges none.
        tables: keys of the tables that a terminal shows; one that ends with "*" stands for all that begin so.
    """

    sections: Callable[[Sequence[RecordT], Shown], Sequence[doc.Section]]
    sentences: Callable[[Sequence[RecordT], Shown], Sequence[str]] = _none
    verdicts: Callable[[Sequence[RecordT]], Sequence[doc.Block]] = _none
    doubts: Callable[[Sequence[RecordT]], Sequence[str]] = _none
    scale: Callable[[Sequence[RecordT]], Scale | None] = _no_scale
    tables: tuple[str, ...] = ()
