import dataclasses

import numpy as np
import pytest

from foolscope.reports import render_html, render_latex, render_markdown
from foolscope.reports.document import (
    OUTCOME_TONES,
    Column,
    Details,
    Document,
    Figure,
    Gallery,
    Outcome,
    Panel,
    Paragraph,
    Reference,
    Section,
    Table,
)
from foolscope.reports.numbering import alignments, labels_of, numbered

SVG = '<svg viewBox="0 0 1 1"></svg>'


def table(key=""):
    return Table(["a"], [(1,)], "A caption.", key=key)


def test_numbers_run_in_reading_order_through_folded_parts():
    figure = Figure(SVG, "A caption.", "alt", key="drawing")
    gallery = Gallery([[Panel(np.zeros((2, 2)))]], "A caption.", key="pictures")
    document = Document(
        "t",
        "q",
        lead=[table("first")],
        sections=[Section("s", [figure, Details("d", [table("second"), gallery])])],
        colophon=[table("third")],
    )
    labels = labels_of(numbered(document))
    assert {key: label.text for key, label in labels.items()} == {
        "first": "Table 1",
        "second": "Table 2",
        "third": "Table 3",
        "drawing": "Figure 1",
        "pictures": "Figure 2",
    }
    assert document.lead[0].number == 0, "numbering must not change the document it was given"


def test_blocks_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        table().caption = "other"


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match="row 1 has 1"):
        Table(["a", "b"], [(1, 2), (3,)], "A caption.")


@pytest.mark.parametrize(
    "build",
    [
        lambda: Table(["a"], [], " "),
        lambda: Figure(SVG, "", "alt"),
        lambda: Figure(SVG, "A caption.", " "),
        lambda: Gallery([], ()),
    ],
)
def test_captions_and_alt_texts_are_required(build):
    with pytest.raises(ValueError, match="needs"):
        build()


@pytest.mark.parametrize("render", [render_html, render_markdown])
def test_a_reference_that_leads_nowhere_names_the_nearest_key(render):
    document = Document("t", "q", lead=[table("effects"), Paragraph((Reference("efects"),))])
    with pytest.raises(ValueError, match="Did you mean 'effects'"):
        render(document)


@pytest.mark.parametrize("render", [render_html, render_markdown, render_latex])
def test_a_key_used_twice_is_refused(render):
    with pytest.raises(ValueError, match="two blocks have the key 'same'"):
        render(Document("t", "q", lead=[table("same"), table("same")]))


def test_every_outcome_has_a_tone():
    assert set(OUTCOME_TONES) == set(Outcome.__args__)


def test_numbers_stand_to_the_right_and_words_to_the_left():
    columns = ["words", "numbers", "nothing", Column("told", align="center")]
    assert alignments(Table(columns, [("a", 1.0, None, 2), ("b", None, None, 3)], "A caption.")) == [
        "left",
        "right",
        "left",
        "center",
    ]
