"""The section about checks, and the range test as a figure, from made-up numbers."""

import html
import re

import numpy as np
import pytest

from foolscope.experiments.records import CheckRecord, RangeTestRecord
from foolscope.reports import Document, Figure, Notice, Table, render_html, render_latex, render_markdown
from foolscope.reports import figures as draw
from foolscope.reports.numbering import walk
from foolscope.reports.sections.checks import check_document, check_section


def check(passed=True, name="overfits one batch"):
    return CheckRecord(recipe="mlp", check=name, passed=passed, sentence=f"The {name}.", numbers={"a": 1.0})


def range_test(**changes):
    record = RangeTestRecord(
        recipe="mlp",
        rates=[0.01, 0.1, 1.0, 10.0],
        losses=[2.0, 0.5, 2.2, None],
        accuracies=[0.3, 0.9, 0.2, None],
        sweep=[2.3, 1.5, 4.0, None],
        initial_loss=2.3,
        steps=80,
        own_rate=0.1,
        best_rate=0.1,
        largest_stable_rate=0.1,
        suggestion=(0.01, 0.1),
        standing="in the range",
        passed=True,
        sentence="The sentence of the range test.",
    )
    return record.model_copy(update=changes)


def blocks_of(section):
    return list(walk(Document("title", "question", sections=[section])))


def notices(section):
    return [block for block in blocks_of(section) if isinstance(block, Notice)]


def test_a_document_of_its_own_renders_everywhere():
    document = check_document([check(), check(passed=False, name="other")], range_test(), 10)
    page = html.unescape(render_html(document)).replace("\xa0", " ")
    for words in (
        "The other.",
        "ln 10 = 2.303",
        "The sentence of the range test.",
        "0.1 (this recipe)",
        "diverged",
    ):
        assert words in page
    assert "<dt>Failed</dt><dd>1</dd>" in page
    text, _ = render_markdown(document)
    assert "The sentence of the range test." in text
    assert "0.1 (this recipe)" in render_latex(document)


def test_failed_checks_are_said_twice_and_passed_ones_once():
    section = check_section([check(passed=False), check()], [], 10)
    (notice,) = notices(section)
    assert notice.tone == "bad"
    assert "failed a check" in str(notice.text)


@pytest.mark.parametrize(
    ("standing", "tones"),
    [
        ("in the range", []),
        ("too small", ["caution"]),
        ("above the range", ["caution"]),
        ("unstable", ["bad"]),
        ("nothing learns", ["bad"]),
    ],
)
def test_how_loud_the_range_test_is(standing, tones):
    passed = standing not in ("unstable", "nothing learns")
    section = check_section([], [range_test(standing=standing, passed=passed)], 10)
    assert [notice.tone for notice in notices(section)] == tones
    assert section.title == "Learning rates"


def test_several_recipes_each_have_their_figure_and_their_numbers():
    section = check_section([check()], [range_test(), range_test(recipe="cnn")], 10)
    blocks = blocks_of(section)
    figures = [block for block in blocks if isinstance(block, Figure)]
    assert [figure.key for figure in figures] == ["learning-rates-mlp", "learning-rates-cnn"]
    assert all("The sentence of the range test." in figure.alt for figure in figures)
    tables = [block for block in blocks if isinstance(block, Table)]
    assert [len(table.rows) for table in tables] == [1, 4, 4]


# ------------------------------------------------------------------ the figure


def crosses(svg):
    """How many crosses were drawn, beside that of the legend at the very top."""
    return sum(float(y) > 20 for y in re.findall(r'<use [^>]*y="([\d.]+)"[^>]*--bad', svg))


def drawn(losses, **more):
    rates = [10.0**power for power in range(len(losses))]
    return draw.learning_rate_range(rates, losses, initial_loss=1.0, **more)


def test_what_diverged_or_went_through_the_roof_is_a_cross():
    assert crosses(drawn([1.0, 0.5, 1.1])) == 0
    assert crosses(drawn([1.0, 0.5, 1.1, np.nan, 1e9, np.inf])) == 3
    assert "diverged or higher" in drawn([1.0, 0.5, 1e9])


def test_the_legend_names_what_there_is():
    plain = drawn([1.0, 0.5])
    full = drawn([1.0, 0.5], sweep=[1.0, 0.9], suggestion=(1.0, 10.0), own_rate=3.0)
    for words in ("one run, growing rate", "suggested range", "this recipe"):
        assert words not in plain
        assert words in full


@pytest.mark.parametrize("losses", [[np.nan] * 3, [2.0, 3.0, 4.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
def test_a_test_in_which_nothing_learns_is_drawn_too(losses):
    assert drawn(losses).startswith("<svg")
    assert draw.learning_rate_range([1.0], [0.0], initial_loss=0.0).startswith("<svg")


def test_rates_and_losses_must_match():
    with pytest.raises(ValueError, match="each of the 2 rates needs one loss; got 3"):
        draw.learning_rate_range([1, 2], [1, 2, 3], initial_loss=1.0)
