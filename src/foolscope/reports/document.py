"""The document model: the content of a report, independent of its format.

Sections build a :class:`Document` from stored results; renderers turn it into HTML, Markdown or LaTeX.
They number tables, figures and galleries in reading order; texts refer to them by their ``key``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "OUTCOME_TONES",
    "Block",
    "Bullets",
    "Cell",
    "CellValue",
    "Code",
    "Column",
    "Details",
    "Document",
    "Figure",
    "Gallery",
    "Inline",
    "Mono",
    "Notice",
    "Outcome",
    "Panel",
    "Paragraph",
    "Reference",
    "Section",
    "Strong",
    "Table",
    "Text",
    "Tone",
    "Verdict",
    "Verdicts",
    "right",
]

Outcome = Literal[
    "upheld",
    "contradicted",
    "undecided",
    "matters",
    "helps",
    "hurts",
    "smaller than matters",
    "no effect",
    "diverged",
]
Tone = Literal["plain", "good", "bad", "caution", "quiet", "odd", "notable"]

OUTCOME_TONES: dict[Outcome, Tone] = {
    "upheld": "good",
    "helps": "good",
    "contradicted": "bad",
    "matters": "notable",
    "hurts": "bad",
    "undecided": "caution",
    "smaller than matters": "quiet",
    "no effect": "quiet",
    "diverged": "odd",
}


@dataclass(frozen=True)
class Reference:
    """A reference to a table, figure or gallery by its key; it reads "Table 3" and links there."""

    key: str


@dataclass(frozen=True)
class Strong:
    """Bold text."""

    text: str


@dataclass(frozen=True)
class Mono:
    """A name from the program: a field, a flag, a file."""

    text: str


Inline = str | Reference | Strong | Mono
Text = str | tuple[Inline, ...]
CellValue = str | int | float | None


@dataclass(frozen=True)
class Paragraph:
    """A paragraph."""

    text: Text


@dataclass(frozen=True)
class Bullets:
    """An unordered list of short texts."""

    items: Sequence[Text]


@dataclass(frozen=True)
class Notice:
    """A highlighted doubt or warning."""

    text: Text
    tone: Tone = "caution"


@dataclass(frozen=True)
class Verdict:
    """The outcome of one claim, with its sentence and the reason."""

    outcome: Outcome
    sentence: Text
    reason: Text = ""


@dataclass(frozen=True)
class Verdicts:
    """A list of verdicts, each shown by word and color."""

    items: Sequence[Verdict]


@dataclass(frozen=True)
class Cell:
    """A table cell with emphasis or color.

    Args:
        value: text, a number (written by its column's ``format``) or None (written as a dash).
        emphasis: bold; for the best of a column, say.
        tone: a color that repeats, never replaces, what the words say.
    """

    value: CellValue
    emphasis: bool = False
    tone: Tone = "plain"


@dataclass(frozen=True)
class Column:
    """A table column.

    Args:
        title: the heading; may be empty.
        align: "auto" puts a column of numbers to the right and any other to the left.
        format: how numbers are written, as for :func:`format`: ``".3f"``, ``".1%"``.
    """

    title: str
    align: Literal["auto", "left", "right", "center"] = "auto"
    format: str = ""


def right(*titles: str) -> list[Column]:
    """Return columns aligned to the right, for numbers that are written as text."""
    return [Column(title, align="right") for title in titles]


@dataclass(frozen=True)
class Table:
    """A captioned table; every row has as many cells as there are columns.

    Args:
        columns: headings, plain or with alignment and number format.
        rows: cells, plain values or :class:`Cell`.
        caption: what the table shows; required.
        note: what the reader needs below it: what ± means, how many seeds.
        key: for :class:`Reference`.
        number: filled in by :func:`foolscope.reports.numbering.numbered`.
    """

    columns: Sequence[Column | str]
    rows: Sequence[Sequence[Cell | CellValue]]
    caption: Text
    note: Text = ""
    key: str = ""
    number: int = 0

    def __post_init__(self) -> None:
        _need_caption("table", self.caption)
        for position, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise ValueError(
                    f"a table row needs one cell for each of the {len(self.columns)} columns; "
                    f"row {position} has {len(row)}"
                )


@dataclass(frozen=True)
class Figure:
    """A captioned drawing.

    Args:
        svg: the drawing, as :mod:`foolscope.reports.figures` makes it, or what draws it when a page needs it
            (:func:`foolscope.reports.figures.later`). Trusted: it is inlined.
        caption: what the figure shows and how to read it; required.
        alt: what a reader who cannot see it should know; required.
        key: for :class:`Reference`.
        number: filled in by :func:`foolscope.reports.numbering.numbered`.
    """

    svg: str | Callable[[], str]
    caption: Text
    alt: str
    key: str = ""
    number: int = 0

    def __post_init__(self) -> None:
        _need_caption("figure", self.caption)
        if not self.alt.strip():
            raise ValueError("a figure needs an alt text for readers who cannot see it; got an empty one")

    def drawing(self) -> str:
        """Return the drawing, made now if it has not been made."""
        return self.svg if isinstance(self.svg, str) else self.svg()


@dataclass(frozen=True, eq=False)
class Panel:
    """One picture of a gallery.

    Args:
        image: (height, width) or (channel, height, width), uint8 or float in [0, 1]; or the bytes of a PNG.
        title: above the picture.
        lines: below it, such as label and probability.
        bars: below these, words with a fraction in [0, 1] each, such as classes and their probabilities.
    """

    image: NDArray[Any] | bytes
    title: str = ""
    lines: Sequence[str] = ()
    bars: Sequence[tuple[str, float]] = ()

    def __post_init__(self) -> None:
        if isinstance(self.image, np.ndarray) and self.image.ndim not in (2, 3):
            raise ValueError(
                f"a panel's image must be (height, width) or (channel, height, width); got {self.image.shape}"
            )


@dataclass(frozen=True)
class Gallery:
    """Captioned rows of small pictures that belong together, numbered among the figures."""

    rows: Sequence[Sequence[Panel]]
    caption: Text
    key: str = ""
    number: int = 0

    def __post_init__(self) -> None:
        _need_caption("gallery", self.caption)


@dataclass(frozen=True)
class Code:
    """Source text, such as a study file or a command."""

    text: str
    language: str = ""


@dataclass(frozen=True)
class Details:
    """Blocks folded away behind a summary line; unfolded in print."""

    summary: str
    blocks: Sequence["Block"]


@dataclass(frozen=True)
class Section:
    """A titled run of blocks; a section inside a section is a subsection."""

    title: str
    blocks: Sequence["Block"]


Block = Paragraph | Bullets | Notice | Verdicts | Table | Figure | Gallery | Code | Details | Section


@dataclass(frozen=True)
class Document:
    """A whole report.

    Args:
        title: the study's name.
        question: what it asks, one sentence.
        lead: verdicts and findings, before all sections.
        sections: the evidence.
        colophon: recipes, versions, machine, seeds, commands.
        facts: (name, value) pairs for the strip under the title: data, trials, seeds, duration.
    """

    title: str
    question: str
    lead: Sequence[Block] = ()
    sections: Sequence[Section] = ()
    colophon: Sequence[Block] = ()
    facts: Sequence[tuple[str, str]] = ()


def _need_caption(kind: str, caption: Text) -> None:
    if not (caption.strip() if isinstance(caption, str) else caption):
        raise ValueError(f"a {kind} needs a caption; got an empty one")
