"""Attributions in a report: maps of right and wrong images side by side, edges, completeness, sanity."""

from collections.abc import Mapping, Sequence

import numpy as np

from foolscope.experiments.wording.sentences import PLAIN, POINTS, capitalized, number
from foolscope.inspection.attribution import ATTRIBUTIONS
from foolscope.inspection.attribution.explanations import AttributionPicture, Attributions, MethodMaps
from foolscope.inspection.attribution.means import Mean
from foolscope.inspection.attribution.sanity import AttributionSanity, MethodSanity, Stage
from foolscope.reports import document as doc
from foolscope.reports import figures as draw
from foolscope.reports.heat import diverging, overlay
from foolscope.reports.parts.pictures import Arrays, viewable
from foolscope.reports.phrases import join_words, one_or_many, with_interval

__all__ = ["attribution_blocks", "attributions_sentence", "sanity_blocks", "sanity_sentence"]

_CORRELATION = (-1.0, 1.0)
_COLORS = (
    "Red is above 0 and blue below, summed over channels; colors are full at each map's own 99 % "
    "quantile, so "
    "they compare pixels of one map, not maps."
)


def attributions_sentence(record: Attributions) -> str:
    """Say which methods' maps correlate with the edges of their own image."""
    by_verdict: dict[str, list[str]] = {}
    for each in record.methods:
        difference = each.difference
        if difference is None or difference.low is None or difference.high is None:
            continue
        verdict = (
            "correlate more strongly with the edges of their own image than with those of another"
            if difference.low > 0
            else "correlate less strongly with the edges of their own image than with those of another"
            if difference.high < 0
            else "show no significant difference"
        )
        by_verdict.setdefault(verdict, []).append(_title(each.method))
    if not by_verdict:
        return f"Attributions of {one_or_many(record.images, 'image')}; edges cannot be compared."
    said = [f"maps from {join_words(titles)} {verdict}" for verdict, titles in by_verdict.items()]
    return (
        f"Attributions of the predicted class for {one_or_many(record.images, 'image')}: {'; '.join(said)}."
    )


def attribution_blocks(record: Attributions, arrays: Arrays) -> list[doc.Block]:
    """Show maps of all methods beside the image, right and wrong ones apart, and a table of their edges."""
    blocks: list[doc.Block] = [
        doc.Paragraph(
            (
                attributions_sentence(record),
                " Each map says what the logit of the predicted class depends on, in the sense "
                "of its method, so "
                "maps of several methods need not agree. ",
                doc.Reference("attributions"),
                " compares them with edges.",
            )
        ),
        doc.Bullets([each.reading for each in record.methods]),
        _method_table(record),
    ]
    for kind, pictures in (("correctly", record.right), ("incorrectly", record.wrong)):
        rows = [row for each in pictures if (row := _row(each, arrays))]
        if rows:
            blocks.append(
                doc.Gallery(
                    rows,
                    f"Images that are classified {kind}, and maps of what the logit of the predicted class "
                    f"depends on. {_COLORS} {_overlaid(record.methods)}",
                    key=f"attributions-{kind}",
                )
            )
    return blocks


def _overlaid(methods: Sequence[MethodMaps]) -> str:
    coarse = [_title(each.method) for each in methods if ATTRIBUTIONS[each.method].is_overlay]
    return f"The coarse maps, {join_words(coarse)}, lie over the image in gray." if coarse else ""


def _row(record: AttributionPicture, arrays: Arrays) -> list[doc.Panel]:
    if record.image not in arrays or any(key not in arrays for key in record.maps.values()):
        return []
    image = viewable(arrays[record.image])
    said = "correct" if record.label == record.predicted else f"predicted {record.predicted}"
    panels = [doc.Panel(image, f"label {record.label}", [said])]
    for method, key in record.maps.items():
        values = np.asarray(arrays[key])
        picture = overlay(image, values) if ATTRIBUTIONS[method].is_overlay else diverging(values)
        panels.append(doc.Panel(picture, _short(method)))
    return panels


