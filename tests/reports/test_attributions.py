import re
from xml.etree import ElementTree

import numpy as np
import pytest

from foolscope.experiments.parts.inspections.records import ModelInspection
from foolscope.inspection.attribution.explanations import (
    AttributionPicture,
    Attributions,
    Completeness,
    MethodMaps,
)
from foolscope.inspection.attribution.means import Mean
from foolscope.inspection.attribution.sanity import AttributionSanity, MethodSanity, Stage
from foolscope.reports import figures as draw
from foolscope.reports import render_html, render_markdown
from foolscope.reports.heat import diverging, overlay
from foolscope.reports.images import data_uri, encode_png
from foolscope.reports.parts.inspections.attributions import attributions_sentence, sanity_sentence
from foolscope.reports.parts.inspections.inspection import inspection_document


def mean(value, half=0.02):
    return Mean(mean=value, low=value - half, high=value + half)


def maps(method, difference, **more):
    values = {"own": mean(0.5), "other": mean(0.3), "difference": difference, "counted": 20}
    return MethodMaps(method=method, reading=f"What {method} shows.", **{**values, **more})


def picture(label, predicted):
    keys = {"gradient": "g", "occlusion": "o"}
    return AttributionPicture(label=label, predicted=predicted, image="i", maps=keys)


def attributions(**more):
    completeness = Completeness(
        median_error=0.01, largest_error=None, tolerance=0.05, above=3, mean_steps=40.0, most_steps=256
    )
    methods = [
        maps("gradient", mean(0.2)),
        maps("integrated-gradients", mean(0.01), completeness=completeness),
        maps("occlusion", mean(-0.1)),
    ]
    pictures = {"right": [picture("cat", "cat")], "wrong": [picture("cat", "dog")]}
    return Attributions(images=20, **{"methods": methods, **pictures, **more})


def stage(depth, own, other=0.2):
    return Stage(depth=depth, layer=f"layer{depth}", own=mean(own), other=mean(other), similarity=mean(0.1))


def sanity(*remaining):
    titles = ("gradient", "occlusion")
    methods = [
        MethodSanity(
            method=title,
            title=title,
            cascading=[stage(1, 0.95), stage(2, left)],
            independent=[stage(1, 0.95), stage(2, 0.5)],
        )
        for title, left in zip(titles, remaining, strict=False)
    ]
    return AttributionSanity(images=20, layers=2, methods=methods)


GENERATOR = np.random.default_rng(0)
ARRAYS = {
    "i": GENERATOR.random((3, 4, 5)),
    "g": GENERATOR.uniform(-1, 1, (4, 5)),
    "o": GENERATOR.uniform(-1, 1, (4, 5)),
}


def document(**parts):
    record = ModelInspection(
        name="net",
        facts={"model": "net"},
        images=20,
        norm="linf",
        epsilon=0.01,
        spectra=[],
        compression=[],
        **parts,
    )
    return inspection_document(record, ARRAYS)


def test_every_image_stands_beside_its_maps_right_and_wrong_ones_apart():
    page = render_html(document(attributions=attributions()))
    pictures = re.findall(r'<img src="([^"]*)"', page)
    expected = [ARRAYS["i"], diverging(ARRAYS["g"]), overlay(ARRAYS["i"], ARRAYS["o"])]
    assert pictures == [data_uri(encode_png(each)) for each in expected] * 2
    assert (
        page.index("classified correctly")
        < page.index("predicted dog")
        < page.index("classified incorrectly")
    )
    for words in (
        "What occlusion shows.",
        "1.0 %, at most ∞ %",
        "40 steps on average",
        "occlusion, lie over",
    ):
        assert words in page
    text = render_markdown(document(attributions=attributions()))[0]
    assert "0.50 (0.48 to 0.52)" in text
    assert "data:image" not in render_html(document(attributions=attributions(right=[], wrong=[])))


def test_edges_are_said_by_verdict_and_misses_of_completeness_doubted():
    said = attributions_sentence(attributions())
    edges = "strongly with the edges of their own image than with those of another"
    assert f"maps from gradient correlate more {edges}" in said
    assert "maps from integrated gradients show no significant difference" in said
    assert f"maps from occlusion correlate less {edges}" in said
    assert attributions().doubts == [
        "Integrated gradients miss completeness by more than 5 % on 3 of 20 images with up to 256 steps."
    ]
    alone = attributions(methods=[maps("gradient", None)])
    assert "cannot be compared" in attributions_sentence(alone)
    assert alone.doubts == []


@pytest.mark.parametrize(
    ("own", "other", "unchanged"),
    [(0.63, 0.2, True), (0.59, 0.2, False), (0.95, 0.96, True), (0.85, 0.84, False), (0.5, 0.5, False)],
    ids=["nearer to one", "nearer to another", "the same for any image", "high on any image", "as another"],
)
def test_a_map_is_unchanged_if_it_is_nearer_to_one_than_to_the_control(own, other, unchanged):
    record = sanity(0.1)
    (method,) = record.methods
    final = method.model_copy(update={"cascading": [stage(1, own, other)]})
    assert final.barely_changes == unchanged
    assert bool(record.model_copy(update={"methods": [final]}).doubts) == unchanged
    undefined = stage(1, own).model_copy(update={"own": None})
    assert not method.model_copy(update={"cascading": [undefined]}).barely_changes


def test_sanity_is_a_sentence_a_figure_and_a_table():
    record = sanity(0.1, 0.9)
    assert sanity_sentence(record) == (
        "When all weights are randomized, maps from occlusion barely change; rank correlation 0.10 for "
        "gradient and 0.90 for occlusion."
    )
    assert "all maps change; rank" in sanity_sentence(sanity(0.1))
    page = render_html(document(attribution_sanity=record))
    assert "with all 2 layers randomized" in page
    assert "0.90 (0.88 to 0.92)" in page
    svg = draw.randomization({"gradient": {"cascading": [stage(1, 0.9)], "independent": [stage(1, 0.9)]}})
    texts = [each.text for each in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count("layer1") == 2
    with pytest.raises(ValueError, match="at least one method"):
        draw.randomization({})
