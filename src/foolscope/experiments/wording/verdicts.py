"""Verdicts of an ablation as sentences."""

import math
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
from foolscope.statistics.estimate import rate_interval
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
        For example "Batch size 1024 costs 4.4 points compared with 128 (adjusted 95 % interval 3.9 to 4.9,
        adjusted p < 0.001)."
    """
    name = capitalized(f"{factor} {value}")
    if verdict.outcome == "diverged":
        return f"{name} diverged in {_rate(verdict.diverged, verdict.seeds)}."
    if verdict.baseline_diverged:
        return (
            f"Undecided: the baseline, {factor} {baseline}, diverged in {verdict.baseline_diverged} of "
            f"{_seeds(verdict.seeds)}, so nothing can be compared with it."
        )
    quantity = difference_between(value, baseline)
    half = (verdict.interval[1] - verdict.interval[0]) / 2
    said = estimate_words(quantity, verdict.estimate, half, scale)
    is_small = verdict.outcome in ("no effect", "smaller than matters")
    nominal = 1 - (2 if is_small else 1) * verdict.alpha
    is_adjusted = not math.isclose(verdict.confidence, nominal, rel_tol=1e-9)
    interval = interval_words(
        quantity, verdict.estimate, half, scale, round(nominal, 12), is_adjusted=is_adjusted
    )
    p = p_text(verdict.p_different, "adjusted p")
    if verdict.outcome == "undecided":
        evidence = "" if verdict.seeds < 2 else f" ({interval}, {p})"
        needed = more_seeds_text(verdict.seeds_needed, verdict.seeds)
        return f"Undecided: {factor} {said}{evidence}; {needed}."
    if verdict.outcome == "no effect":
        p = p_text(verdict.p_equivalent, "adjusted equivalence p")
        return f"The {factor} has no {_effect(verdict, scale)}: {said} ({interval}, {p})."
    is_gain = (verdict.estimate > 0) == verdict.higher_is_better
    verb = scale.gain if is_gain else scale.loss
    size = number(abs(verdict.estimate), scale, half) + scale.unit
    if verdict.outcome == "smaller than matters":
        less = f"less than the {amount(verdict.practical_difference, scale)} that would matter"
        return f"{name} {verb.replace('{}', size)} {baseline}, {less} ({interval}, {p})."
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
    several = len(verdicts) > 1
    if outcomes == {"no effect"}:
        if not several:
            return f"The {factor} has no {effect}."
        margin = amount(first.practical_difference, scale)
        return f"No {factor} tried differs from {baseline} by {margin} or more."
    if outcomes == {"undecided"}:
        return f"Undecided whether the {factor} has an {effect}."
    if outcomes == {"diverged"} and several:
        return f"Every {factor} other than {baseline} diverged."
    if several and outcomes in ({"helps"}, {"hurts"}):
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
        "no effect": (f"has no {effect}", f"have no {effect}"),
        "smaller than matters": ("differs by less than matters", "differ by less than matters"),
        "undecided": ("is undecided", "are undecided"),
        "diverged": ("diverged", "diverged"),
    }
    return f"{named} {verbs[outcome][several]}"


def _effect(verdict: Verdict, scale: Scale) -> str:
    return f"effect larger than {amount(verdict.practical_difference, scale)}"


def _rate(count: int, seeds: int) -> str:
    """Write how many of the seeds, with the exact 95 % interval of the rate where it is not all of them."""
    if count == seeds:
        return f"{count} of {_seeds(seeds)}"
    low, high = (round(100 * end) for end in rate_interval(count, seeds))
    return f"{count} of {_seeds(seeds)} (a rate between {low} and {high} %)"


def _seeds(seeds: int) -> str:
    return "1 seed" if seeds == 1 else f"{seeds} seeds"
