import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from foolscope.reports import render_html
from foolscope.reports.document import (
    Bullets,
    Cell,
    Code,
    Column,
    Details,
    Document,
    Figure,
    Gallery,
    Mono,
    Notice,
    Panel,
    Paragraph,
    Section,
    Strong,
    Table,
    Verdict,
    Verdicts,
)
from foolscope.reports.text import clean_text
from foolscope.reports.theme import COLORS

VOID = {"meta", "img", "br", "link", "input", "hr"}
SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><rect id="r"/><use href="#r"/></svg>'


class Reader(HTMLParser):
    """Collects tags, attributes and texts, and insists that every tag is closed in order."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.attributes, self.texts = [], [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attributes]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attributes]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def values(self, name):
        return [value for _, key, value in self.attributes if key == name]


def everywhere(text):
    """A document that says the same text in every place where a text can stand."""
    return Document(
        text,
        text,
        lead=[
            Verdicts([Verdict("upheld", text, text)]),
            Notice(text),
            Bullets([text, (Strong(text), Mono(text))]),
        ],
        sections=[
            Section(
                text,
                [
                    Paragraph(text),
                    Table([Column(text), text], [(text, Cell(text, True, "good"))], "c" + text, note=text),
                    Figure(SVG, "c" + text, "a" + text),
                    Gallery([[Panel(np.zeros((1, 2, 2)), text, (text,))]], "c" + text),
                    Details(text, [Code(text, text)]),
                    Section(text, []),
                ],
            )
        ],
        colophon=[Paragraph(text)],
        facts=[(text, text)],
    )


PLAIN = Reader(render_html(everywhere("x")))


@given(
    st.text(st.characters(codec=None), min_size=1)
    | st.sampled_from(
        [
            "</style><script>alert(1)</script>",
            '" onload="x',
            "{{ 7 * 7 }}",
            "{% raw %}",
            "<!--",
            "]]>",
            "&lt;",
            "\x00\ud800",
        ]
    )
)
@settings(max_examples=60, deadline=None)
def test_any_text_survives_and_injects_nothing(text):
    page = render_html(everywhere(text))
    page.encode("utf-8")
    reader = Reader(page)
    assert reader.tags == PLAIN.tags
    assert {key for _, key, _ in reader.attributes} == {key for _, key, _ in PLAIN.attributes}
    assert "".join(reader.texts).count(clean_text(text)) >= 15


def test_the_page_is_well_formed(demo_html):
    reader = Reader(demo_html)
    assert reader.tags.count("main") == reader.tags.count("h1") == reader.tags.count("nav") == 1
    assert demo_html.lstrip().startswith("<!doctype html>")


def test_nothing_comes_from_the_network(demo_html):
    assert "http:" not in demo_html
    assert "https:" not in demo_html
    assert not {"script", "link", "iframe"} & set(Reader(demo_html).tags)
    assert "@import" not in demo_html
    assert all(value.startswith(("#", "data:image/png;base64,")) for value in _addresses(demo_html))


def _addresses(page):
    reader = Reader(page)
    return reader.values("src") + reader.values("href") + re.findall(r"url\(([^)]+)\)", page)


def test_ids_are_unique_and_links_lead_somewhere(demo_html):
    ids = Reader(demo_html).values("id")
    assert len(ids) == len(set(ids))
    targets = [value[1:] for value in _addresses(demo_html) if value.startswith("#")]
    assert len(targets) > 100
    assert set(targets) <= set(ids)


def test_every_table_and_figure_has_a_caption_and_words(demo_html):
    reader = Reader(demo_html)
    assert reader.tags.count("table") == reader.tags.count("caption") == 3
    assert reader.tags.count("figure") == reader.tags.count("figcaption") == 6
    assert all(reader.values("alt"))
    assert len(reader.values("alt")) == reader.tags.count("img") == 12
    assert [(tag, key) for tag, key, _ in reader.attributes].count(("svg", "aria-label")) == 5
    headings = [scope for tag, key, scope in reader.attributes if tag == "th" and key == "scope"]
    assert len(headings) == reader.tags.count("th")


def test_both_themes_define_every_variable(demo_html):
    style = re.search(r"<style>(.*?)</style>", demo_html, re.DOTALL)[1]
    for name, (light, dark) in COLORS.items():
        assert f"--{name}: {light};" in style
        assert f"--{name}: {dark};" in style
    assert "prefers-color-scheme: dark" in style
    assert "@media print" in style
    defined = set(re.findall(r"(--[a-z0-9-]+):", style))
    assert set(re.findall(r"var\((--[a-z0-9-]+)", demo_html)) <= defined


def test_text_is_readable_in_both_themes():
    """WCAG 2.2: text has a contrast of 4.5 with its paper, graphics 3; a chip's paper is tinted by 11 %."""
    for theme in (0, 1):
        paper = COLORS["paper"][theme]
        for name in ("ink", "muted", "accent", "good", "bad", "caution", "quiet", "odd"):
            color = COLORS[name][theme]
            assert _contrast(color, paper) >= 5, name
            assert _contrast(color, _mixed(color, paper, 0.11)) >= 4.5, name
        for name in (name for name in COLORS if name.startswith("series-")):
            assert _contrast(COLORS[name][theme], paper) >= 3, name


def _channels(color):
    return np.array([int(color[start : start + 2], 16) for start in (1, 3, 5)]) / 255


def _mixed(color, paper, share):
    mixed = share * _channels(color) + (1 - share) * _channels(paper)
    return "#" + "".join(f"{round(255 * channel):02x}" for channel in mixed)


def _luminance(color):
    channels = _channels(color)
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def _contrast(first, second):
    bright, dim = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def test_the_same_document_gives_the_same_bytes(demo, demo_html):
    assert render_html(demo) == demo_html


def test_a_realistic_report_is_small(demo_html):
    assert len(demo_html) < 500_000


def test_importing_reports_imports_neither_matplotlib_nor_jinja():
    program = "import sys, foolscope.reports, foolscope.reports.figures; print(sorted(sys.modules))"
    names = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    for module in ("'matplotlib'", "'jinja2'"):
        assert module not in names
