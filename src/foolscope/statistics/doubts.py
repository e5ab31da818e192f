"""Reasons to doubt a standard error: no spread, or one seed."""

from dataclasses import dataclass
from typing import Literal

from foolscope.statistics.estimate import Estimate

__all__ = ["Doubt", "estimate_doubts"]


@dataclass(frozen=True)
class Doubt:
    """One reason to read a result with care: what is wrong."""

    kind: Literal["one seed", "no spread", "baseline diverged"]


def estimate_doubts(estimate: Estimate) -> tuple[Doubt, ...]:
    """Say why a standard error might mislead: it rests on one seed, or it is zero."""
    if estimate.seeds == 1:
        return (Doubt("one seed"),)
    return (Doubt("no spread"),) if estimate.standard_error == 0 else ()
