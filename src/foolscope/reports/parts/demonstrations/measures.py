"""Formulas, numbers and ranges over seeds as text."""

from foolscope.experiments.parts.demonstrations.kind import DemonstrationRecord
from foolscope.experiments.parts.measures import MeasureRecord

__all__ = ["formula", "mean_text", "measure_text", "over_seeds"]


def formula(text: str) -> str:
    r"""Keep a formula on one line: it is broken neither at its spaces nor behind the bar of a fraction.

    Example:
        >>> formula("η < 2/λ")
        'η\xa0<\xa02/\u2060λ'
    """
    return text.replace(" ", "\u00a0").replace("/", "/\u2060")


def measure_text(value: float) -> str:
    """Write a number with four digits; the very large and small with two, and a power of ten.

    Example:
        >>> measure_text(21.0), measure_text(0.0080861), measure_text(-2.54e-16), measure_text(4806123.0)
        ('21', '0.008086', '−2.5e−16', '4.8e6')
    """
    text = f"{value:.4g}"
    mantissa, e, exponent = (f"{value:.2g}" if "e" in text else text).partition("e")
    return (f"{mantissa}e{int(exponent)}" if e else text).replace("-", "−")


def mean_text(record: DemonstrationRecord, name: str) -> str:
    """Write the mean of a measure over the seeds; a dash where there is none."""
    mean = record.measure(name).mean
    return "–" if mean is None else measure_text(mean)


def over_seeds(measure: MeasureRecord) -> str | None:
    """Write the range of a measure over the seeds; None if it is finite with none."""
    finite = [value for value in measure.values if value is not None]
    if not finite:
        return None
    low, high = measure_text(min(finite)), measure_text(max(finite))
    said = low if low == high else f"{low} to {high}"
    lost = len(measure.values) - len(finite)
    if lost:
        return f"{said}, {lost} not finite"
    return "the same" if measure.same else said
