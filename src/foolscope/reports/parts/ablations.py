"""One factor at a time: the figure, the table, how verdicts were reached, and every run."""

from collections.abc import Sequence
from dataclasses import dataclass

from foolscope.experiments.parts.ablation_record import AblationRecord, FactorRecord, LevelRecord
from foolscope.experiments.wording.sentences import POINTS, Scale, amount, capitalized, number
from foolscope.reports import document as doc
from foolscope.reports import figures as draw
from foolscope.reports.parts.effects import (
    baseline_level,
    comparisons,
    factor_outcome,
    key_sentences,
    levels_with_baseline,
    published_within_noise,
)
from foolscope.reports.parts.looks import (
    earlier_looks_notice,
    looks_table,
    seeds_words,
    sequential_method,
    until_decided_words,
)
from foolscope.reports.parts.part import PartReport, doubt_notices
from foolscope.reports.phrases import (
    full_stop,
    join_words,
    one_or_many,
    p_cell,
    with_interval,
)

__all__ = [
    "REPORT",
    "Compared",
    "ablation_blocks",
    "ablation_document",
    "ablation_section",
    "effects_table",
    "factor_verdicts",
]


@dataclass(frozen=True)
class Compared:
    """How the runs of an ablation came about, in words.

    Args:
        opening: what was changed, before the references to the figure and the table.
        pairing: what runs with the same seed have in common, and how settings are compared.
        design: what the table of effects shows, for its caption.
        runs: what a column of the table of runs is: a seed, or any run.
    """

    opening: str
    pairing: str
    design: str
    runs: str = "seed"


_TRAINED = (
    " With the same seed, all settings see the images in the same order and, where shapes agree, "
    "start from the same weights. Settings are compared within seeds, which cancels what seeds differ by."
)


def ablation_document(record: AblationRecord) -> doc.Document:
    """Build the report of an ablation alone."""
    factors = join_words([factor.words for factor in record.factors])
    scale = record.scale
    return doc.Document(
        f"Ablation of {record.recipe}",
        f"How does {record.metric_words} depend on {factors}?",
        lead=[
            *doubt_notices(record.prediction_doubts),
            factor_verdicts(record),
            *[doc.Paragraph(until_decided_words(each)) for each in [record.until_decided] if each],
            *earlier_looks_notice(record),
        ],
        sections=[doc.Section("One factor at a time", ablation_blocks(record))],
        facts=[
            ("Baseline", record.recipe),
            ("Seeds", str(len(record.seeds))),
            ("Smallest difference that counts", amount(record.practical_difference, scale)),
        ],
    )


def ablation_section(ablations: Sequence[AblationRecord]) -> doc.Section:
    """Build the section about one-factor ablations, a subsection each where there are several."""
    title = "One factor at a time"
    if len(ablations) == 1:
        return doc.Section(title, ablation_blocks(ablations[0]))
    return doc.Section(
        title,
        [
            doc.Section(f"Around {ablation.recipe}", ablation_blocks(ablation, f"-{position}"))
            for position, ablation in enumerate(ablations)
        ],
    )


def ablation_blocks(
    ablation: AblationRecord, suffix: str = "", compared: Compared | None = None
) -> list[doc.Block]:
    """Show one ablation.

    Args:
        ablation: its record.
        suffix: makes the keys of its figure and tables unique.
        compared: how the runs came about, if they were not trained here.
    """
    figure, table = f"ablation{suffix}", f"effects{suffix}"
    noise = published_within_noise(ablation)
    compared = compared or _trained(ablation)
    return [
        doc.Paragraph(
            (
                compared.opening,
                doc.Reference(figure),
                " shows each run, ",
                doc.Reference(table),
                " the means and verdicts.",
            )
        ),
        _figure(ablation, figure, compared.runs),
        effects_table(ablation, table, compared),
        *doubt_notices(ablation.doubts),
        *[doc.Notice(noise)] * bool(noise),
        *earlier_looks_notice(ablation),
        *_looks(ablation, suffix),
        _method(ablation, compared.pairing),
        doc.Details("Every verdict in words", [doc.Bullets(ablation.sentences)]),
        doc.Details("Every run", [_runs_table(ablation, f"runs{suffix}", compared.runs)]),
    ]


def _trained(ablation: AblationRecord) -> Compared:
    factors = join_words([factor.words for factor in ablation.factors])
    return Compared(
        f"Starting from {ablation.recipe}, one setting was changed at a time: {factors}. "
        f"{seeds_words(ablation)}; ",
        _TRAINED,
        f"One factor at a time around {ablation.recipe}",
    )


def _looks(ablation: AblationRecord, suffix: str) -> list[doc.Block]:
    if ablation.until_decided is None:
        return []
    words = doc.Paragraph(until_decided_words(ablation.until_decided))
    return [words, doc.Details("Every look", [looks_table(ablation.until_decided, f"looks{suffix}")])]


