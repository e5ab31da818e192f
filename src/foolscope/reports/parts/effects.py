"""What an ablation's records say beyond their own sentences: per factor, and beside published figures."""

from collections.abc import Sequence
from typing import Literal

from foolscope.experiments.parts.ablation_record import AblationRecord, FactorRecord, LevelRecord
from foolscope.experiments.wording.sentences import amount, number, scale_of
from foolscope.reports.phrases import join_words, one_or_many

__all__ = [
    "FactorOutcome",
    "baseline_level",
    "comparisons",
    "factor_outcome",
    "key_sentences",
    "levels_with_baseline",
    "published_within_noise",
]

FactorOutcome = Literal["matters", "no effect", "undecided", "diverged"]

_SENTENCES = 3


def factor_outcome(factor: FactorRecord) -> FactorOutcome:
    """Sum up a factor: it matters if any value helps, hurts or diverges with every seed."""
    outcomes = {level.outcome for level in factor.levels} - {"baseline"}
    if outcomes == {"diverged"}:
        return "diverged"
    lost = any(
        level.outcome == "diverged" and all(value is None for value in level.values)
        for level in factor.levels
    )
    if outcomes & {"helps", "hurts"} or lost:
        return "matters"
    return "no effect" if outcomes <= {"no effect", "smaller than matters"} else "undecided"


def comparisons(ablation: AblationRecord) -> list[LevelRecord]:
    """Return the levels other than the baseline."""
    return [level for factor in ablation.factors for level in factor.levels if level.outcome != "baseline"]


def baseline_level(ablation: AblationRecord) -> LevelRecord | None:
    """Return the baseline: as a factor lists it among its values, else as it was measured."""
    levels = (level for factor in ablation.factors for level in factor.levels)
    return next((level for level in levels if level.outcome == "baseline"), ablation.base)


def levels_with_baseline(ablation: AblationRecord, factor: FactorRecord) -> list[LevelRecord]:
    """Return a factor's levels, the baseline put first where its own values do not include it."""
    if any(level.outcome == "baseline" for level in factor.levels):
        return list(factor.levels)
    found = baseline_level(ablation)
    if found is None:
        return list(factor.levels)
    return [found.model_copy(update={"label": factor.baseline, "published": None}), *factor.levels]


def key_sentences(ablation: AblationRecord, factor: FactorRecord) -> str:
    """Choose what of a factor to say at the top: its effects, what is undecided, or how small it all is."""
    effects = [level for level in factor.levels if level.outcome in ("helps", "hurts", "diverged")]
    undecided = [level for level in factor.levels if level.outcome == "undecided"]
    chosen = sorted(effects, key=lambda level: -abs(level.difference or 0.0)) or undecided
    if chosen:
        said = [level.sentence for level in factor.levels if level in chosen[:_SENTENCES]]
        rest = len(chosen) - len(said)
        return " ".join([*said, *[f"{rest} more in the table below."] * (rest > 0)])
    levels = [level for level in factor.levels if level.difference is not None]
    if not levels:
        return ""
    largest = max(levels, key=lambda level: abs(level.difference or 0.0))
    return f"The largest difference is {_difference(largest, ablation.metric)}, at {largest.label}."


def _difference(level: LevelRecord, metric: str) -> str:
    scale = scale_of(metric)
    low, high, value = level.difference_low, level.difference_high, level.difference
    assert value is not None
    if low is None or high is None:
        return number(value, scale) + scale.unit
    half = (high - low) / 2
    ends = f"{number(low, scale, half)} to {number(high, scale, half)}"
    return f"{number(value, scale, half)}{scale.unit} (95 % interval {ends})"


def published_within_noise(ablation: AblationRecord) -> str:
    """Say which published differences single runs could not have shown; empty if there is none."""
    noise = ablation.single_run_difference
    found = [words for factor in ablation.factors for words in _within_noise(factor, ablation.metric)]
    if noise is None or not found:
        return ""
    sentences = [
        f"Two runs that differ only in the seed are up to {_rounded(noise, ablation.metric)} apart here, in "
        f"95 % of cases. Published differences within that: {'; '.join(found)}. One run each could not have "
        "shown them.",
        *_found_anyway(ablation),
        *_published_baselines(ablation),
    ]
    return " ".join(sentences)


def _within_noise(factor: FactorRecord, metric: str) -> Sequence[str]:
    gaps = {
        level.label: level.published_difference
        for level in factor.levels
        if level.rests_on_noise and level.published_difference
    }
    if not gaps:
        return []
    largest = max(abs(gap) for gap in gaps.values())
    most = "at most " if len(gaps) > 1 else ""
    others = join_words(list(gaps))
    return [f"{factor.words} {others} against {factor.baseline} ({most}{_rounded(largest, metric)})"]


def _found_anyway(ablation: AblationRecord) -> list[str]:
    """Say which of the differences that single runs could not have shown our seeds do find."""
    found = [
        f"{factor.words} {level.label} {level.outcome}"
        for factor in ablation.factors
        for level in factor.levels
        if level.rests_on_noise and level.published_difference and level.outcome in ("helps", "hurts")
    ]
    seeds = one_or_many(len(ablation.seeds), "seed")
    return [f"Of these, {seeds} do find that {join_words(found)}."] if found else []


def _published_baselines(ablation: AblationRecord) -> list[str]:
    """Say how far apart the published figures of the baseline lie, where it was published more than once."""
    scale = scale_of(ablation.metric)
    figures = [
        level.published
        for factor in ablation.factors
        for level in factor.levels
        if level.outcome == "baseline" and level.published is not None
    ]
    if len(set(figures)) < 2:
        return []
    low, high = (f"{end * scale.factor:.6g}" for end in (min(figures), max(figures)))
    apart = _rounded(max(figures) - min(figures), ablation.metric)
    return [
        f"The baseline itself was published {len(figures)} times, at {low} to {high}{scale.level_unit}: "
        f"{apart} apart with nothing changed."
    ]


def _rounded(value: float, metric: str) -> str:
    return amount(float(f"{value:.2g}"), scale_of(metric))
