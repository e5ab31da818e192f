import re
from functools import cache
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foolscope.reports import figures as draw
from foolscope.reports.figures.svg import inline_svg, rename_ids
from foolscope.reports.text import one_line_text
from foolscope.reports.theme import COLORS

X = np.arange(5.0)
CURVE = draw.Band(X, X - 0.5, X + 0.5)
COSTS = {
    "reached": [X + 1],
    "units": [X + 2],
    "slope": 1.0,
    "trained_reached": [X + 3],
    "trained_units": [X + 4],
}


def factor(label="a"):
    levels = [
        draw.Level(label, (0.9, 0.91), 0.905, 0.89, 0.92, "baseline", 0.9),
        draw.Level("b", (0.9,), 0.9, None, None, "undecided"),
        draw.Level("c", (), None, None, None, "diverged"),
    ]
    return draw.Factor(label, levels)


FIGURES = {
    "line_panels": lambda text: draw.line_panels(
        X, {text: {text: CURVE}, "other": {"b": CURVE}}, x_label=text, levels={text: 1.0}
    ),
    "gradient_flow": lambda text: draw.gradient_flow(
        {text: {text: draw.FlowLine([0.1, 0.5], 0.9), "b": draw.FlowLine([np.nan, np.nan])}}
    ),
    "approximation": lambda text: draw.approximation(
        {"x": X, "function": X**2, "network": X**2 + 1, "epsilon": 2.0}, {text: COSTS, "b": COSTS}
    ),
    "ablation_effects": lambda text: draw.ablation_effects([factor(text)] * 4, quantity=text),
    "search_panels": lambda text: draw.search_panels(
        [draw.SearchAxis(text, "log", 0.1, 1.0), draw.SearchAxis("b", "choices", -0.5, 1.5, [text, "c"])],
        [draw.SearchRound([(0.1, 1.0), None], [[0.2, 0.0], [0.4, 1.0]], [90.0, None])] * 2,
        best=(0, 0),
        winner=draw.Spot([0.2, 0.0], 89.0, 88.0, 90.0),
        baseline=80.0,
    ),
    "confusion_matrix": lambda text: draw.confusion_matrix(np.eye(3) * 9 + 1, [text, "b", "c"]),
    "taken_by_attack": lambda text: draw.taken_by_attack(
        {text: np.eye(9)[:2] + 1, "b": np.zeros((2, 9))}, [text, "e"], [text, *"tuvwxy"]
    ),
    "perturbation_sizes": lambda text: draw.perturbation_sizes(
        {text: ([0, 0.1], [5, 50]), "b": ([0.0], [0.0])}, [0.1, 0.2], x_label=text
    ),
    "dumbbells": lambda text: draw.dumbbells(
        [text, "b"], (text, [90, 80]), ("after", [0, np.nan]), x_label=text
    ),
}


@cache
def drawn(name):
    return FIGURES[name]("a")


@pytest.fixture(params=FIGURES)
def name(request):
    return request.param


