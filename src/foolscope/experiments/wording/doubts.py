"""Doubts about a standard error as sentences."""

from collections.abc import Iterable

from foolscope.statistics.doubts import Doubt

__all__ = ["doubt_words"]

_WORDS = {
    "one seed": "one seed says nothing about the spread between seeds",
    "no spread": "all seeds give the same value, so the interval has no width",
    "baseline diverged": "the baseline diverged",
}


def doubt_words(doubts: Iterable[Doubt]) -> list[str]:
    """Write doubts as a report lists them, each once.

    Example:
        >>> doubt_words([Doubt("one seed"), Doubt("one seed")])
        ['one seed says nothing about the spread between seeds']
    """
    return list(dict.fromkeys(_WORDS[doubt.kind] for doubt in doubts))
