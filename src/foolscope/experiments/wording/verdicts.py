"""Verdicts of an ablation as sentences."""

from collections.abc import Mapping, Sequence

from foolscope.experiments.wording.quantities import difference_between, estimate_words, interval_words
from foolscope.experiments.wording.sentences import (
    POINTS,
    Scale,
    amount,
    capitalized,
    more_seeds_text,
    number,
    p_text,
)
from foolscope.statistics.verdicts import Verdict

__all__ = ["factor_sentence", "verdict_sentence"]


def verdict_sentence(verdict: Verdict, factor: str, value: str, baseline: str, scale: Scale = POINTS) -> str:
    """Say a verdict in one sentence.

    Args:
        verdict: from :func:`foolscope.statistics.verdicts.judge`.
        factor: what was varied, in words: "batch size".
        value: the factor's value in this cell.
        baseline: its value in the baseline.
        scale: how the metric is written.

    Returns:
        For example "Batch size 1024 costs 4.4 points compared with 128 (95 % interval 3.9 to 4.9, adjusted p
        < 0.001)."
    """
    name = capitalized(f"{factor} {value}")
    if verdict.outcome == "diverged":
        return f"{name} diverged in {verdict.diverged} of {_seeds(verdict.seeds)}."
    if verdict.baseline_diverged:
        return (
            f"Undecided: the baseline, {factor} {baseline}, diverged in {verdict.baseline_diverged} of "
            f"{_seeds(verdict.seeds)}, so nothing can be compared with it."
        )
    quantity = difference_between(value, baseline)
    half = (verdict.interval[1] - verdict.interval[0]) / 2
    said = estimate_words(quantity, verdict.estimate, half, scale)
    interval = interval_words(quantity, verdict.estimate, half, scale, verdict.confidence)
    p = p_text(verdict.p_different, "adjusted p")
    if verdict.outcome == "undecided":
        evidence = "" if verdict.seeds < 2 else f" ({interval}, {p})"
        needed = more_seeds_text(verdict.seeds_needed, verdict.seeds)
        return f"Undecided: {factor} {said}{evidence}; {needed}."
    if verdict.outcome in ("no effect", "smaller than matters"):
        p = p_text(verdict.p_equivalent, "adjusted equivalence p")
        return f"The {factor} has no {_effect(verdict, scale)}: {said} ({interval}, {p})."
    verb = scale.gain if verdict.outcome == "helps" else scale.loss
    size = number(abs(verdict.estimate), scale, half) + scale.unit
    return f"{name} {verb.replace('{}', size)} {baseline} ({interval}, {p})."


def factor_sentence(
    verdicts: Mapping[str, Verdict], factor: str, baseline: str, scale: Scale = POINTS
) -> str:
    """Sum up all values of one factor, from at least one of them, in words, to its verdict.

    Returns:
        One sentence, such as "The L2 coefficient has no effect larger than 0.5 points." if the values agree;
        otherwise what each does: "Batch size, compared with 128: 256 has no effect larger than 0.5 points;
        512 and 1024 hurt."
    """
    first = next(iter(verdicts.values()))
    effect = _effect(first, scale)
    outcomes = {verdict.outcome for verdict in verdicts.values()}
    if outcomes == {"no effect"}:
        return f"The {factor} has no {effect}."
    if outcomes == {"undecided"}:
        return f"Undecided whether the {factor} has an {effect}."
    if outcomes == {"diverged"}:
        return f"Every {factor} other than {baseline} diverged."
    if len(outcomes) == 1:
        sizes = sorted(abs(verdict.estimate) for verdict in verdicts.values())
        written = [number(size, scale) for size in sizes]
        reach = written[0] if written[0] == written[-1] else f"{written[0]} to {written[-1]}"
        return f"Every {factor} other than {baseline} {first.outcome} by {reach}{scale.unit}."
    groups: dict[str, list[str]] = {}
    for value, verdict in verdicts.items():
        groups.setdefault(verdict.outcome, []).append(value)
    parts = [_outcome_phrase(outcome, values, effect) for outcome, values in groups.items()]
    return f"{capitalized(factor)}, compared with {baseline}: {'; '.join(parts)}."


def _outcome_phrase(outcome: str, values: Sequence[str], effect: str) -> str:
    """Say what several values of a factor have in common: "256 and 512 hurt"."""
    several = len(values) > 1
    named = f"{', '.join(values[:-1])} and {values[-1]}" if several else values[0]
    verbs = {
        "helps": ("helps", "help"),
        "hurts": ("hurts", "hurt"),
        "smaller than matters": (
            "makes a difference smaller than matters",
            "make differences smaller than matter",
        ),
        "no effect": (f"has no {effect}", f"have no {effect}"),
        "undecided": ("is undecided", "are undecided"),
        "diverged": ("diverged", "diverged"),
    }
    return f"{named} {verbs[outcome][several]}"


def _effect(verdict: Verdict, scale: Scale) -> str:
    return f"effect larger than {amount(verdict.practical_difference, scale)}"


def _seeds(seeds: int) -> str:
    return "1 seed" if seeds == 1 else f"{seeds} seeds"
