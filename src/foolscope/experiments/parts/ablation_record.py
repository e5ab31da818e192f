"""The record of an ablation: the metric of every cell, the verdicts against the baseline, and their words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import Field

from foolscope.core.settings import Settings, finite_or_none
from foolscope.experiments.parts.looks import UntilDecidedRecord
from foolscope.experiments.parts.predictions import LargestClass
from foolscope.experiments.recipe import Recipe, setting_words, short_name, with_values
from foolscope.experiments.wording.doubts import doubt_words
from foolscope.experiments.wording.fields import field_words, metric_words
from foolscope.experiments.wording.sentences import SCALES, Scale, ScaleName, higher_is_better, scale_of
from foolscope.experiments.wording.verdicts import factor_sentence, verdict_sentence
from foolscope.statistics.blocks import BlockDesign, fit_additive, mean_interval
from foolscope.statistics.single_runs import single_run_difference
from foolscope.statistics.verdicts import Verdict, judge

__all__ = [
    "BASELINE",
    "AblationCell",
    "AblationRecord",
    "Factor",
    "FactorRecord",
    "LevelRecord",
    "ShownMetric",
    "summarize",
    "summarize_factors",
]

BASELINE = "baseline"

_ALPHA = 0.05  # level of the tests


class LevelRecord(Settings):
    """One value of a factor: its trials, and the verdict against the baseline."""

    label: str
    cell: str
    values: list[float | None] = Field(
        description="the metric, one per seed; null where the trial diverged or does not exist"
    )
    mean: float | None
    low: float | None = Field(description="lower end of the 95 % interval of the mean over seeds")
    high: float | None
    published: float | None = None
    outcome: Literal[
        "baseline", "helps", "hurts", "smaller than matters", "no effect", "undecided", "diverged"
    ]
    sentence: str
    difference: float | None = Field(None, description="from the baseline, in the metric's own unit")
    difference_low: float | None = Field(
        None, description="lower end of its interval, at the level of the test that decided"
    )
    difference_high: float | None = None
    p_different: float | None = Field(None, description="adjusted over the ablation")
    p_equivalent: float | None = None
    seeds_needed: int | None = None
    images_needed: int | None = Field(None, description="test images in all that would decide about new ones")
    outcome_on_these_images: str | None = Field(
        None, description="the verdict about these test images alone, where outcome is about new ones"
    )
    published_difference: float | None = Field(None, description="published figure minus the baseline's")
    rests_on_noise: bool | None = Field(
        None, description="whether two single runs differ by as much as the published figures by chance"
    )


class FactorRecord(Settings):
    """One factor of an ablation."""

    field: str
    words: str
    baseline: str
    levels: list[LevelRecord]
    summary: str


class ShownMetric(Settings):
    """How a metric is read and written that was measured elsewhere, so that its name does not say it."""

    words: str
    scale: ScaleName
    higher_is_better: bool


class AblationRecord(Settings):
    """One ablation: its factors, and the statistics they share."""

    recipe: str
    metric: str
    seeds: list[int]
    practical_difference: float
    factors: list[FactorRecord]
    base: LevelRecord | None = Field(
        None, description="the baseline, whether or not a factor lists its value"
    )
    residual_deviation: float | None
    degrees_of_freedom: int
    minimum_detectable_effect: float | None
    images: int = Field(0, description="test images, where verdicts are about new ones; else 0")
    doubts: list[str]
    prediction_doubts: list[str] = Field(
        default_factory=list, description="runs that predict one class only, which no seeds can help"
    )
    largest_class: LargestClass | None = Field(None, description="of the test images, where unequal")
    single_run_difference: float | None = Field(
        None, description="how far two single runs of one setting differ by chance, at most, 95 times in 100"
    )
    shown: ShownMetric | None = Field(None, description="of a metric that was measured elsewhere")

    @property
    def scale(self) -> Scale:
        """How the metric is written."""
        return scale_of(self.metric) if self.shown is None else SCALES[self.shown.scale]

    @property
    def metric_words(self) -> str:
        """The metric in words."""
        return metric_words(self.metric) if self.shown is None else self.shown.words

    until_decided: UntilDecidedRecord | None = None
    earlier_looks: list[int] = Field(
        default_factory=list, description="numbers of seeds with which cells were judged before, where fewer"
    )

    level: float = Field(_ALPHA, description="of the verdicts, over all settings and looks")

    @property
    def holds_at_every_look(self) -> bool:
        """Whether the verdicts are those that hold however often seeds are added."""
        return self.until_decided is not None or bool(self.earlier_looks)

    @property
    def sentences(self) -> list[str]:
        """The verdicts in words, factor by factor."""
        return [level.sentence for factor in self.factors for level in factor.levels if level.sentence]


@dataclass(frozen=True)
class AblationCell:
    """One setting of an ablation.

    Args:
        label: "baseline", or field and value as in ``batch_size = 512``.
        factor: short name of the field that differs from the baseline; ``None`` for the baseline.
        value: its value; ``None`` for the baseline.
        recipe: with the baseline's seed.
    """

    label: str
    factor: str | None
    value: Any
    recipe: Recipe


@dataclass(frozen=True)
class Factor:
    """A factor of an ablation, in words, and which cell of the design each of its values is.

    Args:
        field: its name.
        words: its name in words: "batch size".
        baseline: its value in the baseline.
        levels: each value with the label of its cell.
        published: figures, one per level; empty where nothing was published.
    """

    field: str
    words: str
    baseline: str
    levels: tuple[tuple[str, str], ...]
    published: tuple[float | None, ...] = ()


def summarize(
    name: str,
    cells: Sequence[AblationCell],
    design: BlockDesign,
    vary: Mapping[str, Sequence[Any]],
    *,
    metric: str,
    practical_difference: float,
    published: Mapping[str, Sequence[float | None]] | None = None,
    verdicts: Sequence[Verdict] | None = None,
) -> AblationRecord:
    """Judge the cells, unless verdicts are given, and put the verdicts into words, as ``vary`` has them."""
    by_recipe = {cell.recipe.model_dump_json(): cell.label for cell in cells}
    factors = [
        _factor(cells[0].recipe, by_recipe, field, values, (published or {}).get(field))
        for field, values in vary.items()
    ]
    return summarize_factors(
        name,
        factors,
        design,
        metric=metric,
        practical_difference=practical_difference,
        verdicts=verdicts,
    )


def _factor(
    baseline: Recipe,
    labels: Mapping[str, str],
    field: str,
    values: Sequence[Any],
    published: Sequence[float | None] | None,
) -> Factor:
    factor = short_name(baseline, field)
    recipes = [with_values(baseline, {factor: value}) for value in values]
    cells = [labels[recipe.model_dump_json()] for recipe in recipes]
    words = [setting_words(recipe, factor) for recipe in recipes]
    return Factor(
        factor,
        field_words(factor),
        setting_words(baseline, factor),
        tuple(zip(words, cells, strict=True)),
        tuple(published or ()),
    )


def summarize_factors(
    name: str,
    factors: Sequence[Factor],
    design: BlockDesign,
    *,
    metric: str,
    practical_difference: float,
    shown: ShownMetric | None = None,
    verdicts: Sequence[Verdict] | None = None,
) -> AblationRecord:
    """Judge the cells of a design, of which one is the baseline, and put the verdicts into words.

    Args:
        name: of the baseline.
        factors: in the order in which they are reported.
        design: with the cell ``BASELINE``.
        metric: its name.
        practical_difference: δ, in the metric's own unit.
        shown: how the metric is read and written, where its name does not say it.
        verdicts: of the cells; by default those of :func:`~foolscope.statistics.verdicts.judge`.
    """
    is_better_high = higher_is_better(metric) if shown is None else shown.higher_is_better
    scale = scale_of(metric) if shown is None else SCALES[shown.scale]
    if verdicts is None:
        verdicts = judge(
            design,
            BASELINE,
            practical_difference=practical_difference,
            alpha=_ALPHA,
            higher_is_better=is_better_high,
        )
    by_cell = {verdict.cell: verdict for verdict in verdicts}
    fit = fit_additive(design)
    noise = finite_or_none(single_run_difference(fit.residual_deviation, fit.degrees_of_freedom, 1 - _ALPHA))
    records = []
    for factor in factors:
        figures = factor.published or (None,) * len(factor.levels)
        levels = [
            _level(design, by_cell, factor, value, cell, scale, figure)
            for (value, cell), figure in zip(factor.levels, figures, strict=True)
        ]
        levels = _beside_published_baseline(levels, noise)
        own = {level.label: by_cell[level.cell] for level in levels if level.cell in by_cell}
        records.append(
            FactorRecord(
                field=factor.field,
                words=factor.words,
                baseline=factor.baseline,
                levels=levels,
                summary=factor_sentence(own, factor.words, factor.baseline, scale),
            )
        )
    detectable = [verdict.minimum_detectable_effect for verdict in verdicts]
    return AblationRecord(
        recipe=name,
        metric=metric,
        seeds=list(design.blocks),
        practical_difference=practical_difference,
        factors=records,
        base=LevelRecord(**_measured(design, BASELINE), label=BASELINE, outcome="baseline", sentence=""),
        residual_deviation=finite_or_none(fit.residual_deviation),
        degrees_of_freedom=fit.degrees_of_freedom,
        minimum_detectable_effect=finite_or_none(max(detectable, default=float("nan"))),
        images=max((verdict.images for verdict in verdicts), default=0),
        doubts=doubt_words(doubt for verdict in verdicts for doubt in verdict.doubts),
        single_run_difference=noise,
        shown=shown,
    )


def _beside_published_baseline(levels: Sequence[LevelRecord], noise: float | None) -> list[LevelRecord]:
    """Say how far each published figure is from the baseline's, and whether chance takes runs as far."""
    base = next((level.published for level in levels if level.outcome == "baseline"), None)
    if base is None:
        return list(levels)
    compared = []
    for level in levels:
        if level.published is not None and level.outcome != "baseline":
            gap = level.published - base
            within = None if noise is None else abs(gap) <= noise
            level = level.model_copy(update={"published_difference": gap, "rests_on_noise": within})
        compared.append(level)
    return compared