def _method_table(record: Attributions) -> doc.Table:
    rows: list[list[doc.CellValue]] = [
        [
            capitalized(_title(each.method)),
            *(_mean(mean) for mean in (each.own, each.other, each.difference)),
            _completeness(each),
        ]
        for each in record.methods
    ]
    tolerance = next((each.completeness for each in record.methods if each.completeness is not None), None)
    completeness = (
        ""
        if tolerance is None
        else " Error: relative to the change of the logit, median and largest over images; "
        f"{tolerance.mean_steps:.0f} steps on average."
    )
    return doc.Table(
        ["method", *doc.right("own edges", "another's edges", "difference", "completeness error")],
        rows,
        "Correlation of |map| with the edges of its own image and of another, "
        f"{one_or_many(record.images, 'image')}.",
        note="Pearson's correlation over the pixels, magnitudes summed over channels; means over images with "
        f"95 % t intervals. The other image is drawn at random: the control.{completeness}",
        key="attributions",
    )


def _completeness(record: MethodMaps) -> str | None:
    found = record.completeness
    if found is None or found.median_error is None:
        return None
    largest = "∞" if found.largest_error is None else number(found.largest_error, POINTS)
    return f"{number(found.median_error, POINTS)} %, at most {largest} %"


def sanity_sentence(record: AttributionSanity) -> str:
    """Say what is left of the maps once all weights are randomized."""
    kept = [each.title for each in record.methods if each.barely_changes]
    left = [
        f"{number(each.final.own.mean, PLAIN)} for {each.title}"
        for each in record.methods
        if each.final.own is not None
    ]
    if not left:
        return "No map can be compared with one of randomized weights: one of them is always flat."
    verdict = f"maps from {join_words(kept)} barely change" if kept else "all maps change"
    return f"When all weights are randomized, {verdict}; rank correlation {join_words(left)}."


def sanity_blocks(record: AttributionSanity) -> list[doc.Block]:
    """Show how maps change with each layer that is randomized."""
    return [
        doc.Paragraph(
            (
                sanity_sentence(record),
                " A map that explains what the model has learned must change where the weights "
                "are replaced by "
                "random ones: ",
                doc.Reference("attribution-randomization"),
                " randomizes the layers from the logits downwards, together and one by one. Even "
                "unrelated maps "
                "correlate where pixels have unequal influence on any model; the control is the "
                "changed map of "
                "another image. Maps are called unchanged if their correlation is nearer to 1 than to the "
                "control, or above 0.9 (Adebayo et al. 2018, arXiv:1810.03292; the limits are ours).",
            )
        ),
        doc.Figure(
            draw.later(draw.randomization, {each.title: _curves(each) for each in record.methods}),
            "Spearman's rank correlation of each map with that of the trained model, means over "
            f"{one_or_many(record.images, 'image')}. Left: all layers from the logits down to this one are "
            "randomized; right: this layer alone. Dotted: the control, another image.",
            "Rank correlation of maps against the layers whose weights are randomized.",
            key="attribution-randomization",
        ),
        doc.Table(
            ["method", *doc.right("own map", "another's map", "structural similarity")],
            [
                [
                    capitalized(each.title),
                    *(_mean(mean) for mean in (each.final.own, each.final.other, each.final.similarity)),
                ]
                for each in record.methods
            ],
            f"Maps of the trained model against maps with all {record.layers} layers randomized.",
            note="Magnitudes summed over channels; Spearman's rank correlation over the pixels, "
            "and structural "
            "similarity (Wang et al. 2004); means over images with 95 % t intervals.",
            key="attribution-sanity",
        ),
    ]


def _curves(record: MethodSanity) -> Mapping[str, Sequence[Stage]]:
    return {"cascading": record.cascading, "independent": record.independent}


def _title(method: str) -> str:
    return ATTRIBUTIONS[method].title


def _short(method: str) -> str:
    return "IG" if method == "integrated-gradients" else _title(method)


def _mean(record: Mean | None) -> str | None:
    return (
        None if record is None else with_interval(record.mean, record.low, record.high, PLAIN, _CORRELATION)
    )
