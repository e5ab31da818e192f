import re

import pytest

from foolscope.reports import render_terminal
from foolscope.reports.document import (
    Bullets,
    Cell,
    Column,
    Details,
    Document,
    Figure,
    Mono,
    Notice,
    Paragraph,
    Reference,
    Section,
    Strong,
    Table,
    Verdict,
    Verdicts,
)

LEVELS = ("0.001", "0.01", "0.1")
EFFECTS = Table(
    ["factor", Column("value", align="left"), Column("test accuracy, %", align="right"), "verdict"],
    [
        [
            "learning rate" if not row else "",
            level,
            f"9{row}.1 (8{row}.0 to 9{row}.9)",
            Cell("hurts", tone="bad"),
        ]
        for row, level in enumerate(LEVELS)
    ],
    "What each value does.",
    note="Means over 5 seeds.",
    key="effects",
)
LONG = Table(["layer"], [[f"layer {row}"] for row in range(100)], "All layers.", key="layers")


def never_drawn():
    raise AssertionError("a terminal shows no figures")


DOCUMENT = Document(
    "A study of [digits]",
    "Does it matter?",
    facts=[("Seeds", "5")],
    lead=[
        Paragraph((Strong("It matters."), " See ", Reference("effects"), " and ", Mono("batch_size"), ".")),
        Verdicts(
            [Verdict("upheld", "Larger is worse.", "It falls by 3 points."), Verdict("undecided", "Or not.")]
        ),
        Bullets(["One of two.", "Two of two."]),
    ],
    sections=[
        Section(
            "Evidence",
            [
                Paragraph("An explanation that the report alone gives."),
                Table(["a"], [[1]], "Another table."),
                Figure(never_drawn, "A drawing.", "A drawing."),
                EFFECTS,
                Notice("The spread is uneven."),
                Paragraph((Strong("The rate is in the range."),)),
                Details("More", [LONG, Notice("Folded away.")]),
            ],
        )
    ],
)


def words(text):
    return " ".join(text.split())


def test_the_opening_is_printed_and_of_the_evidence_only_findings():
    text = words(render_terminal(DOCUMENT))
    for said in (
        "A study of [digits] Does it matter? Seeds: 5",
        "It matters. See Table 2 and batch_size.",
        "upheld Larger is worse. It falls by 3 points. undecided Or not.",
        "One of two.",
        "The spread is uneven.",
        "The rate is in the range.",
    ):
        assert said in text
    for unsaid in ("explanation", "Another", "drawing", "What each value", "Folded", "layer"):
        assert unsaid not in text


@pytest.mark.parametrize("tables", [["effects"], ["eff*"], ["effects", "nothing"]])
def test_tables_are_printed_if_they_are_named(tables):
    text = render_terminal(DOCUMENT, tables=tables)
    assert "Table 2. What each value does." in text
    for row, level in enumerate(LEVELS):
        assert re.search(rf"  {level} +9{row}\.1 \(8{row}\.0 to 9{row}\.9\)  hurts$", text, re.MULTILINE)
    assert "Means over 5 seeds." in text
    assert "layer" not in text


def test_a_long_table_is_cut_and_says_so():
    text = render_terminal(DOCUMENT, tables=["layers"])
    shown = re.findall(r"^layer \d+$", text, re.MULTILINE)
    (rest,) = re.findall(r"The report has (\d+) more rows", text, re.MULTILINE)
    assert len(shown) + int(rest) == 100
    assert "Folded" not in text


@pytest.mark.parametrize("width", [24, 40, 52, 60, 80, 200])
def test_nothing_is_lost_or_beyond_the_edge_at_any_width(width):
    text = render_terminal(DOCUMENT, tables=["effects"], width=width)
    assert max(map(len, text.splitlines())) <= width
    whole = render_terminal(DOCUMENT, tables=["effects"])
    letters = sorted(re.sub(r"[\s─]", "", text))
    assert letters == sorted(re.sub(r"[\s─]", "", whole))


def test_intervals_go_below_their_values_before_anything_else_is_broken():
    widths = {width: render_terminal(DOCUMENT, tables=["effects"], width=width) for width in range(30, 80)}
    below = [
        width for width, text in widths.items() if re.search(r"^ +\(81\.0 to 91\.9\)$", text, re.MULTILINE)
    ]
    beside = [width for width, text in widths.items() if "91.1 (81.0 to 91.9)" in text]
    assert below
    assert max(below) < min(beside)


def test_color_repeats_what_the_words_say(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    plain = render_terminal(DOCUMENT, tables=["effects"], width=80)
    colored = render_terminal(DOCUMENT, tables=["effects"], width=80, color=True)
    assert "\x1b" not in plain
    assert "\x1b[31m" in colored  # red, of what hurts
    bare = re.sub(r"\x1b\[[\d;]*m", "", colored)
    assert [line.rstrip() for line in bare.splitlines()] == plain.splitlines()


def test_a_reference_that_leads_nowhere_is_an_error():
    with pytest.raises(ValueError, match="efects"):
        render_terminal(
            Document("t", "q", lead=[Paragraph((Reference("efects"),))], sections=DOCUMENT.sections)
        )
