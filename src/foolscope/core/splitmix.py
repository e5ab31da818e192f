"""SplitMix64's mixing function: a hash of whole tensors of 64-bit numbers, the same on every device."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["GOLDEN", "mixed", "shifted"]

# SplitMix64's constants, as signed numbers.
GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
"""The golden ratio of 2⁶⁴, the distance between successive states."""

_FIRST_FACTOR = 0xBF58476D1CE4E5B9 - (1 << 64)
_SECOND_FACTOR = 0x94D049BB133111EB - (1 << 64)


def mixed(state: "Tensor") -> "Tensor":
    """Return SplitMix64's output for each state; products wrap around, as the algorithm requires.

    Args:
        state: int64, any shape.

    References:
        Steele, Lea and Flood (2014), "Fast splittable pseudorandom number generators".
    """
    state = (state ^ shifted(state, 30)) * _FIRST_FACTOR
    state = (state ^ shifted(state, 27)) * _SECOND_FACTOR
    return state ^ shifted(state, 31)


def shifted(bits: "Tensor", places: int) -> "Tensor":
    """Shift right and fill with zeros: torch has no unsigned 64-bit arithmetic."""
    return (bits >> places) & ((1 << (64 - places)) - 1)
