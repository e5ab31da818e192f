"""Text for all file formats: unwritable characters replaced, numbers formatted."""

import math
import re

__all__ = ["clean_text", "format_number", "one_line_text", "unbroken_text"]

_UNWRITABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_SPACES = re.compile(r"\s+")
_BEFORE_UNIT = re.compile(r"(?<=\d) (?=(?:%|points?\b|seeds?\b))")
_RELATION = re.compile(r"(?<=\w) ([=<>]) (?=[\d−])")


def clean_text(text: str) -> str:
    r"""Replace control characters and lone surrogates, which HTML, SVG and UTF-8 cannot hold.

    Tabs and newlines stay, other line ends become newlines, everything else unwritable becomes U+FFFD.

    Example:
        >>> clean_text("a\r\nb\x00")
        'a\nb�'
    """
    return _UNWRITABLE.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))


def one_line_text(text: str) -> str:
    """Clean text and put it on one line, every run of white space a single space."""
    return _SPACES.sub(" ", clean_text(text)).strip()


def unbroken_text(text: str) -> str:
    r"""Put no-break spaces between a number and its unit, and around a relation.

    Example:
        >>> unbroken_text("adjusted p < 0.001 at 95 %")
        'adjusted p\xa0<\xa00.001 at 95\xa0%'
    """
    return _BEFORE_UNIT.sub("\u00a0", _RELATION.sub("\u00a0\\1\u00a0", text))


def format_number(value: float, specification: str = "") -> str:
    """Write a number by a format specification, with a true minus sign.

    Args:
        value: any number; booleans are words, not numbers.
        specification: as for :func:`format`: ``".3f"``, ``".1%"``; empty for up to six significant digits.

    Example:
        >>> format_number(-0.0441, "+.1%"), format_number(1e-4), format_number(float("nan"))
        ('−4.4 %', '0.0001', 'not a number')
    """
    if isinstance(value, float) and math.isnan(value):
        return "not a number"
    if isinstance(value, float) and math.isinf(value):
        return "∞" if value > 0 else "−∞"
    written = format(value, specification) if specification else _shortest(value)
    return written.replace("-", "−").replace("%", " %")


def _shortest(value: float) -> str:
    """Write 6 significant digits at most, so that 0.1 + 0.2 reads 0.3."""
    return str(value) if isinstance(value, int) else format(value, ".6g")
