import re
from xml.etree import ElementTree

import numpy as np
import pytest

from foolscope.experiments.parts.searches.records import (
    ContenderRecord,
    DimensionRecord,
    RoundRecord,
    SearchRecord,
    TriedRecord,
)
from foolscope.reports import figures as draw
from foolscope.reports import render_html, render_latex, render_markdown
from foolscope.reports.document import Figure, Notice, Section, Table, Verdicts
from foolscope.reports.parts.searches import search_blocks, search_document, search_section

SVG = "{http://www.w3.org/2000/svg}"
RATE = draw.SearchAxis("learning rate", "log", 1e-4, 10.0)


def tried(rate, size, accuracy, loss=0.5):
    values = {"learning_rate": rate, "batch_size": size}
    return TriedRecord(
        values=values, scores=[accuracy], score=accuracy, loss=loss, identities=[f"{rate}-{size}"]
    )


def contender(rate, size, mean, diverged=0):
    means = (None, None, None) if diverged else (mean, mean - 0.01, mean + 0.01)
    return ContenderRecord(
        words=f"learning rate {rate:g} and batch size {size}",
        values={"learning_rate": rate, "batch_size": size},
        identities=["a", "b"],
        diverged=diverged,
        metrics={metric: [mean, mean] for metric in ("test_accuracy", "validation_accuracy")},
        means={"test_accuracy": means, "validation_accuracy": means},
    )


def record(**changes):
    first = [tried(0.001, 16, 0.4), tried(0.1, 32, 0.9, 0.3), tried(5.0, 16, None, None)]
    second = [tried(0.3, 16, 0.95, 0.2), tried(0.05, 32, 0.9, 0.4)]
    fields = {
        "recipe": "small",
        "sampler": "coarse-to-fine",
        "narrowing": 0.25,
        "dimensions": [
            DimensionRecord(field="learning_rate", words="learning rate", scale="log", low=1e-4, high=10.0),
            DimensionRecord(field="batch_size", words="batch size", scale="choices", labels=["16", "32"]),
        ],
        "seeds": [0],
        "fresh_seeds": [1, 2],
        "practical_difference": 0.005,
        "rounds": [
            RoundRecord(ranges=[(1e-4, 10.0), None], trials=first),
            RoundRecord(ranges=[(0.02, 0.5), None], trials=second),
        ],
        "best": second[0],
        "baseline": contender(0.01, 32, 0.8),
        "winner": contender(0.3, 16, 0.93),
        "outcome": "helps",
        "summary": "The best of 5 settings tried has learning rate 0.3 & batch size 16.",
        "doubts": ["the best <learning rate> lies at the upper end"],
    }
    return SearchRecord(**{**fields, **changes})


def nothing_found():
    return record(
        rounds=[RoundRecord(ranges=[(1e-4, 10.0), None], trials=[tried(5.0, 16, None, None)])],
        best=None,
        winner=None,
        outcome="diverged",
        summary="Every one of the 1 settings tried diverged, so there is no winner.",
        doubts=[],
    )


def blocks_of(kind, blocks):
    return [block for block in blocks if isinstance(block, kind)]


