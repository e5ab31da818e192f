"""Doubts: each reason is found where it holds."""

import math

from foolscope.statistics.doubts import Doubt, estimate_doubts
from foolscope.statistics.estimate import Estimate


def test_estimates_without_a_spread_are_doubted() -> None:
    assert estimate_doubts(Estimate(0.1, math.nan, 0, 1)) == (Doubt("one seed"),)
    assert estimate_doubts(Estimate(0.1, 0.0, 2, 3)) == (Doubt("no spread"),)
    assert estimate_doubts(Estimate(0.1, 0.1, 2, 3)) == ()