def _level(
    design: BlockDesign,
    verdicts: Mapping[str, Verdict],
    factor: Factor,
    label: str,
    cell: str,
    scale: Scale,
    published: float | None,
) -> LevelRecord:
    verdict = verdicts.get(cell)
    measured = {**_measured(design, cell), "label": label, "published": published}
    if verdict is None:
        return LevelRecord(**measured, outcome="baseline", sentence="")
    return LevelRecord(
        **measured,
        outcome=verdict.outcome,
        sentence=verdict_sentence(verdict, factor.words, label, factor.baseline, scale),
        difference=finite_or_none(verdict.estimate),
        difference_low=finite_or_none(verdict.interval[0]),
        difference_high=finite_or_none(verdict.interval[1]),
        p_different=verdict.p_different,
        p_equivalent=verdict.p_equivalent,
        seeds_needed=verdict.seeds_needed,
        images_needed=verdict.images_needed,
        outcome_on_these_images=None if verdict.on_these_images is None else verdict.on_these_images.outcome,
    )


def _measured(design: BlockDesign, cell: str) -> dict[str, Any]:
    """Return the metric of a cell by seed, with its mean and interval."""
    mean, low, high = mean_interval(design, cell)
    place = design.cells.index(cell)
    row = design.values[place]
    if design.absent is not None:  # what is missing in the middle keeps its place
        row = row[: np.flatnonzero(~design.absent[place]).max(initial=-1) + 1]
    values = [finite_or_none(each) for each in row.tolist()]
    return {"cell": cell, "values": values, "mean": mean, "low": low, "high": high}
