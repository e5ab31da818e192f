"""Drawings that are made when they are needed: a terminal shows none."""

from collections.abc import Callable
from functools import cache, partial
from typing import ParamSpec

__all__ = ["later"]

_Arguments = ParamSpec("_Arguments")


def later(
    draw: Callable[_Arguments, str], *arguments: _Arguments.args, **options: _Arguments.kwargs
) -> Callable[[], str]:
    """Put off a drawing until it is first asked for, and keep it from then on.

    Example:
        >>> drawing = later("<svg>{}</svg>".format, "a circle")
        >>> drawing()
        '<svg>a circle</svg>'
    """
    return cache(partial(draw, *arguments, **options))
