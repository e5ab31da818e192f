"""Numbers, lists, budgets and times as text in reports."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from foolscope.experiments.wording.fields import metric_words
from foolscope.experiments.wording.sentences import POINTS, Scale, number, scale_of

__all__ = [
    "attack_label",
    "attack_words",
    "columns_unit",
    "count_words",
    "date_words",
    "duration_words",
    "epsilon_words",
    "full_stop",
    "join_words",
    "metric_words",
    "moment_words",
    "one_or_many",
    "p_cell",
    "threat_words",
    "with_interval",
    "with_unit",
]

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_THREATS = {
    "linf": "changes no pixel by more than {}",
    "l2": "moves an image by at most {} in the L2 norm (the root of its summed squares)",
    "l1": "changes the pixels by at most {} in total",
}
_ATTACKS = {
    "apgd-nearest": "APGD towards the nearest class",
    "apgd-next": "APGD towards the next two classes",
    "apgd-others": "APGD towards the other classes",
    "apgd-long": "long APGD",
    "apgd-restarts": "APGD with restarts",
    "carlini-wagner": "Carlini-Wagner",
    "deepfool": "DeepFool",
    "gaussian-noise": "Gaussian noise",
    "square": "Square",
    "transfer": "transfer",
    "uniform-noise": "uniform noise",
}


def with_interval(
    value: float | None,
    low: float | None,
    high: float | None,
    scale: Scale = POINTS,
    bounds: tuple[float, float] | None = None,
) -> str | None:
    """Write a value, and its interval in brackets where there is one.

    Args:
        value: in the metric's own unit; None stays None.
        low: lower end, or None.
        high: upper end, or None.
        scale: how the metric is written.
        bounds: what the ends cannot pass: an accuracy stays in [0, 1].

    Example:
        >>> with_interval(0.9593, 0.9488, 1.0018, bounds=(0, 1)), with_interval(0.5, None, None)
        ('95.9 (94.9 to 100.0)', '50.0')
    """
    if value is None:
        return None
    if low is None or high is None:
        return number(value, scale)
    half = (high - low) / 2
    if bounds is not None:
        low, high = max(bounds[0], low), min(bounds[1], high)
    return f"{number(value, scale, half)} ({number(low, scale, half)} to {number(high, scale, half)})"


def with_unit(value: float) -> str:
    """Write an accuracy with its unit: ``95.9 %``."""
    return number(value, POINTS) + POINTS.level_unit


def p_cell(p: float | None) -> str | None:
    """Write a p value for a table cell."""
    if p is None:
        return None
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def columns_unit(metric: str) -> str:
    """Name a metric with its unit, for an axis or a column: ``test accuracy, %``."""
    unit = scale_of(metric).level_unit.strip()
    return metric_words(metric) + (f", {unit}" if unit else "")


def one_or_many(count: int, singular: str, plural: str = "") -> str:
    """Write a count with its noun.

    Example:
        >>> one_or_many(1, "seed"), one_or_many(1150, "image"), one_or_many(2, "pass", "passes")
        ('1 seed', '1,150 images', '2 passes')
    """
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"


def join_words(words: Sequence[str], last: str = "and") -> str:
    """List words in a sentence.

    Example:
        >>> join_words(["decay"]), join_words(["a", "b", "c"])
        ('decay', 'a, b and c')
    """
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def count_words(count: int) -> str:
    """Shorten a large count.

    Example:
        >>> count_words(950), count_words(185_952), count_words(12_300_000)
        ('950', '186 thousand', '12.3 million')
    """
    for size, word in ((1_000_000_000, "billion"), (1_000_000, "million"), (1_000, "thousand")):
        if count >= size:
            return f"{count / size:.3g} {word}"
    return str(count)


def epsilon_words(epsilon: float) -> str:
    """Write a budget: as a fraction of 255, or as a decimal number where that is short.

    Example:
        >>> epsilon_words(8 / 255), epsilon_words(0.1), epsilon_words(0.0)
        ('8/255', '0.1', '0')
    """
    gray = epsilon * 255
    is_short = abs(float(f"{epsilon:.3g}") - epsilon) < 1e-12
    is_fraction = abs(gray - round(gray)) < 1e-6
    return f"{round(gray)}/255" if is_fraction and not is_short else f"{epsilon:.3g}"


def threat_words(norm: str, epsilon: float) -> str:
    """Say in plain words what an attack within a budget does.

    Example:
        >>> threat_words("linf", 0.1)
        'changes no pixel by more than 0.1'
    """
    words = epsilon_words(epsilon)
    return _THREATS.get(norm, f"moves an image by at most {{}} in the {norm} norm").format(words)


def attack_label(name: str) -> str:
    """Name an attack, or a stage of an evaluation.

    Example:
        >>> attack_label("pgd"), attack_label("square")
        ('PGD', 'Square')
    """
    return _ATTACKS.get(name, name.upper())


def attack_words(name: str, settings: Mapping[str, Any]) -> str:
    """Name an attack with its stored settings.

    Example:
        >>> attack_words("pgd", {"steps": 40, "restarts": 5})
        'PGD (40 gradient steps, 5 random starts)'
    """
    if name == "fgsm":
        return "FGSM (a single gradient step)"
    steps, starts = settings.get("steps"), settings.get("restarts")
    said = [one_or_many(steps, "gradient step")] if isinstance(steps, int) else []
    said += [one_or_many(starts, "random start")] if isinstance(starts, int) and starts > 1 else []
    return f"{attack_label(name)} ({', '.join(said)})" if said else attack_label(name)


def full_stop(text: str) -> str:
    """Add a full stop to a sentence that has no end."""
    return text if text.endswith((".", "!", "?")) else f"{text}."


def duration_words(seconds: float) -> str:
    """Write a duration in seconds, minutes or hours.

    Example:
        >>> duration_words(0.61), duration_words(38.5), duration_words(192), duration_words(7530)
        ('0.6 s', '38 s', '3 min 12 s', '2 h 6 min')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min"


def date_words(moment: str) -> str:
    """Write an ISO 8601 time as a date; return any other text unchanged.

    Example:
        >>> date_words("2026-11-21T08:17:13+00:00")
        '21 November 2026'
    """
    try:
        parsed = datetime.fromisoformat(moment)
    except ValueError:
        return moment
    return f"{parsed.day} {_MONTHS[parsed.month - 1]} {parsed.year}"


def moment_words(moment: str) -> str:
    """Write an ISO 8601 time as a date and a time of day.

    Example:
        >>> moment_words("2026-11-21T08:17:13+00:00")
        '21 November 2026 at 08:17 UTC'
    """
    try:
        parsed = datetime.fromisoformat(moment)
    except ValueError:
        return moment
    return f"{date_words(moment)} at {parsed:%H:%M} {parsed.tzname() or ''}".rstrip()
