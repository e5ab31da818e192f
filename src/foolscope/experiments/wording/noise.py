"""What single runs could have shown, as sentences."""

from foolscope.experiments.wording.quantities import Quantity
from foolscope.experiments.wording.sentences import Scale, amount, exactly, number, percent
from foolscope.statistics.relations import Statement

__all__ = ["comparison_noise_sentence", "value_noise_sentence"]


def comparison_noise_sentence(
    weakest: Statement,
    quantity: Quantity,
    *,
    is_only: bool,
    chance: float,
    is_shown: bool,
    is_opposite: bool,
    scale: Scale,
) -> str:
    """Say whether published figures, one run each, could have shown a claim's weakest statement."""
    is_equality, is_trend = weakest.relation == "same", quantity.noun == "trend"
    extreme = "" if is_only else "largest " if is_equality else "smallest "
    subject = (
        f"The {extreme}published {quantity.noun}, {_rounded(abs(weakest.estimate.value), scale)} "
        f"{quantity.label},"
    )
    band = f"±{_rounded(chance, scale)}"
    if is_trend:
        reach = f"the trend of {band} that single runs show by chance"
    else:
        reach = f"the {band} by which two single runs differ by chance"
    margin = f"a difference of {amount(weakest.margin, scale)}"
    if is_equality and is_shown:
        said = f"is small even beside {reach}: it rules out {margin}"
    elif is_equality:
        said = f"is small, but beside {reach} one run each could not rule out {margin}"
    elif is_opposite:
        said = f"goes the other way, by more than {reach}"
    elif is_shown:
        said = f"is larger than {reach}"
    else:
        said = f"is within {reach}: one run each could not have shown this"
    return f"{subject} {said}."


def value_noise_sentence(low: float, high: float, published: float, scale: Scale, confidence: float) -> str:
    """Say where one more run would land, and whether the published value lies there."""
    ends = [f"{number(end, scale, (high - low) / 20)}{scale.level_unit}" for end in (low, high)]
    verb = "does" if low <= published <= high else "does not"
    return (
        f"One more run would land between {ends[0]} and {ends[1]} with {percent(confidence)} probability; "
        f"the published {exactly(published, scale)} {verb}."
    )


def _rounded(value: float, scale: Scale) -> str:
    return amount(float(f"{value:.2g}"), scale)
