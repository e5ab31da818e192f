"""What a search tried, what it chose, and whether the choice holds on fresh seeds."""

from collections.abc import Sequence

from foolscope.experiments.parts.searches.records import (
    ContenderRecord,
    DimensionRecord,
    SearchRecord,
    TriedRecord,
)
from foolscope.experiments.wording.fields import metric_words, value_words
from foolscope.experiments.wording.sentences import POINTS, amount, capitalized, number
from foolscope.reports import document as doc
from foolscope.reports import figures as draw
from foolscope.reports.parts.part import PartReport, doubt_notices
from foolscope.reports.phrases import full_stop, join_words, one_or_many, with_interval

__all__ = ["REPORT", "search_blocks", "search_document", "search_section", "search_verdict"]

_SHOWN = 8  # of the settings tried; the others are folded away


def search_document(record: SearchRecord) -> doc.Document:
    """Build the report of a search alone."""
    tried = sum(len(each.trials) for each in record.rounds)
    smallest = amount(record.practical_difference, POINTS)
    return doc.Document(
        f"Search around {record.recipe}",
        f"Which {_dimensions(record)} would be better, and does the gain hold on fresh seeds?",
        lead=_verdict_blocks(record),
        sections=[doc.Section("Better settings", search_blocks(record))],
        facts=[
            ("Baseline", record.recipe),
            ("Settings tried", str(tried)),
            ("Fresh seeds", str(len(record.fresh_seeds))),
            ("Smallest difference that counts", smallest),
        ],
    )


def search_section(searches: Sequence[SearchRecord]) -> doc.Section:
    """Build the section about searches, a subsection each where there are several."""
    title = "Better settings"
    if len(searches) == 1:
        return doc.Section(title, [*_verdict_blocks(searches[0]), *search_blocks(searches[0])])
    return doc.Section(
        title,
        [
            doc.Section(
                capitalized(f"{_dimensions(record)} of {record.recipe}"),
                [*_verdict_blocks(record), *search_blocks(record, f"-{position}")],
            )
            for position, record in enumerate(searches)
        ],
    )


def _dimensions(record: SearchRecord) -> str:
    return join_words([dimension.words for dimension in record.dimensions])


def search_blocks(record: SearchRecord, suffix: str = "") -> list[doc.Block]:
    """Show one search; the suffix makes the keys of its figure and tables unique."""
    figure, settings, fresh = f"search{suffix}", f"settings{suffix}", f"fresh{suffix}"
    tried = _ranked(record)
    rest = tried[_SHOWN:]
    return [
        doc.Paragraph(
            (
                f"{_how(record)} ",
                doc.Reference(figure),
                " shows every setting, ",
                doc.Reference(settings),
                " the best of them, ",
                doc.Reference(fresh),
                " the choice on fresh seeds.",
            )
        ),
        _figure(record, figure),
        _settings_table(record, tried[:_SHOWN], settings, "best"),
        _fresh_table(record, fresh),
        *doubt_notices(record.doubts),
        *[
            doc.Details(
                "The other settings tried", [_settings_table(record, rest, f"others{suffix}", "other")]
            )
        ]
        * bool(rest),
    ]


def search_verdict(record: SearchRecord) -> doc.Verdicts:
    """Show what the search was worth."""
    outcome = "no effect" if record.outcome == "baseline" else record.outcome
    return doc.Verdicts([doc.Verdict(outcome, record.summary)])


def _verdict_blocks(record: SearchRecord) -> list[doc.Block]:
    """Show what the search was worth, after what casts doubt on it."""
    return [*doubt_notices(record.prediction_doubts), search_verdict(record)]


