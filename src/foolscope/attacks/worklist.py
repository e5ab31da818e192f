"""The active set: work items wait in line, pass through a batch that is kept full, and leave early."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from foolscope.attacks.attack import Attack, State
from foolscope.attacks.ledger import Ledger
from foolscope.attacks.problem import Problem
from foolscope.attacks.randomness import Noise

__all__ = ["Batch", "Worklist", "refill"]


@dataclass(frozen=True)
class Batch:
    """The work items in flight: what each is about and how far its attack has come."""

    problem: Problem
    state: State

    def __len__(self) -> int:
        return len(self.problem)

    def select(self, rows: Tensor) -> "Batch":
        """Return the rows of a mask; the same batch if that is all of them."""
        if bool(rows.all()):
            return self
        return Batch(self.problem.select(rows), {name: value[rows] for name, value in self.state.items()})

    def join(self, other: "Batch") -> "Batch":
        """Return these rows and then the other's."""
        state = {name: torch.cat([value, other.state[name]]) for name, value in self.state.items()}
        return Batch(self.problem.join(other.problem), state)


class Worklist:
    """The line of waiting work items: every image's first item, then every image's second, and so on.

    Args:
        positions: the positions of the images to attack.
        items: how many work items each image has.
        ledger: says which images are done and need no further item.
        pose: from (positions, items) to the problem that they stand for.
    """

    def __init__(
        self, positions: Tensor, items: int, ledger: Ledger, pose: Callable[[Tensor, Tensor], Problem]
    ) -> None:
        self._positions, self._ledger, self._pose = positions, ledger, pose
        self.total = len(positions) * items
        self.taken = 0

    def take(self, count: int) -> Problem:
        """Return the next ``count`` work items that are still needed, or as many as there are."""
        found: list[tuple[Tensor, Tensor]] = []
        while count > 0 and self.taken < self.total:
            stop = min(self.taken + count, self.total)
            turns = torch.arange(self.taken, stop, device=self._positions.device)
            self.taken = stop
            positions, items = self._positions[turns % len(self._positions)], turns // len(self._positions)
            needed = ~self._ledger.is_done(positions, items)
            found.append((positions[needed], items[needed]))
            count -= len(found[-1][0])
        empty = self._positions[:0]
        return self._pose(
            torch.cat([empty, *(positions for positions, _ in found)]),
            torch.cat([empty, *(items for _, items in found)]),
        )

    def unfinished(self, problem: Problem) -> Tensor:
        """Return which images have work items in this batch, or waiting, that are still needed."""
        waiting = torch.zeros_like(self._ledger.items, dtype=torch.bool)
        waiting[problem.positions] = True
        rest = self.take(self.total)
        waiting[rest.positions] = True
        return waiting


def refill(batch: Batch, worklist: Worklist, attack: Attack, noise: Noise, batch_size: int) -> Batch:
    """Start waiting work items in the free rows, once an eighth of them is free: copying has a price too."""
    free = batch_size - len(batch)
    if worklist.taken == worklist.total or free * 8 < batch_size:
        return batch
    problem = worklist.take(free)
    if len(problem) == 0:
        return batch
    fresh = Batch(problem, attack.start(problem, noise))
    return batch.join(fresh) if len(batch) else fresh
