"""The active set: work items wait in a queue, pass through a batch that is kept full, and leave early."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from foolscope.attacks.runner.attack import Attack, State
from foolscope.attacks.runner.best_so_far import BestSoFar
from foolscope.attacks.runner.problem import Problem
from foolscope.attacks.runner.randomness import Noise

__all__ = ["Batch", "Worklist", "refill"]


@dataclass(frozen=True)
class Batch:
    """The work items in flight and the state of the attack on each."""

    problem: Problem
    state: State

    def __len__(self) -> int:
        return len(self.problem)

    def select(self, rows: Tensor) -> "Batch":
        """Return the rows of a mask; the same batch if the mask has all rows."""
        if bool(rows.all()):
            return self
        return Batch(self.problem.select(rows), {name: value[rows] for name, value in self.state.items()})

    def join(self, other: "Batch") -> "Batch":
        """Return these rows followed by the other's."""
        state = {name: torch.cat([value, other.state[name]]) for name, value in self.state.items()}
        return Batch(self.problem.join(other.problem), state)


class Worklist:
    """The queue of work items: every image's first item, then every image's second, and so on.

    Args:
        positions: the positions of the images to attack.
        items: how many work items each image has.
        best_so_far: says which images are done and need no further item.
        problem: from (positions, items) to the rows under attack.
    """

    def __init__(
        self,
        positions: Tensor,
        items: int,
        best_so_far: BestSoFar,
        problem: Callable[[Tensor, Tensor], Problem],
    ) -> None:
        self._positions, self._best_so_far, self._problem = positions, best_so_far, problem
        self.total = len(positions) * items
        self.taken = 0

    def take(self, count: int) -> Problem:
        """Return the next ``count`` work items that are still needed, or all if there are fewer."""
        found: list[tuple[Tensor, Tensor]] = []
        while count > 0 and self.taken < self.total:
            stop = min(self.taken + count, self.total)
            turns = torch.arange(self.taken, stop, device=self._positions.device)
            self.taken = stop
            positions, items = self._positions[turns % len(self._positions)], turns // len(self._positions)
            needed = ~self._best_so_far.is_done(positions, items)
            found.append((positions[needed], items[needed]))
            count -= len(found[-1][0])
        empty = self._positions[:0]
        return self._problem(
            torch.cat([empty, *(positions for positions, _ in found)]),
            torch.cat([empty, *(items for _, items in found)]),
        )

    def unfinished(self, problem: Problem) -> Tensor:
        """Return which images still need work items that are in this batch or in the queue."""
        waiting = torch.zeros_like(self._best_so_far.items, dtype=torch.bool)
        waiting[problem.positions] = True
        rest = self.take(self.total)
        waiting[rest.positions] = True
        return waiting


def refill(batch: Batch, worklist: Worklist, attack: Attack, noise: Noise, batch_size: int) -> Batch:
    """Fill free rows with waiting work items once an eighth of the rows is free, since copying costs time."""
    free = batch_size - len(batch)
    if worklist.taken == worklist.total or free * 8 < batch_size:
        return batch
    problem = worklist.take(free)
    if len(problem) == 0:
        return batch
    fresh = Batch(problem, attack.start(problem, noise))
    return batch.join(fresh) if len(batch) else fresh