def words(svg):
    return [element.text for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def marks(svg, color):
    """Where the settings drawn in a color stand, from left to right, in CSS pixels."""
    uses = [
        use
        for use in ElementTree.fromstring(svg).iter(f"{SVG}use")
        if color in use.get("style", "") and "fill-opacity" in use.get("style", "")  # not in the legend
    ]
    return sorted((float(use.get("x")), float(use.get("y"))) for use in uses)


# ------------------------------------------------------------------ the figure


def rounds_of(values, places=None, ranges=(None,)):
    places = places or [[10.0**-position] for position in range(len(values))]
    return [draw.SearchRound(list(ranges), places, values)]


def test_settings_stand_where_their_values_are():
    svg = draw.search_panels([RATE], rounds_of([40.0, 42.0, 44.0], [[0.001], [0.1], [10.0]]))
    (x1, y1), (x2, y2), (x3, y3) = marks(svg, "--series-1")
    assert x2 - x1 == pytest.approx(x3 - x2, abs=0.1)  # a logarithmic axis
    assert y2 - y1 == pytest.approx(y3 - y2, abs=0.1)  # accuracies this near are on a linear one
    assert y3 < y1
    assert "learning rate" in words(svg)


def test_where_accuracies_differ_widely_the_axis_is_logarithmic_in_the_error():
    svg = draw.search_panels([RATE], rounds_of([0.0, 90.0, 99.0], [[0.001], [0.1], [10.0]]))
    heights = [y for _, y in marks(svg, "--series-1")]
    assert heights[0] - heights[1] == pytest.approx(heights[1] - heights[2], abs=0.1)
    assert {"0", "50", "90", "95", "99"} <= set(words(svg))


@pytest.mark.parametrize("values", [[100.0, 100.0], [100.0, 10.0], [0.0, 0.0], [99.99, 12.0], [50.0, None]])
def test_any_accuracies_can_be_drawn(values):
    svg = draw.search_panels([RATE], rounds_of(values), winner=draw.Spot([0.1], 100.0, 99.0, 101.0))
    height = float(ElementTree.fromstring(svg).get("height"))
    shown = marks(svg, "--series-1")
    assert len(shown) == sum(value is not None for value in values)
    assert all(np.isfinite(y) and 0 <= y <= height for _, y in shown)


def test_rounds_from_a_part_of_the_range_shade_it():
    whole, part = (rounds_of([50.0, 50.0], [[0.01], [1.0]], [ends]) for ends in ((1e-4, 10.0), (0.01, 1.0)))
    assert "opacity: 0.1" not in draw.search_panels([RATE], whole + whole).replace("fill-opacity", "")
    svg = draw.search_panels([RATE], whole + part)
    (path,) = re.findall(r'd="([^"]*)" [^>]*fill: var\(--series-2, #\w{6}\); opacity: 0\.1"', svg)
    corners = [float(x) for x in re.findall(r"[ML] ([\d.]+) ", path)]
    (left, _), (right, _) = marks(svg, "--series-2")
    assert (min(corners), max(corners)) == pytest.approx((left, right), abs=0.1)


def test_the_ring_is_around_the_setting_that_was_chosen():
    sizes = draw.SearchAxis("batch size", "choices", -0.5, 1.5, ["16", "32"])
    rounds = [draw.SearchRound([None], [[0.0], [1.0], [1.0]], [10.0, 20.0, 60.0])]
    svg = draw.search_panels([sizes], rounds, best=(0, 1))
    rings = [
        (float(use.get("x")), float(use.get("y")))
        for use in ElementTree.fromstring(svg).iter(f"{SVG}use")
        if "fill-opacity: 0; stroke: var(--ink" in use.get("style", "")
    ]
    assert marks(svg, "--series-1")[1] in rings


def test_the_legend_names_what_is_drawn_and_nothing_else():
    plain = words(draw.search_panels([RATE], rounds_of([50.0])))
    assert "setting tried" in plain
    assert not {"chosen", "winner on fresh seeds", "baseline on fresh seeds", "diverged"} & set(plain)
    every = words(
        draw.search_panels(
            [RATE],
            rounds_of([50.0, None]) + rounds_of([60.0]),
            best=(1, 0),
            winner=draw.Spot([1.0], 55.0, None, None),
            baseline=40.0,
        )
    )
    for name in (
        "round 1",
        "round 2",
        "chosen",
        "winner on fresh seeds",
        "baseline on fresh seeds",
        "diverged",
    ):
        assert name in every


def test_nothing_to_draw_is_refused():
    with pytest.raises(ValueError, match="at least one axis and one round"):
        draw.search_panels([], rounds_of([50.0]))
    with pytest.raises(ValueError, match="at least one axis and one round"):
        draw.search_panels([RATE], [])


# ------------------------------------------------------------------ the section


def test_the_best_settings_come_first_and_what_diverged_last():
    own, _ = blocks_of(Table, search_blocks(record()))
    accuracies = [row[2].value for row in own.rows]
    assert accuracies == ["95.0", "90.0", "90.0", "40.0", "diverged"]
    assert [row[0].value for row in own.rows][:3] == ["0.3", "0.1", "0.05"]  # ties by validation loss
    assert [row[0].emphasis for row in own.rows] == [True, False, False, False, False]
    assert [row[-1] for row in own.rows] == [2, 1, 2, 1, 1]


def test_the_winner_stands_beside_the_baseline():
    _, fresh = blocks_of(Table, search_blocks(record()))
    baseline, winner = fresh.rows
    assert baseline[:3] == ["baseline", "0.01", "32"]
    assert winner[:3] == ["winner", "0.3", "16"]
    assert winner[3:6] == ["95.0", "93.0 (92.0 to 94.0)", "93.0 (92.0 to 94.0)"]
    assert (winner[6].value, winner[6].tone) == ("helps", "good")
    assert baseline[5] == "80.0 (79.0 to 81.0)"


def test_the_text_says_how_it_was_searched():
    page = render_markdown(search_document(record()))[0]
    for part in (
        "5 settings of the learning rate (0.0001 to 10, logarithmic) and the batch size (16 or 32)",
        "in 2 rounds",
        "each 25 % as wide",
        "2 seeds that the search had not seen",
    ):
        assert part in page
    assert "at random" in render_markdown(search_document(record(sampler="random", narrowing=None)))[0]
    assert "Optuna" in render_markdown(search_document(record(sampler="tpe", narrowing=None)))[0]


def test_many_settings_are_folded_away():
    many = [tried(10.0**-position, 16, 0.9 - position / 100) for position in range(12)]
    blocks = search_blocks(record(rounds=[RoundRecord(ranges=[(1e-12, 1.0), None], trials=many)]))
    assert len(blocks_of(Table, blocks)[0].rows) == 8
    assert "The other settings tried" in render_html(
        search_document(record(rounds=[RoundRecord(ranges=[(1e-12, 1.0), None], trials=many)]))
    )


@pytest.mark.parametrize("make", [record, nothing_found, lambda: record(outcome="baseline")])
def test_every_format_can_hold_it(make):
    document = search_document(make())
    page = render_html(document)
    assert make().summary.split("&")[0] in page
    assert "<learning rate>" not in page
    assert render_latex(document)
    assert render_markdown(document)[0]


def test_doubts_are_shown():
    (doubt,) = blocks_of(Notice, search_blocks(record()))
    assert "upper end." in doubt.text[1]


def test_several_searches_are_subsections_with_keys_of_their_own():
    section = search_section([record(), record(recipe="other"), nothing_found()])
    parts = blocks_of(Section, section.blocks)
    assert [part.title for part in parts] == [
        f"Learning rate and batch size of {name}" for name in ("small", "other", "small")
    ]
    assert all(isinstance(part.blocks[0], Verdicts) for part in parts)
    keys = [block.key for part in parts for block in blocks_of((Figure, Table), part.blocks)]
    assert len(set(keys)) == len(keys) == 9
