"""A way to train, and the time of one gradient step of one of its trials."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from foolscope.core.cores import available_cores
from foolscope.core.threads import thread_count

__all__ = ["ARRANGEMENTS", "CORES", "Arrangement", "Training", "Way", "advance", "calls_for", "measure"]

CORES = min(2, available_cores())
"""How many cores the ways on the CPU may use: two, as a small machine has."""

Arrangement = Literal["1 thread", "2 threads", "2 processes", "cuda"]

_ON_CPU: tuple[Arrangement, ...] = ("1 thread", "2 threads", "2 processes")
ARRANGEMENTS = _ON_CPU[: 1 if CORES == 1 else 3]
"""Those on the CPU that this machine has the cores for."""

Training = Iterator[object]
"""A training loop that stops after every step, with the losses of that step."""


@dataclass(frozen=True, eq=False)
class Way:
    """One way to train, in one precision and one arrangement on the cores.

    Args:
        row: what it is called in the table.
        precision: data type of the products.
        arrangement: what computes.
        detail: settings that tell it from others of its row, precision and arrangement; the fastest counts.
        start: begins its trainings, one per kind of trial; the argument numbers the process, so that
            each has trials of its own. Picklable.
        trial_steps: gradient steps times trials in one step of a training.
        seeds: of the trials, each of which has minibatches of its own.
        warm_up: steps before the clock starts, in every round.
        effort: factor on the number of steps in a round, smaller where they are long.
    """

    row: str
    precision: Literal["float32", "bfloat16"]
    arrangement: Arrangement
    start: Callable[[int], list[Training]]
    detail: object = ""
    trial_steps: int = 1
    seeds: int = 1
    warm_up: int = 2
    effort: float = 1.0

    @property
    def threads(self) -> int:
        """Threads of a process."""
        return CORES if self.arrangement == "2 threads" else 1

    def __str__(self) -> str:
        """Return the full name of the way."""
        return ", ".join(filter(None, (self.row, self.precision, self.arrangement, str(self.detail))))


def calls_for(way: Way, steps: float, kinds: int) -> int:
    """Return how many steps of each training make up a number of trial-steps."""
    return max(1, round(way.effort * steps / (way.trial_steps * kinds)))


def advance(trainings: Sequence[Training], calls: int) -> None:
    """Advance every training, one after another, by a number of steps."""
    for training in trainings:
        for _ in range(calls):
            next(training)
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def measure(way: Way, trainings: Sequence[Training], steps: float) -> float:
    """Return the milliseconds that one gradient step of one trial takes in this process."""
    calls = calls_for(way, steps, len(trainings))
    with thread_count(way.threads):
        advance(trainings, way.warm_up)
        start = time.perf_counter()
        advance(trainings, calls)
        seconds = time.perf_counter() - start
    return 1e3 * seconds / (calls * len(trainings) * way.trial_steps)
