"""The result of a sanity check."""

from dataclasses import dataclass

__all__ = ["Check"]


@dataclass(frozen=True)
class Check:
    """One check: whether it passed, in a sentence, with its numbers."""

    name: str
    passed: bool
    sentence: str
    numbers: dict[str, float]
