"""The samplers by name, and the settings of a search."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pydantic
from pydantic import Field

from foolscope.core.errors import require_known
from foolscope.core.randomness import numpy_generator
from foolscope.core.settings import one_line
from foolscope.experiments.parts.searches.sampling import (
    Proposal,
    Round,
    Sampler,
    SamplerSettings,
    best_of,
    distinct,
    points_of,
)
from foolscope.experiments.parts.searches.space import Point, Space
from foolscope.experiments.parts.searches.tpe import tpe

__all__ = ["SAMPLERS", "SearchSettings", "coarse_to_fine", "random_search", "search_settings"]


def coarse_to_fine(space: Space, settings: SamplerSettings, rounds: Sequence[Round]) -> Proposal:
    """Draw uniformly from the whole range, then from ever shorter ranges around the best so far.

    On its own scale (the logarithm of the value, or the value), let a range of the last round reach from a to
    b, let x be the best value tried in any round, and f the setting ``narrowing``. The next range is
    ``[x - f (b - a)/2, x + f (b - a)/2]`` without what lies outside ``[a, b]``: the ranges are nested, and
    all hold the best. Lists of choices stay as they are.

    References:
        Bergstra and Bengio (2012), "Random search for hyper-parameter optimization", JMLR 13, 281-305, for
        drawing at random, log-uniformly for what acts by its ratio; the narrowing is common practice.
    """
    best = best_of(rounds)
    current = rounds[-1].space if rounds else space
    if best is not None:
        current = tuple(
            dimension.narrowed(value, settings.narrowing)
            for dimension, value in zip(current, best.point, strict=True)
        )
    return Proposal(current, _uniform(current, settings.trials, settings, rounds))


def random_search(space: Space, settings: SamplerSettings, rounds: Sequence[Round]) -> Proposal:
    """Draw all ``rounds × trials`` settings at once, uniformly from the whole range.

    Nothing is learned between the draws, so they need no rounds and can train side by side. The first of them
    are those of the first round of :func:`coarse_to_fine`, so the two share trials.

    References:
        Bergstra and Bengio (2012), "Random search for hyper-parameter optimization", JMLR 13, 281-305.
    """
    count = 0 if rounds else settings.rounds * settings.trials
    return Proposal(space, _uniform(space, count, settings, rounds))


def _uniform(
    space: Space, count: int, settings: SamplerSettings, rounds: Sequence[Round]
) -> tuple[Point, ...]:
    generator = numpy_generator(settings.sampler_seed, "search", len(rounds))

    def draw() -> Point:
        fractions: list[float] = generator.random(len(space)).tolist()
        return tuple(dimension.at(each) for dimension, each in zip(space, fractions, strict=True))

    return distinct(draw, count, points_of(rounds))


SAMPLERS: dict[str, Sampler] = {
    "coarse-to-fine": coarse_to_fine,
    "random": random_search,
    "tpe": tpe,
}
"""Name to sampler; each proposes the next round from the rounds so far."""


class SearchSettings(SamplerSettings):
    """How to search, and how to judge what was found."""

    sampler: str = Field("coarse-to-fine", description=f"how settings are drawn: {', '.join(SAMPLERS)}")
    metric: Literal["accuracy", "balanced_accuracy", "f1", "auc"] = Field(
        "accuracy",
        description="score on the validation images by which settings are chosen, and on the test images by "
        "which the winner is judged; f1 and auc are means over the classes",
    )
    seeds: int = Field(1, ge=1, le=1000, description="seeds on which every setting is tried")
    fresh_seeds: int = Field(
        5, ge=3, le=1000, description="other seeds, on which the winner and the baseline are compared"
    )

    @pydantic.field_validator("sampler")
    @classmethod
    def _known_sampler(cls, sampler: str) -> str:
        require_known(sampler, SAMPLERS, "sampler")
        return sampler


def search_settings(values: Mapping[str, Any]) -> SearchSettings:
    """Validate settings of a search by name.

    Raises:
        RecipeError: one line about the first thing that is wrong.
    """
    try:
        return SearchSettings.model_validate(dict(values))
    except pydantic.ValidationError as error:
        raise one_line(error, {"": list(SearchSettings.model_fields)}) from error
