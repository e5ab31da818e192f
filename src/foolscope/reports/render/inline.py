"""Running text in any format: what is plain, strong, a name from the program, or a reference to a table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from foolscope.reports import document as doc
from foolscope.reports.numbering import Label, resolve

__all__ = ["Style", "padded", "written"]

_Piece = TypeVar("_Piece")


@dataclass(frozen=True)
class Style(Generic[_Piece]):
    """How a format writes each kind of text.

    Args:
        plain: running prose.
        strong: words that carry weight.
        mono: names from the program.
        reference: a mention of a table, figure or gallery, from its key and its label.
    """

    plain: Callable[[str], _Piece]
    strong: Callable[[str], _Piece]
    mono: Callable[[str], _Piece]
    reference: Callable[[str, Label], _Piece]


def written(text: doc.Text, labels: Mapping[str, Label], style: Style[_Piece]) -> list[_Piece]:
    """Write a text piece by piece.

    Args:
        text: of a document.
        labels: of its tables and figures, from :func:`foolscope.reports.numbering.labels_of`.
        style: of the format.

    Raises:
        ValueError: a reference leads nowhere.
    """
    pieces = []
    for piece in (text,) if isinstance(text, str) else text:
        match piece:
            case str():
                pieces.append(style.plain(piece))
            case doc.Strong():
                pieces.append(style.strong(piece.text))
            case doc.Mono():
                pieces.append(style.mono(piece.text))
            case doc.Reference():
                pieces.append(style.reference(piece.key, resolve(labels, piece.key)))
    return pieces


def padded(piece: str, escape: Callable[[str], str]) -> str:
    """Escape a piece of a longer text, keeping one space at either end where it had any."""
    before, after = piece[:1].isspace(), piece[-1:].isspace()
    return f"{' ' * before}{escape(piece)}{' ' * (after and bool(piece.strip()))}"
