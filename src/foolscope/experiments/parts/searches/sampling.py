"""What a sampler is: a pure function from the rounds so far to the settings of the next one."""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from pydantic import Field

from foolscope.core.settings import Settings
from foolscope.experiments.parts.searches.space import Point, Space

__all__ = [
    "Proposal",
    "Round",
    "Sampler",
    "SamplerSettings",
    "ScoredPoint",
    "best_of",
    "distinct",
    "points_of",
]

_PATIENCE = 20  # draws for each point that is wanted, before the space counts as used up


class SamplerSettings(Settings):
    """How many settings to try, and how they are drawn."""

    rounds: int = Field(
        2, ge=1, le=100, description="number of rounds; each is proposed from the results so far"
    )
    trials: int = Field(16, ge=1, le=1000, description="settings per round, trained side by side")
    narrowing: float = Field(
        0.25, gt=0, le=1, description="width of the next round's ranges as a fraction of this round's"
    )
    sampler_seed: int = Field(0, ge=0, description="seed of the draws of settings")


@dataclass(frozen=True)
class ScoredPoint:
    """A setting that was tried.

    Args:
        point: one value per dimension.
        scores: the metric of the search on the validation set, in [0, 1], one per seed; NaN where the trial
            diverged.
        losses: on the validation set, likewise.
        identities: of the trials.
    """

    point: Point
    scores: tuple[float, ...]
    losses: tuple[float, ...]
    identities: tuple[str, ...] = ()

    @property
    def score(self) -> float | None:
        """The mean over the seeds; None if a trial diverged."""
        mean = math.fsum(self.scores) / len(self.scores)
        return mean if math.isfinite(mean) else None

    @property
    def loss(self) -> float:
        """The mean over the seeds; infinite if a trial diverged."""
        mean = math.fsum(self.losses) / len(self.losses)
        return mean if math.isfinite(mean) else math.inf


@dataclass(frozen=True)
class Round:
    """Settings that were proposed together, with their results, and the ranges they were drawn from."""

    space: Space
    trials: tuple[ScoredPoint, ...]


class Proposal(NamedTuple):
    """Settings to be tried next, none of them tried before, and the ranges they were drawn from."""

    space: Space
    points: tuple[Point, ...]


@runtime_checkable
class Sampler(Protocol):
    """Proposes the next round; the same arguments give the same proposal, so a killed search can go on."""

    def __call__(self, space: Space, settings: SamplerSettings, rounds: Sequence[Round]) -> Proposal:
        """Return what to try after ``rounds``; no points end the search."""


def best_of(rounds: Sequence[Round]) -> ScoredPoint | None:
    """Return the best setting tried: highest validation score, then lowest validation loss, then first.

    A validation set of a few hundred images ties often; the loss tells such settings apart. A setting that
    diverged with any seed is never the best.
    """
    finished = [trial for each in rounds for trial in each.trials if trial.score is not None]
    return max(finished, key=lambda trial: (trial.score, -trial.loss), default=None)


def points_of(rounds: Sequence[Round]) -> set[Point]:
    """Return all settings tried."""
    return {trial.point for each in rounds for trial in each.trials}


def distinct(draw: Callable[[], Point], count: int, tried: Collection[Point]) -> tuple[Point, ...]:
    """Draw until so many points differ from each other and from those tried, or no new ones seem left."""
    points: dict[Point, None] = {}
    for _ in range(_PATIENCE * count):
        if len(points) == count:
            break
        point = draw()
        if point not in tried:
            points[point] = None
    return tuple(points)
