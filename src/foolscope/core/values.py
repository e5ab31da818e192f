"""Values as people write them on a command line: numbers, fractions, lists, words."""

import re
import tomllib
from datetime import date, time
from typing import Any

__all__ = ["parse_value", "parse_values"]


def parse_value(text: str) -> Any:
    """Read a value from the command line as TOML would, else as a fraction or a string; ``none`` is no value.

    Example:
        >>> parse_value("0.1"), parse_value("[50, 20]"), parse_value("best"), parse_value("1/255") == 1 / 255
        (0.1, [50, 20], 'best', True)
    """
    if text.lower() == "none":
        return None
    try:
        table = tomllib.loads(f"value = {text}")
        is_plain = len(table) == 1 and not isinstance(table["value"], date | time)  # a datetime is a date
        return table["value"] if is_plain else text
    except tomllib.TOMLDecodeError:
        numerator, slash, denominator = text.partition("/")
        try:
            return float(numerator) / float(denominator) if slash else text
        except (ValueError, ZeroDivisionError):
            return text


_COMMA = re.compile(r",(?![^\[]*\])")  # outside brackets


def parse_values(text: str) -> list[Any]:
    """Read values separated by commas, of which those inside brackets belong to a value.

    Example:
        >>> parse_values("[64],[64, 64]"), parse_values("none,noise:deviation=[0, 1]")
        ([[64], [64, 64]], [None, 'noise:deviation=[0, 1]'])
    """
    parsed = parse_value(f"[{text}]")
    return parsed if isinstance(parsed, list) else [parse_value(each.strip()) for each in _COMMA.split(text)]
