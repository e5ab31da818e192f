"""What an ablation's records say beyond their own sentences: per factor, and beside published figures."""

from collections.abc import Sequence
from typing import Literal

from foolscope.experiments.prose import amount, number, scale_of
from foolscope.experiments.records import AblationRecord, FactorRecord, LevelRecord
from foolscope.reports.sections.phrases import join_words

__all__ = [
    "FactorOutcome",
    "baseline_level",
    "comparisons",
    "factor_outcome",
    "key_sentences",
    "levels_with_baseline",
    "noise_of_single_runs",
    "published_within_noise",
]

FactorOutcome = Literal["matters", "no effect", "undecided", "diverged"]

_CONFIDENCE = 0.95
_SENTENCES = 3


def factor_outcome(factor: FactorRecord) -> FactorOutcome:
    """Sum up a factor: it matters if any value helps, hurts or diverges."""
    outcomes = {level.outcome for level in factor.levels} - {"baseline"}
    if outcomes == {"diverged"}:
        return "diverged"
    if outcomes & {"helps", "hurts", "diverged"}:
        return "matters"
    return "no effect" if outcomes == {"no effect"} else "undecided"


def comparisons(ablation: AblationRecord) -> list[LevelRecord]:
    """Return the levels other than the baseline."""
    return [level for factor in ablation.factors for level in factor.levels if level.outcome != "baseline"]


def baseline_level(ablation: AblationRecord) -> LevelRecord | None:
    """Return the baseline where any factor lists it among its values."""
    levels = (level for factor in ablation.factors for level in factor.levels)
    return next((level for level in levels if level.outcome == "baseline"), None)


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


def noise_of_single_runs(ablation: AblationRecord) -> float | None:
    """Return how far two single runs of one setting lie apart, at most, 95 times in 100.

    That is t √2 s with the residual standard deviation s and its degrees of freedom.
    """
    if not ablation.residual_deviation or ablation.degrees_of_freedom < 1:
        return None
    from scipy.special import stdtrit

    quantile = float(stdtrit(ablation.degrees_of_freedom, (1 + _CONFIDENCE) / 2))
    return quantile * 2**0.5 * ablation.residual_deviation


def published_within_noise(ablation: AblationRecord) -> str:
    """Say which published differences seeds alone could have made; empty if there is none."""
    noise = noise_of_single_runs(ablation)
    if noise is None:
        return ""
    found = [words for factor in ablation.factors for words in _within_noise(factor, ablation.metric, noise)]
    if not found:
        return ""
    spread = _rounded(noise, ablation.metric)
    return (
        f"Published differences no larger than noise: {join_words(found)}. Two single runs of the same "
        f"setting, alike in everything but the seed, lie up to {spread} apart here (95 times in 100), and "
        "over the seeds none of these settings was found to differ from the baseline."
    )


def _within_noise(factor: FactorRecord, metric: str, noise: float) -> Sequence[str]:
    base = next((level.published for level in factor.levels if level.outcome == "baseline"), None)
    if base is None:
        return []
    gaps = {
        level.label: level.published - base
        for level in factor.levels
        if level.published is not None
        and level.outcome in ("no effect", "undecided")
        and 0 < abs(level.published - base) < noise
    }
    if not gaps:
        return []
    largest = max(abs(gap) for gap in gaps.values())
    most = "at most " if len(gaps) > 1 else ""
    others = join_words(list(gaps))
    return [f"{factor.words} {others} against {factor.baseline} ({most}{_rounded(largest, metric)})"]


def _rounded(value: float, metric: str) -> str:
    return amount(float(f"{value:.2g}"), scale_of(metric))
