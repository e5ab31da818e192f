"""Names of parameters, chosen by patterns of the shell."""

from collections.abc import Iterable
from fnmatch import fnmatchcase

__all__ = ["BODY", "matches", "matching"]

BODY = "body."
"""What the names of the layers of every model of ours begin with; patterns may omit it."""


def matches(name: str, pattern: str) -> bool:
    """Whether a parameter's name matches a pattern, with or without ``body.`` in front; case counts.

    Example:
        >>> matches("body.fc.bias", "fc.*"), matches("body.fc.bias", "*bias"), matches("body.fc.bias", "FC.*")
        (True, True, False)
    """
    return fnmatchcase(name, pattern) or fnmatchcase(name, BODY + pattern)


def matching(names: Iterable[str], pattern: str) -> list[str]:
    """Return the names that match a pattern, in their order.

    Example:
        >>> matching(["body.conv1.weight", "body.fc.weight", "body.fc.bias"], "fc.*")
        ['body.fc.weight', 'body.fc.bias']
    """
    return [name for name in names if matches(name, pattern)]
