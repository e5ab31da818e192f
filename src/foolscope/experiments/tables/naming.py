"""Which setting of a table a person means, and how settings are written."""

import math
from collections.abc import Mapping, Sequence

from foolscope.core.errors import RecipeError
from foolscope.experiments.tables import columns as names
from foolscope.experiments.tables.numbers import same_value

__all__ = ["find_setting", "number_of", "ordered", "setting_words"]

_LISTED = 8


def find_setting(
    given: str | Mapping[str, object] | None,
    columns: Sequence[str],
    settings: Sequence[tuple[str, ...]],
    *,
    option: str,
    others: Mapping[str, str] | None = None,
) -> tuple[str, ...]:
    """Find the setting that a person names.

    Args:
        given: a value of the only column, or values in the order of the columns; ``column=value`` pairs; or a
            mapping from column to value.
        columns: names of the setting columns.
        settings: those there are.
        option: what to name in a message.
        others: values of the columns that are not named.

    Raises:
        RecipeError: none, or more than one, is meant; the line lists those there are.
    """
    known = "; ".join(setting_words(columns, each) for each in ordered(settings)[:_LISTED])
    known += f"; {len(settings) - _LISTED} more" if len(settings) > _LISTED else ""
    if given is None:
        raise RecipeError(
            f"{option} is required: the setting that the others are compared with. Settings: {known}"
        )
    wanted = (
        _pairs(given, columns)
        if isinstance(given, str)
        else {str(key): value for key, value in given.items()}
    )
    if wanted is None:
        parts = tuple(same_value(part.strip()) for part in str(given).split(","))
        whole = (same_value(str(given).strip()),)
        fits = [each for each in settings if each in (whole, parts)]
        fits = fits or [each for each in settings if whole[0] in each]
        fits = fits or [each for each in settings if whole[0].lower() in [value.lower() for value in each]]
    else:
        wanted = {
            **(others or {}),
            **{_column(name, columns, option): value for name, value in wanted.items()},
        }
        texts = {name: same_value(_text(value)) for name, value in wanted.items()}
        fits = [
            each
            for each in settings
            if all(dict(zip(columns, each, strict=True))[name] == value for name, value in texts.items())
        ]
    if len(fits) == 1:
        return fits[0]
    if fits:
        listed = "; ".join(setting_words(columns, each) for each in fits[:_LISTED])
        raise RecipeError(
            f"{option} {_said(given)} could be any of {len(fits)} settings; name all columns: {listed}"
        )
    raise RecipeError(f"{option}: no setting is {_said(given)}. Settings: {known}")


def setting_words(columns: Sequence[str], setting: Sequence[str]) -> str:
    """Write a setting as messages do: ``lr=0.1, wd=0``."""
    return ", ".join(
        f"{names.plain_name(name)}={value}" for name, value in zip(columns, setting, strict=True)
    )


def _pairs(text: str, columns: Sequence[str]) -> dict[str, object] | None:
    """Read ``column=value`` pairs; None if the text is something else."""
    known = {names.plain_name(name) for name in columns} | set(columns)
    parts = [part.partition("=") for part in text.split(",")]
    if not all(mark and name.strip() for name, mark, _ in parts) or parts[0][0].strip() not in known:
        return None
    return {name.strip(): value.strip() for name, _, value in parts}


def _column(name: str, columns: Sequence[str], option: str) -> str:
    found = next((each for each in columns if name in (each, names.plain_name(each))), None)
    if found is None:
        raise RecipeError(f"{option}: {name!r} is no setting column; those are {', '.join(columns)}")
    return found


def _text(value: object) -> str:
    return "" if value is None else repr(value) if isinstance(value, float) else str(value)


def _said(given: str | Mapping[str, object]) -> str:
    return (
        repr(given)
        if isinstance(given, str)
        else ", ".join(f"{name}={value}" for name, value in given.items())
    )


def ordered(settings: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Sort settings by columns that hold numbers; others keep the order of the table."""
    ranks: list[dict[str, float]] = []
    for values in zip(*settings, strict=True):
        different = list(dict.fromkeys(values))
        numbers = [number_of(value) for value in different]
        is_numeric = all(number is not None for number in numbers)
        ranks.append(
            {
                value: float(number if is_numeric and number is not None else position)
                for position, (value, number) in enumerate(zip(different, numbers, strict=True))
            }
        )
    return sorted(settings, key=lambda each: [rank[value] for rank, value in zip(ranks, each, strict=True)])


def number_of(text: str) -> float | None:
    """Return a value as a number to sort by, "none" first; None if it is none."""
    if text == "none":
        return -math.inf
    try:
        return float(text)
    except ValueError:
        return None
