"""Verdicts and estimates as sentences."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from foolscope.statistics.power import MOST_SEEDS
from foolscope.statistics.verdicts import Verdict

__all__ = [
    "PLAIN",
    "POINTS",
    "Scale",
    "amount",
    "capitalized",
    "describe_steps",
    "factor_sentence",
    "more_seeds_text",
    "number",
    "p_text",
    "percent",
    "scale_of",
    "verdict_sentence",
]


@dataclass(frozen=True)
class Scale:
    """How a metric is written.

    Args:
        factor: what a value is multiplied with.
        unit: what stands behind a difference, with its space.
        level_unit: what stands behind the metric itself.
        decimals: at least so many; more where the interval is narrower than that shows.
        gain: verb for a better value.
        loss: verb for a worse value.
        than: preposition before what it is compared with.
    """

    factor: float
    unit: str
    level_unit: str
    decimals: int
    gain: str
    loss: str
    than: str


POINTS = Scale(100.0, " points", " %", 1, "gains", "costs", "against")
PLAIN = Scale(1.0, "", "", 2, "is better by", "is worse by", "than")

_HUGE = 1e5  # from there on two digits and a power of ten


def scale_of(metric: str) -> Scale:
    """How to write a metric: in points of a hundred if it is a fraction, else plainly.

    Example:
        >>> scale_of("robust_accuracy:linf@8/255") is scale_of("success_rate:linf@8/255") is POINTS
        True
    """
    is_fraction = metric.partition(":")[0].endswith(("accuracy", "success_rate", "probability"))
    return POINTS if is_fraction else PLAIN


def number(value: float, scale: Scale, half_width: float = math.inf) -> str:
    """Write a value with a true minus sign and as many decimals as its uncertainty deserves.

    Args:
        value: in the metric's own unit.
        scale: how to write it.
        half_width: of its interval; decimals are added until it shows.

    Example:
        >>> number(-0.0437, POINTS), number(0.00012, POINTS, 0.0002), number(2.5e-14, PLAIN)
        ('−4.4', '0.01', '2.5e−14')
        >>> number(1785437.03, PLAIN, 7e5)
        '1.8e6'
    """
    scaled = value * scale.factor
    if abs(scaled) >= _HUGE:
        return f"{scaled:.2g}".replace("e+0", "e").replace("e+", "e").replace("-", "−")
    tiny = 0 < abs(scaled) < 10.0**-scale.decimals
    resolution = half_width * scale.factor
    if math.isfinite(resolution) and resolution > 0:
        decimals = max(scale.decimals, -math.floor(math.log10(resolution)))
    elif tiny and scale is not POINTS:
        return f"{scaled:.2g}".replace("-", "−")
    else:
        decimals = scale.decimals
    if decimals > 6:
        return f"{scaled:.2g}".replace("-", "−")
    text = f"{scaled:.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "−")


def amount(value: float, scale: Scale) -> str:
    """Write a difference that a person chose, such as δ, in full: ``0.5 points``."""
    written = f"{value * scale.factor:.6g}".replace("-", "−")
    return f"{written}{scale.unit.removesuffix('s') if written == '1' else scale.unit}"


def percent(fraction: float) -> str:
    """Write a fraction as per cent: ``95 %``."""
    return f"{100 * fraction:g} %"


def p_text(p: float, name: str = "p") -> str:
    """Write a p value: ``p = 0.012`` or ``p < 0.001``."""
    return f"{name} < 0.001" if p < 0.001 else f"{name} = {p:.2g}"


def capitalized(text: str) -> str:
    """The text with its first letter, and no other, in upper case."""
    return text[:1].upper() + text[1:]


def more_seeds_text(seeds_needed: int | None, seeds: int) -> str:
    """Say what would decide: ``about 7 more seeds would decide``."""
    if seeds < 2:
        return "one seed has no error bar, run at least three"
    if seeds_needed is None:
        return f"more than {MOST_SEEDS} more seeds would be needed"
    return f"about {seeds_needed} more {'seed' if seeds_needed == 1 else 'seeds'} would decide"


def verdict_sentence(verdict: Verdict, factor: str, value: str, baseline: str, scale: Scale = POINTS) -> str:
    """Say a verdict in one sentence.

    Args:
        verdict: from :func:`foolscope.statistics.verdicts.judge`.
        factor: what was varied, in words: "batch size".
        value: the factor's value in this cell.
        baseline: its value in the baseline.
        scale: how the metric is written.

    Returns:
        For example "Batch size 1024 costs 4.4 points against 128 (95 % interval 3.9 to 4.9, adjusted p <
        0.001)."
    """
    name = capitalized(f"{factor} {value}")
    if verdict.outcome == "diverged":
        return f"{name} diverged in {verdict.diverged} of {_seeds(verdict.seeds)}."
    if verdict.baseline_diverged:
        return (
            f"Undecided: the baseline, {factor} {baseline}, diverged in {verdict.baseline_diverged} of "
            f"{_seeds(verdict.seeds)}, so that nothing can be compared with it."
        )
    if verdict.outcome == "undecided":
        return _undecided_sentence(verdict, f"{factor} {value} against {baseline}", scale)
    if verdict.outcome == "no effect":
        return (
            f"No effect of the {factor} larger than {_margin(verdict, scale)}: "
            f"{value} against {baseline} differs by {_signed(verdict, scale)} ({_interval(verdict, scale)}, "
            f"{p_text(verdict.p_equivalent, 'adjusted equivalence p')})."
        )
    verb = scale.gain if verdict.outcome == "helps" else scale.loss
    size = number(abs(verdict.estimate), scale, _half_width(verdict)) + scale.unit
    magnitude = _interval(verdict, scale, sign=math.copysign(1.0, verdict.estimate))
    p = p_text(verdict.p_different, "adjusted p")
    return f"{name} {verb} {size} {scale.than} {baseline} ({magnitude}, {p})."


def factor_sentence(
    verdicts: Mapping[str, Verdict], factor: str, baseline: str, scale: Scale = POINTS
) -> str:
    """Sum up all values of one factor.

    Args:
        verdicts: from the factor's value, in words, to its verdict; at least one.
        factor: what was varied.
        baseline: its value in the baseline.
        scale: how the metric is written.

    Returns:
        One sentence, such as "No effect of the L2 coefficient larger than 0.5 points." if the values agree;
        otherwise what each does: "Batch size against 128: 256 has no effect larger than 0.5 points; 512 and
        1024 hurt."
    """
    first = next(iter(verdicts.values()))
    effect = f"effect of the {factor} larger than {_margin(first, scale)}"
    outcomes = {verdict.outcome for verdict in verdicts.values()}
    if outcomes == {"no effect"}:
        return f"No {effect}."
    if outcomes == {"undecided"}:
        return f"Undecided whether there is an {effect}."
    if outcomes == {"diverged"}:
        return f"Every {factor} other than {baseline} diverged."
    if len(outcomes) == 1:
        sizes = sorted(abs(verdict.estimate) for verdict in verdicts.values())
        written = [number(size, scale) for size in sizes]
        reach = written[0] if written[0] == written[-1] else f"{written[0]} to {written[-1]}"
        return f"Every {factor} other than {baseline} {first.outcome}, by {reach}{scale.unit}."
    groups: dict[str, list[str]] = {}
    for value, verdict in verdicts.items():
        groups.setdefault(verdict.outcome, []).append(value)
    parts = [_outcome_phrase(outcome, values, _margin(first, scale)) for outcome, values in groups.items()]
    return f"{capitalized(factor)} against {baseline}: {'; '.join(parts)}."


def _outcome_phrase(outcome: str, values: Sequence[str], margin: str) -> str:
    """Say what several values of a factor have in common: "256 and 512 hurt"."""
    several = len(values) > 1
    named = f"{', '.join(values[:-1])} and {values[-1]}" if several else values[0]
    verbs = {
        "helps": ("helps", "help"),
        "hurts": ("hurts", "hurt"),
        "no effect": ("has no effect larger than", "have no effect larger than"),
        "undecided": ("is undecided", "are undecided"),
        "diverged": ("diverged", "diverged"),
    }
    phrase = f"{named} {verbs[outcome][several]}"
    return f"{phrase} {margin}" if outcome == "no effect" else phrase


def describe_steps(levels: Sequence[str], means: Sequence[float]) -> str:
    """Say how means go over ordered levels: at every step alike, or which steps go against the rest.

    Example:
        >>> describe_steps(("128", "256", "512"), (0.51, 0.50, 0.47))
        'the means fall at every step'
        >>> describe_steps(("128", "256", "512"), (0.51, 0.52, 0.47))
        'the means fall except from 128 to 256'
    """
    steps = [later - earlier for earlier, later in itertools.pairwise(means)]
    verb, sign = ("rise", 1) if means[-1] >= means[0] else ("fall", -1)
    against = [
        f"from {levels[index]} to {levels[index + 1]}" for index, step in enumerate(steps) if step * sign <= 0
    ]
    return f"the means {verb} " + (f"except {', '.join(against)}" if against else "at every step")


def _undecided_sentence(verdict: Verdict, comparison: str, scale: Scale) -> str:
    if verdict.seeds < 2:
        evidence = ""
    else:
        evidence = f" ({_interval(verdict, scale)}, {p_text(verdict.p_different, 'adjusted p')})"
    return (
        f"Undecided: {comparison} differs by {_signed(verdict, scale)}{evidence}; "
        f"{more_seeds_text(verdict.seeds_needed, verdict.seeds)}."
    )


def _interval(verdict: Verdict, scale: Scale, sign: float = 1.0) -> str:
    ends = [number(sign * end, scale, _half_width(verdict)) for end in verdict.interval[:: int(sign)]]
    return f"{percent(1 - verdict.alpha)} interval {ends[0]} to {ends[1]}"


def _half_width(verdict: Verdict) -> float:
    return (verdict.interval[1] - verdict.interval[0]) / 2


def _signed(verdict: Verdict, scale: Scale) -> str:
    return number(verdict.estimate, scale, _half_width(verdict)) + scale.unit


def _margin(verdict: Verdict, scale: Scale) -> str:
    return amount(verdict.practical_difference, scale)


def _seeds(seeds: int) -> str:
    return "1 seed" if seeds == 1 else f"{seeds} seeds"
