"""The base of every settings class: validated once, frozen, without unknown fields."""

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, get_args

import pydantic

from foolscope.core.errors import RecipeError, did_you_mean

__all__ = ["FiniteFloat", "Settings", "finite_or_none", "one_line", "plain_words"]


def finite_or_none(value: Any) -> Any:
    """Return a number, or None for NaN and infinities, which JSON cannot represent; anything else unchanged.

    Example:
        >>> finite_or_none(float("nan")), finite_or_none(0.5)
        (None, 0.5)
    """
    return None if isinstance(value, float) and not math.isfinite(value) else value


FiniteFloat = Annotated[float | None, pydantic.BeforeValidator(finite_or_none)]
"""A number in a stored result: what is not finite becomes None, and null in JSON."""


_UNION_MEMBER = re.compile(r"(float|int|str|bool)$|(tuple|list|literal|constrained|function)\b")
"""What pydantic adds to the place of an error for the member of a union that was tried."""


class Settings(pydantic.BaseModel):
    """An immutable group of validated settings; a component derives from it and adds a literal ``name``."""

    model_config = pydantic.ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True, protected_namespaces=()
    )

    @pydantic.model_validator(mode="before")
    @classmethod
    def _none_in_words(cls, values: Any) -> Any:
        """Read ``none``, which TOML lacks, as each field means it: no value, or the choice of that name."""
        if not isinstance(values, Mapping):
            return values
        return {name: cls._none_for(str(name), value) for name, value in values.items()}

    @classmethod
    def _none_for(cls, name: str, value: Any) -> Any:
        if name not in cls.model_fields or not (value is None or value == "none"):
            return value
        allowed = get_args(cls.model_fields[name].annotation)
        if "none" in allowed:
            return "none"
        return None if type(None) in allowed and str not in allowed else value


def one_line(error: pydantic.ValidationError, known: Mapping[str, Any] | None = None) -> RecipeError:
    """Turn pydantic's first complaint into one line in the user's terms.

    ``known`` has the field names allowed at each dotted prefix, for "did you mean".
    """
    first, *others = error.errors(include_url=False)
    if first["type"] == "missing":  # the field may be there under a misspelt name: then report that one
        siblings = [each for each in others if each["loc"][:-1] == first["loc"][:-1]]
        first = next((each for each in siblings if each["type"] == "extra_forbidden"), first)
    path = [str(part) for part in first["loc"]]
    field = ".".join(path)
    if first["type"] == "extra_forbidden":
        allowed = (known or {}).get(".".join(path[:-1]), ())
        hint = f" {did_you_mean(path[-1], allowed)}" if allowed else ""
        return RecipeError(f"unknown field {field!r}.{hint}")
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "value_error":
        return RecipeError(f"{field}: {message}" if field else message)
    if first["type"] == "missing":
        return RecipeError(f"{field} is required and has no default; give it a value")
    field = ".".join(part for part in path if not _UNION_MEMBER.match(part))
    return RecipeError(f"{field}: {message[0].lower() + message[1:]}; got {first['input']!r}")


def plain_words(value: Any) -> str:
    """Write a value as in a recipe: ``none``, ``[50, 10]``, ``true``, ``8/255``.

    Example:
        >>> plain_words(8 / 255), plain_words(0.1), plain_words((50,)), plain_words(None)
        ('8/255', '0.1', '[50]', 'none')
    """
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return str(list(value))
    if isinstance(value, bool):
        return str(value).lower()
    grays = round(value * 255) if isinstance(value, float) else 0
    return f"{grays}/255" if grays and value == grays / 255 and len(str(value)) > 8 else str(value)
