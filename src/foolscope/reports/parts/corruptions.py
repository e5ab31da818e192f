"""Corruption robustness in a report: errors by corruption, kind and severity, and one image under all."""

from collections.abc import Sequence

import numpy as np

from foolscope.corruptions import KINDS
from foolscope.experiments.parts.corruptions.records import CorruptedRecord, OneCorruption
from foolscope.experiments.parts.measures import MeasureRecord
from foolscope.experiments.wording.fields import corruption_words
from foolscope.experiments.wording.sentences import POINTS, number
from foolscope.reports import document as doc
from foolscope.reports import figures as draw
from foolscope.reports.parts.part import PartReport, Shown, doubt_notices
from foolscope.reports.parts.pictures import Arrays, viewable
from foolscope.reports.phrases import join_words, one_or_many, with_interval, with_unit

__all__ = ["REPORT"]

_SETS = {"small": "CIFAR-10-C", "large": "ImageNet-C"}
_NOT_BOUNDED = ("added_error", "mce", "relative_mce")


def _sections(records: Sequence[CorruptedRecord], shown: Shown) -> list[doc.Section]:
    plans = list(dict.fromkeys(record.name for record in records))
    blocks = {
        plan: _plan_blocks([each for each in records if each.name == plan], plan, shown) for plan in plans
    }
    if len(plans) == 1:
        return [doc.Section("Corruptions", blocks[plans[0]])]
    own = [doc.Section(f"Corruptions {plan}", inner) for plan, inner in blocks.items()]
    return [doc.Section("Corruptions", own)]


def _plan_blocks(records: Sequence[CorruptedRecord], plan: str, shown: Shown) -> list[doc.Block]:
    blocks: list[doc.Block] = [_introduction(records, plan), _summary(records, plan)]
    if len(records[0].severities) > 1:  # a figure of one severity would repeat the table
        blocks.append(_figure(records, plan, len(shown.record.classes)))
    tables: list[doc.Block] = [_table(record, plan) for record in records]
    if len(records) == 1:
        blocks += tables
    else:
        blocks.append(doc.Details("Errors under every corruption, recipe by recipe", tables))
    sheet = next((_gallery(record, shown.arrays, plan) for record in records if record.pictures), None)
    blocks += [] if sheet is None else [sheet]
    notes = list(dict.fromkeys(note for record in records for note in record.skipped))
    blocks += [doc.Paragraph((f"Skipped: {'; '.join(notes)}.",))] if notes else []
    for doubt, recipes in _doubts(records).items():
        blocks += doubt_notices([doubt], recipes)
    return blocks


def _doubts(records: Sequence[CorruptedRecord]) -> dict[str, str]:
    """Return every doubt once, with the recipes that it is about."""
    named: dict[str, list[str]] = {}
    for record in records:
        for doubt in record.doubts:
            named.setdefault(doubt, []).append(record.recipe)
    return {doubt: join_words(list(dict.fromkeys(recipes))) for doubt, recipes in named.items()}


def _introduction(records: Sequence[CorruptedRecord], plan: str) -> doc.Paragraph:
    first = records[0]
    corruptions = one_or_many(len(first.corruptions), "corruption")
    severities = one_or_many(len(first.severities), "severity", "severities")
    seeds = max(len(record.seeds) for record in records)
    images = one_or_many(first.images, "test image")
    models = f"The models of {seeds} seeds of" if seeds > 1 else "One model of"
    return doc.Paragraph(
        (
            f"{models} {join_words([record.recipe for record in records])} "
            f"{'were' if seeds > 1 or len(records) > 1 else 'was'} tested on "
            f"{images}, drawn by class, under {corruptions} at {severities}, with the parameters of "
            f"{_SETS[first.size]}. An error is the share of images classified wrongly. ",
            doc.Reference(f"corruptions-{plan}"),
            " has the means.",
            *_unit(first.baseline),
        )
    )


def _unit(baseline: str | None) -> tuple[doc.Inline, ...]:
    """Explain the errors in units of a baseline's, if there is one."""
    if baseline is None:
        return ()
    said = f" divides the error under each corruption by that of {baseline} and averages the ratios; "
    added = " does the same with what the corruption adds to the error without it."
    return (" ", doc.Mono("mce"), said, doc.Mono("relative_mce"), added)


def _summary(records: Sequence[CorruptedRecord], plan: str) -> doc.Table:
    first = records[0]
    kinds = [kind for kind in KINDS if any(each.kind == kind for each in first.corruptions)]
    names = ["clean_error", "mean_error", "added_error", *(f"error@{kind}" for kind in kinds)]
    names += [] if first.baseline is None else ["mce", "relative_mce"]
    rows: list[list[doc.CellValue]] = []
    for name in names:
        found = [record.measure(name) for record in records]
        words = next(each.words for each in found if each is not None)
        rows.append([words, name, *(_cell(each, name) for each in found)])
    return doc.Table(
        ["measure", "name", *doc.right(*(f"{record.recipe}, %" for record in records))],
        rows,
        "Errors on corrupted images.",
        note=f"{_interval_note(records)}A claim refers to a measure by its name: "
        f'metric = "corruption:{plan}.mean_error"; of one corruption: error@{first.corruptions[0].name}.',
        key=f"corruptions-{plan}",
    )


def _cell(measure: MeasureRecord | None, name: str) -> str | None:
    if measure is None:
        return None
    bounds = None if name in _NOT_BOUNDED else (0.0, 1.0)
    low, high = (None, None) if measure.same else (measure.low, measure.high)
    return with_interval(measure.mean, low, high, POINTS, bounds)