def _how(record: SearchRecord) -> str:
    """Say in a few sentences what was searched and how the winner was chosen."""
    count = sum(len(each.trials) for each in record.rounds)
    space = join_words([_searched(dimension) for dimension in record.dimensions])
    ways = {
        "coarse-to-fine": "coarse to fine: first from the whole range, then from ranges around the best so "
        f"far, each {(record.narrowing or 1) * 100:g} % as wide as the one before",
        "random": "at random",
        "tpe": "by Optuna's tree-structured Parzen estimator, a round at a time",
    }
    rounds = f" in {len(record.rounds)} rounds" if len(record.rounds) > 1 else ""
    return (
        f"Starting from {record.recipe}, {one_or_many(count, 'setting')} of {space} were tried{rounds}, "
        f"drawn {ways.get(record.sampler, record.sampler)}. The one with the highest {_score(record)} "
        f"({one_or_many(len(record.seeds), 'seed')} each) was chosen. The best of many owes part of its "
        "lead to luck, so the choice and the baseline were then trained on "
        f"{one_or_many(len(record.fresh_seeds), 'seed')} that the search had not seen."
    )


def _searched(dimension: DimensionRecord) -> str:
    if dimension.low is None or dimension.high is None:
        return f"the {dimension.words} ({join_words(dimension.labels, 'or')})"
    scale = ", logarithmic" if dimension.scale == "log" else ""
    return f"the {dimension.words} ({value_words(dimension.low)} to {value_words(dimension.high)}{scale})"


def _ranked(record: SearchRecord) -> list[tuple[int, TriedRecord]]:
    """Return every setting with the number of its round, the best first and those that diverged last."""
    tried = [(number, trial) for number, each in enumerate(record.rounds, 1) for trial in each.trials]
    return sorted(
        tried,
        key=lambda each: (each[1].score is None, -(each[1].score or 0.0), each[1].loss or 0.0),
    )


def _settings_table(
    record: SearchRecord, tried: Sequence[tuple[int, TriedRecord]], key: str, which: str
) -> doc.Table:
    rows: list[list[doc.Cell | doc.CellValue]] = []
    for position, trial in tried:
        chosen = trial == record.best
        values = [value_words(trial.values[dimension.field]) for dimension in record.dimensions]
        score = "diverged" if trial.score is None else number(trial.score, POINTS)
        rows.append(
            [
                *(doc.Cell(value, emphasis=chosen) for value in values),
                doc.Cell(score, emphasis=chosen),
                None if trial.loss is None else f"{trial.loss:.4f}",
                position,
            ]
        )
    return doc.Table(
        [
            *doc.right(*(dimension.words for dimension in record.dimensions)),
            *doc.right(f"{_score(record)}, %", "validation loss", "round"),
        ],
        rows,
        f"The {which} settings tried, by {_score(record)}, then by validation loss"
        f"{'; the first was chosen' if which == 'best' and record.best else ''}.",
        note=f"Means over {one_or_many(len(record.seeds), 'seed')}.",
        key=key,
    )


def _fresh_table(record: SearchRecord, key: str) -> doc.Table:
    contenders = [("baseline", record.baseline), *([("winner", record.winner)] if record.winner else [])]
    seen = None if record.best is None or record.best.score is None else record.best.score
    tone = "plain" if record.outcome == "baseline" else doc.OUTCOME_TONES[record.outcome]
    rows: list[list[doc.Cell | doc.CellValue]] = [
        [
            name,
            *(value_words(own.values[dimension.field]) for dimension in record.dimensions),
            number(seen, POINTS) if name == "winner" and seen is not None else "",
            _mean(own, f"validation_{record.metric}"),
            _mean(own, f"test_{record.metric}"),
            doc.Cell(record.outcome, tone=tone) if name == "winner" else "",
        ]
        for name, own in contenders
    ]
    return doc.Table(
        [
            "",
            *doc.right(*(dimension.words for dimension in record.dimensions)),
            *doc.right("validation, in the search", "validation, fresh seeds", "test, fresh seeds"),
            "verdict",
        ],
        rows,
        f"{capitalized(metric_words(record.metric))} of winner and baseline on "
        f"{one_or_many(len(record.fresh_seeds), 'fresh seed')}, in %.",
        note="Means with 95 % intervals in brackets. In the search, the winner's is biased upwards, because "
        "it is the best of many; on fresh seeds it is not." + _beside_accuracy(record),
        key=key,
    )


