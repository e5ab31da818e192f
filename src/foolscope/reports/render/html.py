"""A document as one HTML file that needs nothing else: no network, no script; light, dark and printed."""

from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from foolscope.reports import document as doc
from foolscope.reports import numbering
from foolscope.reports.figures.svg import inline_svg
from foolscope.reports.images import data_uri, encode_png
from foolscope.reports.render.inline import Style, written
from foolscope.reports.text import clean_text, unbroken_text
from foolscope.reports.theme import dark_variables, light_variables

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

__all__ = ["render_html"]

_PLURALS: dict[str, str] = {"matters": "matter", "helps": "help", "hurts": "hurt"}


def render_html(document: doc.Document) -> str:
    """Number a document, and write it as a self-contained HTML page.

    Returns:
        The text of the file; the same for the same document.

    Raises:
        ValueError: a reference leads nowhere, or a key is used twice.
    """
    ready = numbering.numbered(document)
    labels = numbering.labels_of(ready)
    template = _environment().get_template("report.html.jinja")
    return template.render(
        document=ready,
        rich=lambda text: _rich(text, labels),
        light_variables=light_variables(),
        dark_variables=dark_variables(),
    )


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("foolscope.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    environment.globals.update(
        alignments=numbering.alignments,
        bar_words=numbering.bar_words,
        cell_words=numbering.cell_words,
        columns_of=numbering.columns_of,
        cell_class=_cell_class,
        drawing=_drawing,
        block_kind=_kind,
        outcome_tones=doc.OUTCOME_TONES,
        picture=_picture,
        picture_words=_picture_words,
        tally=_tally,
    )
    return environment


def _finalize(value: Any) -> Any:
    """Clean every text on its way out; markup was made here and is left alone."""
    from markupsafe import Markup

    return clean_text(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _kind(block: doc.Block) -> str:
    return type(block).__name__.lower()


def _rich(text: doc.Text, labels: dict[str, numbering.Label]) -> "Markup":
    from markupsafe import Markup, escape

    style: Style[Markup] = Style(
        plain=lambda text: escape(unbroken_text(clean_text(text))),
        strong=lambda text: Markup("<strong>{}</strong>").format(unbroken_text(clean_text(text))),
        mono=lambda text: Markup("<code>{}</code>").format(clean_text(text)),
        reference=lambda key, label: Markup('<a class="reference" href="#{}">{}</a>').format(
            label.anchor, label.text
        ),
    )
    pieces = written(text, labels, style)
    return Markup("").join(pieces)


def _cell_class(cell: doc.Cell | doc.CellValue, column: doc.Column, alignment: str) -> str:
    classes = [alignment]
    if isinstance(cell, doc.Cell):
        classes += ["emphasis"] * cell.emphasis + [f"tone-{cell.tone}"] * (cell.tone != "plain")
    return " ".join(classes)


def _drawing(figure: doc.Figure) -> "Markup":
    from markupsafe import Markup, escape

    attributes = f'role="img" aria-label="{escape(clean_text(figure.alt))}"'
    return Markup(inline_svg(figure.drawing(), f"drawing-{figure.number}", attributes))


def _picture(panel: doc.Panel) -> str:
    return data_uri(panel.image if isinstance(panel.image, bytes) else encode_png(panel.image))


def _picture_words(panel: doc.Panel) -> str:
    bars = [f"{words} {numbering.bar_words(fraction)}" for words, fraction in panel.bars]
    return ", ".join(words for words in (panel.title, *panel.lines, *bars) if words) or "image"


def _tally(items: Sequence[doc.Verdict]) -> str:
    counts = Counter(item.outcome for item in items)
    return " · ".join(
        f"{counts[outcome]} {outcome if counts[outcome] == 1 else _PLURALS.get(outcome, outcome)}"
        for outcome in doc.OUTCOME_TONES
        if counts[outcome]
    )
