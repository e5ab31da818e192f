"""What a search found: the winner against the baseline on fresh seeds, in numbers and in words."""

import math
from collections.abc import Sequence

import numpy as np

from foolscope.core.errors import RecipeError
from foolscope.core.settings import finite_or_none
from foolscope.experiments.parts.ablation_record import BASELINE
from foolscope.experiments.parts.searches.records import (
    ContenderRecord,
    DimensionRecord,
    RoundRecord,
    SearchRecord,
    TriedRecord,
)
from foolscope.experiments.parts.searches.sampling import Round, ScoredPoint, best_of
from foolscope.experiments.parts.searches.space import Dimension, Range, Space
from foolscope.experiments.parts.searches.strategies import SearchSettings
from foolscope.experiments.recipe import Recipe, value_of, with_values
from foolscope.experiments.running.store import StoredTrial
from foolscope.experiments.wording.doubts import doubt_words
from foolscope.experiments.wording.fields import field_words, metric_words, value_words
from foolscope.experiments.wording.sentences import POINTS, amount, more_seeds_text, number, p_text, percent
from foolscope.statistics.blocks import BlockDesign, mean_interval
from foolscope.statistics.verdicts import Verdict, judge

__all__ = ["contender", "search_record"]

WINNER = "winner"

_EDGE = 0.025  # a best value so near the end of its range, as a fraction of it, is at the end


def contender(recipe: Recipe, space: Space, trials: Sequence[StoredTrial], metric: str) -> ContenderRecord:
    """Sum up the trials of the winner or the baseline on fresh seeds."""
    values = {dimension.field: value_of(recipe, dimension.field) for dimension in space}
    measured = {
        name: [trial.metric(name) for trial in trials] for name in (f"test_{metric}", f"validation_{metric}")
    }
    return ContenderRecord(
        words=_setting_words(values),
        values=values,
        identities=[trial.identity for trial in trials],
        diverged=sum(trial.status == "diverged" for trial in trials),
        metrics={name: [finite_or_none(value) for value in own] for name, own in measured.items()},
        means={name: mean_interval(_design({name: own}), name) for name, own in measured.items()},
    )


def search_record(
    name: str,
    baseline: Recipe,
    space: Space,
    settings: SearchSettings,
    rounds: Sequence[Round],
    fresh_seeds: Sequence[int],
    contenders: Sequence[ContenderRecord],
    *,
    practical_difference: float,
) -> SearchRecord:
    """Judge the winner, if not every trial diverged, against the baseline, and put it into words."""
    before, *others = contenders
    winner = others[0] if others else None
    best = best_of(rounds)
    verdict = None
    if winner is not None and winner.values != before.values:
        verdict = _verdict(before, winner, settings.metric, practical_difference)
    doubts = [] if best is None else _edge_doubts(baseline, space, best)
    if verdict is not None:
        doubts += doubt_words(verdict.doubts)
    count = sum(len(each.trials) for each in rounds)
    return SearchRecord(
        recipe=name,
        sampler=settings.sampler,
        metric=settings.metric,
        narrowing=settings.narrowing if settings.sampler == "coarse-to-fine" else None,
        dimensions=[_dimension_record(dimension) for dimension in space],
        seeds=list(range(baseline.seed, baseline.seed + settings.seeds)),
        fresh_seeds=list(fresh_seeds),
        practical_difference=practical_difference,
        rounds=[_round_record(each, space) for each in rounds],
        best=None if best is None else _tried_record(best, space),
        baseline=before,
        winner=winner,
        outcome="diverged" if winner is None else "baseline" if verdict is None else verdict.outcome,
        **({} if verdict is None else _verdict_fields(verdict)),
        summary=_summary(
            f"{count} setting{'s' * (count != 1)} tried for {name}",
            settings.metric,
            best,
            before,
            winner,
            verdict,
        ),
        doubts=doubts,
    )


def _design(rows: dict[str, list[float]]) -> BlockDesign:
    values = np.array(list(rows.values()), dtype=float)
    return BlockDesign(tuple(rows), tuple(range(values.shape[1])), values)


def _verdict(baseline: ContenderRecord, winner: ContenderRecord, metric: str, margin: float) -> Verdict:
    """Compare within seeds; of two cells the pooled test is the paired t test."""
    rows = {
        cell: [math.nan if value is None else value for value in own.metrics[f"test_{metric}"]]
        for cell, own in ((BASELINE, baseline), (WINNER, winner))
    }
    return judge(_design(rows), BASELINE, practical_difference=margin)[0]


def _verdict_fields(verdict: Verdict) -> dict[str, float | None]:
    return {
        "difference": finite_or_none(verdict.estimate),
        "difference_low": finite_or_none(verdict.interval[0]),
        "difference_high": finite_or_none(verdict.interval[1]),
        "p_different": verdict.p_different,
        "p_equivalent": verdict.p_equivalent,
        "seeds_needed": verdict.seeds_needed,
    }


