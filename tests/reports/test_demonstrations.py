"""Demonstrations in a report: figures, the measures with their names, and what is said of them."""

import html
import re

import pytest
from quick_demonstrations import QUICK

from foolscope.experiments.parts.demonstrations import DEMONSTRATIONS
from foolscope.experiments.parts.demonstrations.part import demonstrate
from foolscope.experiments.parts.measures import MeasureRecord
from foolscope.experiments.running.store import Store
from foolscope.reports import Document, figures, render_html, render_latex, render_markdown
from foolscope.reports.parts.demonstrations.measures import measure_text, over_seeds
from foolscope.reports.parts.demonstrations.section import demonstration_section, demonstration_sentence

FIGURES = {
    "constructive-approximation": 1,
    "curve-fit": 1,
    "gradient-flow": 2,
    "linear-regression": 1,
    "low-rank": 1,
    "shifted-relu": 3,
}


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    plans = [
        DEMONSTRATIONS[kind].settings.model_validate({"name": f"my-{kind}", "kind": kind, **settings})
        for kind, settings in QUICK.items()
    ]
    store = Store(tmp_path_factory.mktemp("store"))
    return {record.kind: record for record in demonstrate(plans, range(2), store)}


@pytest.mark.parametrize("kind", DEMONSTRATIONS)
def test_every_kind_has_figures_and_names_every_measure(records, kind):
    record = records[kind]
    document = Document("A title", "Why?", sections=[demonstration_section(record)])
    page = render_html(document)
    text = html.unescape(re.sub(r"<[^>]*>", " ", page[page.index("<body>") :]))
    assert page.count("<svg") == FIGURES[kind]
    assert f"my-{kind}" in text
    for measure in record.measures:
        assert measure.name in text
        assert measure_text(measure.mean) in text
    markdown, files = render_markdown(document, prefix="figures/")
    assert len([name for name in files if name.endswith(".svg")]) == FIGURES[kind]
    assert record.measures[0].words in markdown.replace("\\", "")
    assert record.measures[0].name.replace("_", r"\_") in render_latex(document)
    assert demonstration_sentence(record).endswith(".")


def test_the_sentence_says_which_rate_is_unstable(records):
    sentence = demonstration_sentence(records["linear-regression"])
    assert "at 0.0001" in sentence
    assert "never rises" in sentence
    bound = measure_text(records["linear-regression"].measure("bound").mean)
    assert f"2/λ_max is {bound}" in sentence


@pytest.mark.parametrize(
    ("values", "same", "text"),
    [
        ([1.0, 3.0], False, "1 to 3"),
        ([2.0, 2.0], True, "the same"),
        ([2.0, None], False, "2, 1 not finite"),
        ([None], False, None),
    ],
)
def test_the_reach_over_seeds(values, same, text):
    assert (
        over_seeds(
            MeasureRecord(name="a", words="a", values=values, mean=None, low=None, high=None, same=same)
        )
        == text
    )


def places(svg):
    """Corner of every box by its label."""
    corners = re.findall(r'<rect x="([\d.]+)" y="([\d.]+)"', svg)
    labels = re.findall(r"font-weight: bold[^>]*>([^<]*)<", svg)
    return {label: (float(x), float(y)) for label, (x, y) in zip(labels, corners, strict=True)}


def test_a_graph_runs_from_left_to_right_with_leaves_below():
    nodes = [{"label": label, "value": -1.0, "gradient": 2e-7} for label in ("1", "x", "exp", "a<b", "+")]
    edges = [{"start": start, "end": end, "slope": 1.0} for start, end in ((1, 2), (2, 3), (0, 4), (3, 4))]
    svg = figures.computational_graph(nodes, edges)
    at = places(svg)
    assert at["x"][0] < at["exp"][0] < at["a&lt;b"][0] < at["+"][0]
    assert at["1"][0] == at["a&lt;b"][0]
    assert at["1"][1] > at["a&lt;b"][1] == at["x"][1]
    assert svg.count("<path") == 2 * len(edges)
    assert "−1" in svg
    assert "2e−07" in svg
    assert "#" not in re.sub(r"var\(--[a-z0-9-]+, #[0-9a-f]{6}\)", "", svg)


@pytest.mark.parametrize("edge", [(1, 0), (0, 0), (0, 2)])
def test_a_graph_with_an_edge_to_nowhere_is_refused(edge):
    nodes = [{"label": "a", "value": 0.0, "gradient": 0.0}] * 2
    with pytest.raises(ValueError, match="from a node to a later one"):
        figures.computational_graph(nodes, [{"start": edge[0], "end": edge[1], "slope": 1.0}])
    with pytest.raises(ValueError, match="at least one node"):
        figures.computational_graph([], [])


def test_descents_of_any_length_and_with_gaps_are_drawn():
    svg = figures.descent_curves(
        {"short": ([0, 1, 2], [3.0, 1e9, float("inf")]), "long": (range(50), [2.0] * 50)},
        levels={"goal": 0.5},
    )
    assert "goal" in svg
    assert "long" in svg
    with pytest.raises(ValueError, match="at least one curve"):
        figures.descent_curves({})
