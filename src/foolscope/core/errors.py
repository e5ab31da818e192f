"""The errors that a user can cause, each one line that says what to do next."""

import difflib
from collections.abc import Collection, Iterable

__all__ = [
    "DataError",
    "FoolscopeError",
    "RecipeError",
    "StoreError",
    "ThreatError",
    "did_you_mean",
    "require_known",
]


class FoolscopeError(Exception):
    """A mistake that the user can fix: the command line prints its one line and exits with code 2."""


class DataError(FoolscopeError, ValueError):
    """A data file is missing, truncated, corrupt or of the wrong shape."""


class RecipeError(FoolscopeError, ValueError):
    """A recipe, study file or flag has an unknown field or a value out of range."""


class StoreError(FoolscopeError, OSError):
    """A stored run cannot be read or written, or belongs to another model."""


class ThreatError(FoolscopeError, ValueError):
    """A threat or an attack setting makes no sense, such as an epsilon in [0, 255] units."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Say which known name is nearest, or list them all.

    Returns:
        A sentence to append to an error, beginning with a capital letter.

    Example:
        >>> did_you_mean("learning_rat", ["learning_rate", "momentum"])
        "Did you mean 'learning_rate'? Known: learning_rate, momentum"
        >>> did_you_mean("zzz", ["digits", "mnist"])
        'Known: digits, mnist'
    """
    names = sorted(known)
    listing = f"Known: {', '.join(names)}"
    nearest = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"Did you mean {nearest[0]!r}? {listing}" if nearest else listing


def require_known(name: str, known: Collection[str], what: str) -> None:
    """Refuse an unknown name.

    Raises:
        RecipeError: with the names that are known.
    """
    if name not in known:
        raise RecipeError(f"unknown {what} {name!r}. {did_you_mean(name, known)}")