def words(svg):
    return [element.text for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_the_same_numbers_give_the_same_drawing(name):
    assert FIGURES[name]("a") == drawn(name)


def test_every_color_follows_the_theme(name):
    svg = drawn(name)
    without_fallbacks = re.sub(r"var\(--[a-z0-9-]+, #[0-9a-f]{6}\)", "", svg)
    assert not re.search(r"#[0-9a-f]{3,6}\b(?![-0-9])", re.sub(r'(href="|url\()#', "", without_fallbacks))
    assert set(re.findall(r"var\(--([a-z0-9-]+), (#[0-9a-f]{6})\)", svg)) <= {
        (name, light) for name, (light, _) in COLORS.items()
    }


def test_a_drawing_stands_alone(name):
    svg = drawn(name)
    ElementTree.fromstring(svg)
    assert "<style" not in svg
    assert "DejaVu" not in svg
    assert "var(" not in draw.standalone_svg(svg)
    ElementTree.fromstring(draw.standalone_svg(svg))


def tags(svg):
    return {element.tag for element in ElementTree.fromstring(svg).iter()}


@given(text=st.text(st.characters(codec=None), min_size=1))
@settings(max_examples=5, deadline=None)
@pytest.mark.parametrize("name", FIGURES)
def test_any_text_can_be_a_label(name, text):
    svg = FIGURES[name](text)
    assert tags(svg) <= tags(drawn(name))
    written = one_line_text(text)
    if written and len(written) < 10:
        assert any(written in one_line_text(word or "") for word in words(svg))


@pytest.mark.parametrize("text", ["$x^2$", "fill: #1a1d22", 'style="stroke: #1a1d22"', "--> <b>", 'id="m1"'])
def test_labels_are_not_read_as_anything_else(text):
    assert text in words(draw.line_panels(X, {"t": {text: CURVE}}, x_label="x"))


def test_global_settings_of_matplotlib_are_neither_read_nor_left_changed():
    import matplotlib

    expected = FIGURES["line_panels"]("a")
    with matplotlib.rc_context({"lines.linewidth": 9, "font.size": 30, "axes.facecolor": "red"}):
        before = dict(matplotlib.rcParams)
        assert FIGURES["line_panels"]("a") == expected
        assert dict(matplotlib.rcParams) == before


def test_what_is_not_finite_leaves_a_gap():
    svg = draw.line_panels(
        [1, 2, 3], {"Loss": {"a": ([1.0, np.inf, np.nan], [0.5, np.nan, 1], [2, 3, np.inf])}}, x_label="x"
    )
    assert "inf" not in svg
    assert "nan" not in svg.lower()


def test_an_interval_is_drawn_where_it_lies():
    """Marks sit at the height of their values: equal for equal ones, higher for higher ones."""
    levels = [
        draw.Level(str(n), (), value, value, value, "helps") for n, value in enumerate([0.2, 0.4, 0.4, 0.8])
    ]
    svg = draw.ablation_effects([draw.Factor("f", levels)], quantity="accuracy")
    marks = re.findall(r'<use href="[^"]+" x="([\d.]+)" y="([\d.]+)" style="[^"]*--good', svg)
    across, down = np.array(marks[:4], dtype=float).T
    assert np.all(np.diff(across) > 0)
    assert down[1] == down[2]
    assert (down[0] - down[1]) * 2 == pytest.approx(down[1] - down[3], abs=0.1)


@pytest.mark.parametrize("classes", [1, 10, 11, 20, 21, 31, 100])
def test_confusion_of_any_number_of_classes(classes):
    counts = np.random.default_rng(0).poisson(0.5, (classes, classes)) + 57 * np.eye(classes)
    svg = draw.confusion_matrix(counts, [f"class {number}" for number in range(classes)])
    assert len(svg) < 400_000
    share = f"{100 * counts[0, 0] / counts[0].sum():.0f}"
    assert (share in words(svg)) == (classes <= 20)
    assert (f"{counts[0, 0]:g}" in words(svg)) == (classes <= 10)


def test_a_class_without_images_is_an_empty_row():
    svg = draw.confusion_matrix([[0, 0], [1, 3]], ["never", "always"])
    assert {"25", "75"} <= set(words(svg))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: draw.confusion_matrix(np.ones((2, 3)), ["a", "b"]), "square"),
        (lambda: draw.confusion_matrix(np.ones((2, 2)), ["a"]), "needs 2 names; got 1"),
        (lambda: draw.line_panels(X, {}, x_label="x"), "at least one panel"),
        (
            lambda: draw.line_panels(X, {"t": {"short": ([1], None, None)}}, x_label="x"),
            "'short' needs one value",
        ),
        (lambda: draw.gradient_flow({"t": {}}), "at least one panel, each with at least one line"),
        (lambda: draw.approximation({}, {}), "at least one series of costs"),
        (lambda: draw.ablation_effects([], quantity="accuracy"), "at least one factor"),
        (lambda: draw.ablation_effects([draw.Factor("f", [])], quantity="accuracy"), "at least one level"),
        (lambda: draw.standalone_svg("<p>"), "expected an <svg>"),
        (lambda: inline_svg("text", "p", ""), "expected an <svg>"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_renaming_keeps_references_and_drops_other_ids():
    svg = (
        '<svg><g id="unused"/><path id="m"/><use href="#m"/><g clip-path="url(#c)"/><clipPath id="c"/></svg>'
    )
    assert rename_ids(svg, "p") == (
        '<svg><g/><path id="p-1"/><use href="#p-1"/><g clip-path="url(#p-0)"/><clipPath id="p-0"/></svg>'
    )


def test_light_colors_are_all_different():
    lights = [light for light, _ in COLORS.values()]
    assert len(set(lights)) == len(lights)
