"""Doubts in words."""

import math

from foolscope.experiments.wording.doubts import doubt_words
from foolscope.statistics.doubts import Doubt


def test_doubts_say_which_cell_and_which_numbers() -> None:
    uneven = Doubt("uneven spread", cell="lr = 1", ratio=3.21)
    disagrees = Doubt("paired test disagrees", p_pooled=0.2, p_paired=0.011)
    first, second = doubt_words([uneven, disagrees, uneven])
    assert "lr = 1 varies 3.2 times" in first
    assert "p = 0.011 instead of 0.2" in second


def test_each_kind_has_words() -> None:
    kinds = ("one seed", "no spread", "baseline diverged")
    assert len(doubt_words([Doubt(kind) for kind in kinds])) == 3  # type: ignore[arg-type]


def test_a_cell_that_alone_varies_has_no_ratio() -> None:
    (said,) = doubt_words([Doubt("uneven spread", cell="lr = 1", ratio=math.inf)])
    assert said.startswith("lr = 1 varies between seeds and the other cells do not")