def _score(record: SearchRecord) -> str:
    """Name the score by which settings were chosen."""
    return metric_words(f"validation_{record.metric}")


def _beside_accuracy(record: SearchRecord) -> str:
    """Say what always predicting the largest class would reach, where the metric is accuracy."""
    known = record.metric == "accuracy" and record.largest_class
    return f" {record.largest_class.sentence}" if known and record.largest_class else ""


def _mean(own: ContenderRecord, metric: str) -> str:
    if own.diverged:
        return f"diverged in {own.diverged} of {len(own.identities)}"
    return with_interval(*own.means[metric], bounds=(0.0, 1.0)) or "–"


def _figure(record: SearchRecord, key: str) -> doc.Figure:
    winner, baseline = _winner_spot(record), record.baseline.means[f"validation_{record.metric}"][0]
    narrowing = record.sampler == "coarse-to-fine" and len(record.rounds) > 1
    names = _dimensions(record)
    return doc.Figure(
        draw.later(
            draw.search_panels,
            [_axis(dimension) for dimension in record.dimensions],
            [
                draw.SearchRound(
                    each.ranges,
                    [_places(record, trial.values) for trial in each.trials],
                    [_percent(trial.score) for trial in each.trials],
                )
                for each in record.rounds
            ],
            best=_place_of_best(record),
            winner=winner,
            baseline=_percent(baseline),
            quantity=f"{_score(record)}, %",
        ),
        f"{capitalized(_score(record))} of every setting tried, by {names}, in %."
        + (" Shaded: the ranges from which the later rounds were drawn." if narrowing else "")
        + " The ring marks the chosen setting in the search, the diamond the same setting on fresh "
        "seeds with its 95 % interval."
        * (winner is not None)
        + " The dashed line is the baseline on fresh seeds." * (baseline is not None),
        f"{capitalized(_score(record))} of every setting tried, a panel each for {names}.",
        key=key,
    )


def _place_of_best(record: SearchRecord) -> tuple[int, int] | None:
    """Return in which round the chosen setting was tried, and where in that round."""
    for position, each in enumerate(record.rounds):
        if record.best in each.trials:
            return position, each.trials.index(record.best)
    return None


def _winner_spot(record: SearchRecord) -> draw.Spot | None:
    """Return where the winner stands on fresh seeds, unless there is none or it diverged."""
    if record.winner is None:
        return None
    mean, low, high = record.winner.means[f"validation_{record.metric}"]
    if mean is None:
        return None
    return draw.Spot(_places(record, record.winner.values), 100 * mean, _percent(low), _percent(high))


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value


def _axis(dimension: DimensionRecord) -> draw.SearchAxis:
    if dimension.low is None or dimension.high is None:
        count = len(dimension.labels)
        return draw.SearchAxis(dimension.words, "choices", -0.5, count - 0.5, dimension.labels)
    return draw.SearchAxis(dimension.words, dimension.scale, dimension.low, dimension.high)


def _places(record: SearchRecord, values: dict[str, object]) -> list[float]:
    """Return where on each axis a setting lies: its value, or the number of the choice."""
    return [
        float(dimension.labels.index(value_words(values[dimension.field])))
        if dimension.scale == "choices"
        else float(str(values[dimension.field]))
        for dimension in record.dimensions
    ]


REPORT = PartReport[SearchRecord](
    sections=lambda records, shown: [search_section(records)],
    sentences=lambda records, shown: [each.summary for each in records],
    doubts=lambda records: [
        full_stop(doubt) for each in records for doubt in (*each.prediction_doubts, *each.doubts)
    ],
    scale=lambda records: POINTS,
)