def effects_table(
    ablation: AblationRecord, key: str = "effects", compared: Compared | None = None
) -> doc.Table:
    """Tabulate every value of every factor: mean, difference, p values, verdict, published figure."""
    has_published = any(level.published is not None for factor in ablation.factors for level in factor.levels)
    scale = ablation.scale
    compared = compared or _trained(ablation)
    unit = scale.unit.strip()
    columns: list[doc.Column | str] = [
        "factor",
        "value",
        *doc.right(
            _quantity(ablation),
            f"difference, {unit}" if unit else "difference",
            "p different",
            "p equal",
        ),
        *[doc.Column(f"published{', %' if scale.unit == POINTS.unit else ''}", align="right")]
        * has_published,
        "verdict",
    ]
    rows = [
        ["" if position else factor.words, *_level_cells(level, ablation, has_published)]
        for factor in ablation.factors
        for position, level in enumerate(levels_with_baseline(ablation, factor))
    ]
    margin = amount(ablation.practical_difference, scale)
    several = len(ablation.seeds) > 1
    return doc.Table(
        columns,
        rows,
        f"{compared.design}: {ablation.metric_words}, and the difference from the baseline (in bold).",
        note=(
            f"Means over {_run_range(ablation, compared.runs)}"
            + (
                ", with 95 % intervals in brackets; those of differences are of the test that decided"
                if several
                else ""
            )
            + ". p different: the probability of a difference this large if the true one were zero. "
            f"p equal: the probability of one this small if the true one were {margin} or more. "
            f"Both are adjusted for {one_or_many(len(comparisons(ablation)), 'comparison')}."
            + _beside_accuracy(ablation)
        ),
        key=key,
    )


def _quantity(ablation: AblationRecord) -> str:
    """Name the metric with its unit, for an axis or a column."""
    unit = ablation.scale.level_unit.strip()
    return ablation.metric_words + (f", {unit}" if unit else "")


def _run_range(ablation: AblationRecord, runs: str) -> str:
    """Say how many seeds, or runs, the means are over."""
    counts = sorted({len(level.values) for factor in ablation.factors for level in factor.levels})
    most = one_or_many(len(ablation.seeds), runs)
    return most if len(counts) < 2 else f"{counts[0]} to {most}"


def _beside_accuracy(ablation: AblationRecord) -> str:
    """Say what always predicting the largest class would reach, where the metric is an accuracy."""
    is_plain = ablation.metric in ("test_accuracy", "validation_accuracy", "training_accuracy")
    return f" {ablation.largest_class.sentence}" if is_plain and ablation.largest_class else ""


def _level_cells(
    level: LevelRecord, ablation: AblationRecord, has_published: bool
) -> list[doc.Cell | doc.CellValue]:
    scale = ablation.scale
    bounds = (0.0, 1.0) if scale.unit == POINTS.unit else None
    is_baseline = level.outcome == "baseline"
    known = level.difference is not None
    published = None if level.published is None else amount(level.published, scale).removesuffix(scale.unit)
    difference = with_interval(level.difference, level.difference_low, level.difference_high, scale)
    return [
        doc.Cell(level.label, emphasis=is_baseline),
        with_interval(level.mean, level.low, level.high, scale, bounds),
        "" if is_baseline else difference,
        "" if is_baseline else p_cell(level.p_different if known else None),
        "" if is_baseline else p_cell(level.p_equivalent if known else None),
        *[published] * has_published,
        doc.Cell(
            _outcome_words(level),
            tone="plain" if level.outcome == "baseline" else doc.OUTCOME_TONES[level.outcome],
        ),
    ]


def _outcome_words(level: LevelRecord) -> str:
    """Name the verdict, with the one about these test images alone where it is another."""
    own = level.outcome_on_these_images
    return level.outcome if own in (None, level.outcome) else f"{level.outcome}; {own} on these images"


def _figure(ablation: AblationRecord, key: str, runs: str) -> doc.Figure:
    scale = ablation.scale
    best = baseline_level(ablation)
    against = "; the dashed line is the baseline's mean" if best is not None and best.mean is not None else ""
    several = len(ablation.seeds) > 1
    mark = "the large mark is their mean with its 95 % interval" if several else "the large mark is the run"
    each = ", one per seed" if runs == "seed" else ""
    names = join_words([factor.words for factor in ablation.factors])
    return doc.Figure(
        draw.later(
            draw.ablation_effects,
            [_drawn(ablation, factor) for factor in ablation.factors],
            quantity=_quantity(ablation),
        ),
        f"{capitalized(ablation.metric_words)} by value of each factor"
        f"{', in %' if scale.unit == POINTS.unit else ''}. Small dots are runs{each}; {mark}"
        f"{against}.",
        f"Panels of {ablation.metric_words} by value of {names}.",
        key=key,
    )


def _drawn(ablation: AblationRecord, factor: FactorRecord) -> draw.Factor:
    times = ablation.scale.factor

    def scaled(value: float | None) -> float | None:
        return None if value is None else value * times

    return draw.Factor(
        factor.words,
        [
            draw.Level(
                level.label,
                [value * times for value in level.values if value is not None],
                scaled(level.mean),
                scaled(level.low),
                scaled(level.high),
                level.outcome,
                scaled(level.published),
            )
            for level in levels_with_baseline(ablation, factor)
        ],
    )


