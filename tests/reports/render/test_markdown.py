import re
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from foolscope.reports import render_markdown
from foolscope.reports.document import Bullets, Cell, Code, Document, Paragraph, Section, Table
from foolscope.reports.render.markdown import escape_markdown
from foolscope.reports.text import clean_text, one_line_text

PARSER = MarkdownIt("commonmark").enable(
    ["table", "strikethrough"]
)  # a parser that is not ours; rich depends on it


def shown(tokens):
    """The text that a reader sees, and the types of everything that is not text."""
    texts, kinds = [], []
    for token in tokens:
        if token.type == "inline":
            inner, more = shown(token.children)
            texts += inner
            kinds += more
        elif token.type in ("text", "text_special", "fence"):
            texts.append(token.content)
        else:
            kinds.append(token.type)
    return texts, kinds


TEXTS = st.text(st.characters(codec=None), min_size=1) | st.text("\\`*_{}[]()<>#+-.!|~$&;a1 \n", min_size=1)


@given(TEXTS)
@settings(max_examples=300, deadline=None)
def test_a_paragraph_shows_exactly_its_text(text):
    texts, kinds = shown(PARSER.parse(escape_markdown(text)))
    assert "".join(texts) == one_line_text(text)
    assert kinds in ([], ["paragraph_open", "paragraph_close"])


@given(TEXTS)
@settings(max_examples=150, deadline=None)
def test_a_table_cell_shows_exactly_its_text(text):
    markdown, _ = render_markdown(Document("t", "q", lead=[Table(["a", "b"], [("left", Cell(text))], "c")]))
    tokens = PARSER.parse(markdown)
    cells = [after for token, after in pairwise(tokens) if token.type == "td_open"]
    assert len(cells) == 2
    assert "".join(shown([cells[1]])[0]) == one_line_text(text)


@given(TEXTS)
@settings(max_examples=100, deadline=None)
def test_code_keeps_its_lines(text):
    markdown, _ = render_markdown(Document("t", "q", lead=[Code(text, "toml")]))
    fences = [token for token in PARSER.parse(markdown) if token.type == "fence"]
    assert len(fences) == 1
    assert fences[0].content.rstrip("\n") == clean_text(text).rstrip("\n")


def test_names_with_underscores_stay_readable():
    assert escape_markdown("learning_rate of 0.1") == "learning_rate of 0.1"


def test_pipes_are_escaped():
    markdown, _ = render_markdown(Document("t", "q", lead=[Table(["a|b"], [("c|d",)], "e|f")]))
    assert r"| a\|b |" in markdown
    assert r"| c\|d |" in markdown


def test_pieces_keep_the_spaces_between_them():
    markdown, _ = render_markdown(Document("t", "q", lead=[Paragraph(("one ", "two", " three"))]))
    assert "one two three" in markdown


def test_files_stand_beside_the_text(demo):
    markdown, files = render_markdown(demo, prefix="report-files/")
    assert set(re.findall(r"\]\((report-files/[^)]+)\)", markdown)) == set(files)
    assert len(files) == 5 + 12
    for name, content in files.items():
        if name.endswith(".svg"):
            assert content.startswith(b'<svg xmlns="http://www.w3.org/2000/svg"')
            assert b"var(" not in content
        else:
            assert content.startswith(b"\x89PNG")
    assert (markdown, files) == render_markdown(demo, prefix="report-files/")


def test_every_table_and_figure_is_captioned(demo):
    markdown, _ = render_markdown(demo)
    assert re.findall(r"\*\*(Table|Figure) (\d+)\.\*\*", markdown) == [
        *[("Figure", "1"), ("Table", "1")],
        *[("Figure", str(number)) for number in range(2, 7)],
        *[("Table", "2"), ("Table", "3")],
    ]
    for anchor in re.findall(r"\]\(#([^)]+)\)", markdown):
        assert f'<a id="{anchor}"></a>' in markdown


def test_headings_and_bullets_have_their_levels():
    document = Document("t", "q", sections=[Section("one", [Section("two", [Bullets(["x", "- y"])])])])
    markdown, _ = render_markdown(document)
    assert "\n## one\n" in markdown
    assert "\n### two\n" in markdown
    assert markdown.endswith("- x\n- \\- y\n")


def test_an_array_with_one_channel_becomes_a_file():
    from foolscope.reports.document import Gallery, Panel

    pictures = Gallery(
        [[Panel(np.zeros((1, 4, 4)), "a")], [Panel(np.ones((3, 4, 4))), Panel(np.ones((4, 4)))]], "c"
    )
    markdown, files = render_markdown(Document("t", "q", lead=[pictures]))
    assert sorted(files) == ["figure-1-1-1.png", "figure-1-2-1.png", "figure-1-2-2.png"]
    assert markdown.count("![") == 3
