"""Doubts about a standard error as sentences."""

import math
from collections.abc import Iterable

from foolscope.statistics.doubts import Doubt

__all__ = ["doubt_words"]

_WORDS = {
    "one seed": "one seed says nothing about the spread between seeds",
    "no spread": "all seeds give the same value, so the interval has no width",
    "uneven spread": "{cell} varies {ratio:.2g} times as much between seeds as the other cells, so the "
    "pooled standard error may be wrong",
    "only spread": "{cell} varies between seeds and the other cells do not, so the pooled standard error may "
    "be wrong",
    "paired test disagrees": "the paired t test, which does not pool, disagrees: p = {p_paired:.2g} instead "
    "of {p_pooled:.2g}",
    "baseline diverged": "the baseline diverged",
}


def doubt_words(doubts: Iterable[Doubt]) -> list[str]:
    """Write doubts as a report lists them, each once.

    Example:
        >>> doubt_words([Doubt("one seed"), Doubt("one seed")])
        ['one seed says nothing about the spread between seeds']
    """
    return list(dict.fromkeys(_words(doubt) for doubt in doubts))


def _words(doubt: Doubt) -> str:
    kind = "only spread" if doubt.kind == "uneven spread" and doubt.ratio == math.inf else doubt.kind
    return _WORDS[kind].format(**vars(doubt))