def _method(ablation: AblationRecord, pairing: str) -> doc.Paragraph:
    """Explain in a few sentences how verdicts come about, with the numbers they rest on."""
    scale = ablation.scale
    margin = amount(ablation.practical_difference, scale)
    if ablation.holds_at_every_look:
        return sequential_method(margin, ablation.level)
    spread = ""
    if ablation.residual_deviation is not None:
        deviation = number(ablation.residual_deviation, scale, ablation.residual_deviation / 10)
        spread = (
            f" The residual standard deviation, pooled over all settings, is {deviation}{scale.unit} "
            f"({one_or_many(ablation.degrees_of_freedom, 'degree')} of freedom)."
        )
    about = "A verdict is about these test images."
    if ablation.images:
        about = (
            f"A verdict is about new images of the same kind: the chance in which {ablation.images:,} images "
            "were tested counts like that of the seeds, after Obuchowski and Rockette."
        )
    detectable = ""
    if ablation.minimum_detectable_effect is not None:
        size = number(ablation.minimum_detectable_effect, scale)
        detectable = f" A true difference of {size}{scale.unit} would be found with a power of 80 %."
    return doc.Paragraph(
        (
            doc.Strong("How a verdict is reached."),
            f"{pairing}{spread} How much the other settings tell about the spread of a comparison depends "
            "on how alike they scatter. A value has no effect if two one-sided t tests rule out a difference "
            f"of {margin} or more in either direction; it helps or hurts if a two-sided t test rules out "
            "that there is none; it is smaller than matters if both do; otherwise it is undecided."
            f"{detectable} Dunnett's step-down test keeps the probability of any false “helps” or “hurts” in "
            "the table below 5 %, and Holm's method that of any false “no effect”. Intervals have the level "
            f"of the test that decided. {about}",
        )
    )


def _runs_table(ablation: AblationRecord, key: str, runs: str) -> doc.Table:
    scale = ablation.scale
    base = baseline_level(ablation)
    own = [(level.cell, level) for level in comparisons(ablation) if level.values]
    rows: list[list[doc.CellValue]] = [
        [name, *_of_every_seed(level, scale, len(ablation.seeds))]
        for name, level in [*([] if base is None else [("baseline", base)]), *own]
    ]
    return doc.Table(
        ["setting", *doc.right(*(f"{runs} {seed}" for seed in ablation.seeds))],
        rows,
        f"{capitalized(_quantity(ablation))}, of every run; a dash where "
        f"{'training diverged' if ablation.shown is None else 'it diverged, or there is none'}.",
        key=key,
    )


def _of_every_seed(level: LevelRecord, scale: Scale, seeds: int) -> list[doc.CellValue]:
    """Write a value for each seed: a dash where training diverged, nothing where there was none."""
    written = [None if value is None else number(value, scale, 0.0001) for value in level.values]
    return [*written, *[""] * (seeds - len(written))]


def factor_verdicts(ablation: AblationRecord) -> doc.Verdicts:
    """Show what each factor does, and the sentences of the values that do something."""
    return doc.Verdicts(
        [
            doc.Verdict(factor_outcome(factor), factor.summary, key_sentences(ablation, factor))
            for factor in ablation.factors
        ]
    )


def _ablation_sentence(ablation: AblationRecord) -> str:
    margin = amount(ablation.practical_difference, ablation.scale)
    predicates = {
        "matters": ("matters", "matter"),
        "no effect": (f"stays within {margin} of the baseline", f"stay within {margin} of the baseline"),
        "undecided": ("is undecided", "are undecided"),
        "diverged": ("diverges at every other value", "diverge at every other value"),
    }
    parts = []
    for outcome, (singular, plural) in predicates.items():
        words = [factor.words for factor in ablation.factors if factor_outcome(factor) == outcome]
        if words:
            parts.append(f"{join_words(words)} {singular if len(words) == 1 else plural}")
    metric = "" if ablation.metric == "test_accuracy" else f" for its {ablation.metric_words}"
    helps = any(level.outcome == "helps" for factor in ablation.factors for level in factor.levels)
    better = "" if helps else " No value was found to be better than the baseline's."
    return f"Among the settings of {ablation.recipe}{metric}, {'; '.join(parts)}.{better}"


def _verdicts(ablations: Sequence[AblationRecord]) -> list[doc.Block]:
    several = len(ablations) > 1
    return [
        doc.Section(
            f"What matters, and what does not{f' around {ablation.recipe}' if several else ''}",
            [*doubt_notices(ablation.prediction_doubts), factor_verdicts(ablation)],
        )
        for ablation in ablations
    ]


REPORT = PartReport[AblationRecord](
    sections=lambda records, shown: [ablation_section(records)],
    sentences=lambda records, shown: [_ablation_sentence(each) for each in records],
    verdicts=_verdicts,
    doubts=lambda records: [
        full_stop(doubt) for each in records for doubt in (*each.prediction_doubts, *each.doubts)
    ],
    scale=lambda records: records[0].scale,
)
