"""The section about checks, and the range test as a figure, from made-up numbers."""

import html
import re

import pytest

from foolscope.inspection.check import BY_DIFFERENCES, BY_HAND, Check, TensorError
from foolscope.inspection.checks.learning_rate_range import LearningRateRange
from foolscope.reports import figures as draw
from foolscope.reports import render_html, render_latex, render_markdown
from foolscope.reports.document import Details, Document, Figure, Notice, Table
from foolscope.reports.numbering import columns_of, walk
from foolscope.reports.parts.checks import check_document, check_section


def check(passed=True, name="overfits one batch"):
    return Check(recipe="mlp", check=name, passed=passed, sentence=f"The {name}.", numbers={"a": 1.0})


def range_test(**changes):
    record = LearningRateRange(
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


# ------------------------------------------------------------------ gradients


def tensor_error(tensor, error, coordinates, kinks):
    return TensorError(tensor=tensor, error=error, coordinates=coordinates, kinks=kinks)


def gradient_check(name=BY_HAND, weights=2, **changes):
    goal = {BY_HAND: 1e-12, BY_DIFFERENCES: 1e-7}[name]
    found = [tensor_error(f"body.{each}.weight", goal / 10 ** (each + 1), 7, each) for each in range(weights)]
    record = Check(
        recipe="mlp",
        check=name,
        passed=True,
        sentence="It.",
        numbers={"error": goal / 10, "goal": goal, "images": 8.0},
        tensors=[tensor_error("images", 0.0, 90, 0), *found],
    )
    return record.model_copy(update=changes)


def gradient_section(*checks):
    blocks = check_section(checks, [], 10).blocks
    (section,) = [block for block in blocks if getattr(block, "title", "").startswith("Grad")]
    assert section.title == "Gradients of mlp"
    return section


def test_gradients_have_a_row_per_tensor_with_both_errors():
    _, figure, table = gradient_section(gradient_check(), gradient_check(BY_DIFFERENCES)).blocks
    rows = [[getattr(cell, "value", cell) for cell in row] for row in table.rows]
    assert rows == [
        ["images", 90, "0", "0", 90, 0],
        ["body.0.weight", 7, "1.0e−13", "1.0e−08", 7, 0],
        ["body.1.weight", 7, "1.0e−14", "1.0e−09", 7, 1],
    ]
    for words in ("images", "body.0", "body.1", "hand-derived", "goal", "1e−12"):
        assert words in figure.drawing()
    assert "1.0e−13" in figure.alt


def test_an_error_beyond_its_goal_stands_out():
    broken = gradient_check(BY_DIFFERENCES, numbers={"error": 1e-8, "goal": 2e-9, "images": 8.0})
    table = gradient_section(gradient_check(), broken).blocks[2]
    tones = [row[3].tone for row in table.rows]
    assert tones == ["plain", "bad", "plain"]


def test_a_skipped_check_has_no_column_and_says_so_in_the_table():
    left_out = gradient_check(left_out=True, tensors=[], numbers={}, sentence="Skipped: why.")
    section = check_section([left_out, gradient_check(BY_DIFFERENCES)], [], 10)
    overview, table = [block for block in blocks_of(section) if isinstance(block, Table)]
    assert [row[2].value for row in overview.rows] == ["skipped", "passed"]
    assert [column.title for column in columns_of(table)] == [
        "tensor",
        "by differences",
        "at entries",
        "skipped",
    ]
    assert notices(section) == []
    assert not [each for each in check_section([left_out], [], 10).blocks if hasattr(each, "blocks")]


def test_a_long_table_is_folded_up_and_weights_are_told():
    trained = gradient_check(weights=39).model_copy(update={"weights": "trained"})
    paragraph, _, folded = gradient_section(trained).blocks
    assert isinstance(folded, Details)
    assert len(folded.blocks[0].rows) == 40
    assert "after training" in "".join(str(part) for part in paragraph.text)


def test_gradients_render_everywhere():
    checks = [gradient_check(), gradient_check(BY_DIFFERENCES)]
    document = check_document(checks, range_test(), 10)
    page = render_html(document)
    assert "Gradients of mlp" in page
    assert "body.1.weight" in render_latex(document)
    text, _ = render_markdown(document)
    assert "body.1.weight" in text


def errors_drawn(*values):
    tensors = [tensor_error(f"layer {place}.weight", value, 1, 0) for place, value in enumerate(values)]
    return draw.gradient_errors({"one": gradient_check(tensors=tensors)})


def heights_of_marks(svg):
    return [float(x) for x in re.findall(r'<use [^>]*x="([\d.]+)"', svg)]


def test_errors_stand_where_their_logarithm_is():
    zero, small, middle, large = heights_of_marks(errors_drawn(0.0, 1e-15, 1e-10, 1e-5))[-5:-1]
    assert zero < small < middle < large
    assert (middle - small) == pytest.approx(large - middle, rel=1e-3)


def test_an_error_that_is_out_of_the_usual_range_is_drawn_too():
    assert "1e+00" in errors_drawn(1e-15, 2.0)


# ------------------------------------------------------------------ the figure


def crosses(svg):
    """How many crosses were drawn, beside that of the legend at the very top."""
    return sum(float(y) > 20 for y in re.findall(r'<use [^>]*y="([\d.]+)"[^>]*--bad', svg))


def drawn(losses, **changes):
    rates = [10.0**power for power in range(len(losses))]
    measured = (rates, losses, losses, losses)
    found = LearningRateRange.of(*measured, initial_loss=1.0, own_rate=1.0, steps=10)
    return draw.learning_rate_range(found.model_copy(update=changes))


def test_what_diverged_or_went_through_the_roof_is_a_cross():
    assert crosses(drawn([1.0, 0.5, 1.1])) == 0
    assert crosses(drawn([1.0, 0.5, 1.1, None, 1e9, 1e300])) == 3
    assert "diverged or higher" in drawn([1.0, 0.5, 1e9])


def test_the_legend_names_what_there_is():
    names = ("one run, growing rate", "suggested range", "this recipe")
    assert all(name in drawn([1.0, 0.5]) for name in names)
    nothing = drawn([1.0, 2.0])
    assert [name in nothing for name in names] == [True, False, True]


@pytest.mark.parametrize("losses", [[None] * 3, [2.0, 3.0, 4.0], [1.0, 1.0, 1.0], [0.0]])
def test_a_test_in_which_nothing_learns_is_drawn_too(losses):
    assert drawn(losses).startswith("<svg")
    assert drawn(losses, initial_loss=0.0).startswith("<svg")
