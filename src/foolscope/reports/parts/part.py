"""How a report shows a part of a study: sections, sentences for the opening, and doubts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from numpy.typing import NDArray

from foolscope.core.settings import Settings
from foolscope.experiments.study_record import StudyRecord
from foolscope.experiments.wording.sentences import Scale
from foolscope.reports.document import Block, Section

__all__ = ["PartReport", "Shown"]

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
    """

    sections: Callable[[Sequence[RecordT], Shown], Sequence[Section]]
    sentences: Callable[[Sequence[RecordT], Shown], Sequence[str]] = _none
    verdicts: Callable[[Sequence[RecordT]], Sequence[Block]] = _none
    doubts: Callable[[Sequence[RecordT]], Sequence[str]] = _none
    scale: Callable[[Sequence[RecordT]], Scale | None] = _no_scale