def _interval_note(records: Sequence[CorruptedRecord]) -> str:
    if all(len(record.seeds) < 2 for record in records):
        return "One seed says nothing about the spread between seeds. "
    return (
        "In brackets: 95 % intervals of the means over the seeds, for these images, which all models share. "
    )


def _table(record: CorruptedRecord, plan: str) -> doc.Table:
    """Tabulate the mean errors by severity, the rows grouped by kind under the means of the kind."""
    rows: list[list[doc.Cell | doc.CellValue]] = []
    for kind in KINDS:
        own = [each for each in record.corruptions if each.kind == kind]
        if not own:
            continue
        by_severity = np.mean([[error.mean or 0.0 for error in each.errors] for each in own], axis=0)
        cells = [number(float(mean), POINTS) for mean in by_severity]
        total = _cell(record.measure(f"error@{kind}"), "error")
        rows.append([doc.Cell(each, emphasis=True) for each in (kind, *cells, total)])
        rows += [
            [
                corruption_words(each.name),
                *(number(float(error.mean or 0.0), POINTS) for error in each.errors),
                _cell(record.measure(f"error@{each.name}"), "error"),
            ]
            for each in own
        ]
    titles = [
        f"severity {severity}" if not place else str(severity)
        for place, severity in enumerate(record.severities)
    ]
    clean = with_unit(1 - float(np.mean(record.clean)))
    return doc.Table(
        ["corruption", *doc.right(*titles, "mean, %")],
        rows,
        f"Errors of {record.recipe} by corruption and severity, in %; without corruption {clean}.",
        note=f"In bold: means over the corruptions of a kind. {_interval_note([record])}".rstrip(),
        key=f"corruption-errors-{plan}-{record.recipe}",
    )


def _figure(records: Sequence[CorruptedRecord], plan: str, classes: int) -> doc.Figure:
    first = records[0]
    kinds = [kind for kind in KINDS if any(each.kind == kind for each in first.corruptions)]
    panels = {
        kind: {
            record.recipe: _band(record, [each for each in record.corruptions if each.kind == kind])
            for record in records
        }
        for kind in kinds
    }
    several = any(len(record.seeds) > 1 for record in records)
    recipes = join_words([record.recipe for record in records])
    return doc.Figure(
        draw.later(
            draw.line_panels,
            [0, *first.severities],
            {f"{kind}: accuracy, %": curves for kind, curves in panels.items()},
            x_label="severity (0: no corruption)",
            y_limits=(0.0, 102.0),
            levels={"guessing": 100 / classes} if classes > 1 else {},
            rows=-(-len(kinds) // 2),
            height=270 * -(-len(kinds) // 2),
        ),
        "Accuracy by severity, mean over the corruptions of each kind"
        + (", with 95 % intervals over the seeds." if several else "."),
        f"Curves of accuracy against severity for {recipes}, one panel per kind of corruption.",
        key=f"corruptions-{plan}-figure",
    )


def _band(record: CorruptedRecord, corruptions: Sequence[OneCorruption]) -> draw.Band:
    by_severity = np.mean([each.accuracies for each in corruptions], axis=0)  # severity, seed
    points = [record.clean, *by_severity.tolist()]
    means = [MeasureRecord.over_seeds("accuracy", "", own, record.seeds) for own in points]
    ends = [
        [np.nan if end is None else 100 * end for end in (each.mean, each.low, each.high)] for each in means
    ]
    mean, low, high = np.array(ends).T
    return draw.Band(mean, np.maximum(low, 0.0), np.minimum(high, 100.0))


def _gallery(record: CorruptedRecord, arrays: Arrays, plan: str) -> doc.Gallery | None:
    """Show the original beside the first kind, and every other kind in a row of its own."""
    pictures = [each for each in record.pictures if each.key in arrays]
    rows: list[list[doc.Panel]] = []
    latest = ""
    for each, corruption in zip(pictures, [None, *record.corruptions], strict=False):
        if not rows or (corruption is not None and latest not in ("", corruption.kind)):
            rows.append([])
        latest = "" if corruption is None else corruption.kind
        rows[-1].append(doc.Panel(viewable(arrays[each.key]), each.title))
    caption = f"One of the images under every corruption, at severity {record.pictured}."
    return doc.Gallery(rows, caption, key=f"corruptions-{plan}-images") if rows else None


def _sentences(records: Sequence[CorruptedRecord], shown: Shown) -> list[str]:
    return [said for record in records if (said := _sentence(record))]


def _sentence(record: CorruptedRecord) -> str:
    clean, mean = record.measure("clean_error"), record.measure("mean_error")
    if clean is None or mean is None or clean.mean is None or mean.mean is None:
        return ""
    errors = {each.name: record.measure(f"error@{each.name}") for each in record.corruptions}
    means = {name: each.mean for name, each in errors.items() if each is not None and each.mean is not None}
    worst, mildest = max(means, key=means.__getitem__), min(means, key=means.__getitem__)
    ends = (
        f": least under {corruption_words(mildest)}, {with_unit(means[mildest])}, "
        f"most under {corruption_words(worst)}, {with_unit(means[worst])}"
        if len(means) > 1
        else ""
    )
    under = one_or_many(len(record.corruptions), "corruption")
    return (
        f"The error of {record.recipe}, {with_unit(clean.mean)} on clean images, averages "
        f"{with_unit(mean.mean)} under {under}{ends}."
    )


REPORT = PartReport[CorruptedRecord](
    sections=_sections,
    sentences=_sentences,
    doubts=lambda records: [f"{recipes}: {doubt}" for doubt, recipes in _doubts(records).items()],
    tables=("corruptions-*",),
)