def _edge_doubts(baseline: Recipe, space: Space, best: ScoredPoint) -> list[str]:
    """Say where the best value lies at an end of its range, unless the field ends there too."""
    doubts = []
    for dimension, value in zip(space, best.point, strict=True):
        if not isinstance(dimension, Range):
            continue
        for end, distance in (("lower", dimension.position(value)), ("upper", 1 - dimension.position(value))):
            if distance <= _EDGE and _goes_on(baseline, dimension, end):
                doubts.append(
                    f"the best {field_words(dimension.field)}, {value_words(value)}, lies at the {end} end "
                    f"of the range searched, {value_words(dimension.low)} to {value_words(dimension.high)}; "
                    "a wider range may hold a better one"
                )
    return doubts


def _goes_on(baseline: Recipe, dimension: Range, end: str) -> bool:
    """Whether the field can have values beyond that end of the range."""
    beyond = dimension.beyond()[end == "upper"]
    try:
        with_values(baseline, {dimension.field: beyond})
    except RecipeError:
        return False
    return True


def _dimension_record(dimension: Dimension) -> DimensionRecord:
    words = field_words(dimension.field)
    if isinstance(dimension, Range):
        return DimensionRecord(
            field=dimension.field, words=words, scale=dimension.scale, low=dimension.low, high=dimension.high
        )
    labels = [value_words(value) for value in dimension.values]
    return DimensionRecord(field=dimension.field, words=words, scale="choices", labels=labels)


def _round_record(each: Round, space: Space) -> RoundRecord:
    return RoundRecord(
        ranges=[(own.low, own.high) if isinstance(own, Range) else None for own in each.space],
        trials=[_tried_record(trial, space) for trial in each.trials],
    )


def _tried_record(trial: ScoredPoint, space: Space) -> TriedRecord:
    return TriedRecord(
        values={dimension.field: value for dimension, value in zip(space, trial.point, strict=True)},
        scores=[finite_or_none(value) for value in trial.scores],
        score=trial.score,
        loss=finite_or_none(trial.loss),
        identities=list(trial.identities),
    )


def _setting_words(values: dict[str, object]) -> str:
    *first, last = (f"{field_words(field)} {value_words(value)}" for field, value in values.items())
    return f"{', '.join(first)} and {last}" if first else last


def _summary(
    tried: str,
    metric: str,
    best: ScoredPoint | None,
    baseline: ContenderRecord,
    winner: ContenderRecord | None,
    verdict: Verdict | None,
) -> str:
    """Say what was found, and whether it holds on fresh seeds."""
    if best is None or best.score is None or winner is None:
        return f"All {tried} diverged, so there is no winner."
    words = metric_words(f"validation_{metric}")
    found = f"The best of {tried} has {winner.words}: a {words} of {number(best.score, POINTS)} %."
    seeds = f"On {len(winner.identities)} fresh seeds"
    if verdict is None:
        mean = winner.means[f"test_{metric}"][0]
        said = f"its {metric_words(f'test_{metric}')} is {number(mean or 0.0, POINTS)} %"
        reached = "it diverged with some" if mean is None else said
        return f"{found} The baseline has the same value. {seeds} {reached}."
    return f"{found} {seeds} {_comparison(verdict, metric, baseline, winner)}"


def _comparison(verdict: Verdict, metric: str, baseline: ContenderRecord, winner: ContenderRecord) -> str:
    if verdict.outcome == "diverged":
        return f"it diverged in {verdict.diverged} of {verdict.seeds}."
    against = f"the baseline ({baseline.words})"
    if verdict.baseline_diverged:
        return (
            f"{against} diverged in {verdict.baseline_diverged} of {verdict.seeds}, so nothing can be "
            "compared with it."
        )
    half = (verdict.interval[1] - verdict.interval[0]) / 2
    words = metric_words(f"test_{metric}")
    own, other = (number(each.means[f"test_{metric}"][0] or 0.0, POINTS, half) for each in (winner, baseline))
    sign = -1.0 if verdict.outcome == "hurts" else 1.0
    size = number(sign * verdict.estimate, POINTS, half) + POINTS.unit
    low, high = (
        number(sign * end, POINTS, half) for end in sorted(verdict.interval, key=lambda end: sign * end)
    )
    interval = f"{percent(round(verdict.confidence, 12))} interval {low} to {high}"
    p = p_text(verdict.p_different)
    if verdict.outcome in ("no effect", "smaller than matters"):
        return (
            f"it differs from {against} by no more than {amount(verdict.practical_difference, POINTS)}: "
            f"{words} {own} % and {other} % (difference {size}, {interval}, "
            f"{p_text(verdict.p_equivalent, 'equivalence p')})."
        )
    if verdict.outcome == "undecided":
        return (
            f"it is undecided: {words} is {own} %, that of {against} {other} % "
            f"(difference {size}, {interval}, {p}); {more_seeds_text(verdict.seeds_needed, verdict.seeds)}."
        )
    verb = "gains" if verdict.outcome == "helps" else "costs"
    change = f"{own} % instead of {other} % ({interval}, {p})"
    return f"it {verb} {size} of {words} compared with {against}: {change}."
