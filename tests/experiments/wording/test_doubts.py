"""Doubts in words."""

import typing

from foolscope.experiments.wording.doubts import doubt_words
from foolscope.statistics.doubts import Doubt


def test_each_kind_has_words_of_its_own_and_is_said_once() -> None:
    kinds = typing.get_args(typing.get_type_hints(Doubt)["kind"])
    doubts = [Doubt(kind) for kind in kinds]
    assert len(doubt_words([*doubts, *doubts])) == len(kinds)
