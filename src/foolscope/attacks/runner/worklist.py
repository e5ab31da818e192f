"""The active set: work items wait in queues, pass through a batch that is kept full, and leave early."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from foolscope.attacks.runner.attack import Attack, State
from foolscope.attacks.runner.best_so_far import BestSoFar
from foolscope.attacks.runner.problem import Problem
from foolscope.attacks.runner.randomness import Noise

__all__ = ["Batch", "Worklist", "Worklists"]


@dataclass(frozen=True)
class Batch:
    """The work items in flight and the state of the attack on each."""

    problem: Problem
    state: State

    def __len__(self) -> int:
        return len(self.problem)

    def select(self, rows: Tensor) -> "Batch":
        """Return the rows of a mask; the same batch if the mask has all rows."""
        return self if bool(rows.all()) else self.reorder(rows)

    def reorder(self, rows: Tensor) -> "Batch":
        """Return the rows of a mask or an index tensor."""
        return Batch(self.problem.select(rows), {name: value[rows] for name, value in self.state.items()})

    def join(self, other: "Batch") -> "Batch":
        """Return these rows followed by the other's."""
        state = {name: torch.cat([value, other.state[name]]) for name, value in self.state.items()}
        return Batch(self.problem.join(other.problem), state)


class Worklist:
    """The queue of a model's work items: every image's first, then every image's second, and so on.

    Args:
        positions: the positions of the images to attack.
        items: how many work items each image has.
        room: the largest number of them in the batch.
        best_so_far: says which images are done and need no further item.
        problem: from (positions, items) to the rows under attack.
    """

    def __init__(
        self,
        positions: Tensor,
        items: int,
        room: int,
        best_so_far: BestSoFar,
        problem: Callable[[Tensor, Tensor], Problem],
    ) -> None:
        self._positions, self._best_so_far, self._problem = positions, best_so_far, problem
        self.total = len(positions) * items
        self.room = room
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

    def rest(self) -> Problem:
        """Take all work items that are still needed."""
        return self.take(self.total)


class Worklists:
    """The queues of the models that are attacked side by side; each has its own room in the batch.

    So every model's work items enter and leave as they do in a run of its own, and its passes are the same.

    Args:
        queues: one for each model.
        owners: for each position of the run the number of its model.
    """

    def __init__(self, queues: Sequence[Worklist], owners: Tensor) -> None:
        self._queues, self._owners = queues, owners
        self.total = sum(queue.total for queue in queues)

    @property
    def taken(self) -> int:
        """How many work items have left the queues."""
        return sum(queue.taken for queue in self._queues)

    def empty_batch(self) -> Batch:
        """Return a batch without rows."""
        return Batch(self._queues[0].take(0), {})

    def refill(self, batch: Batch, attack: Attack, noise: Noise) -> Batch:
        """Fill free rows with waiting work items; rows of the same model stay side by side.

        A model's rows are filled once an eighth of its room is free, since copying costs time.
        """
        if all(queue.taken == queue.total for queue in self._queues):
            return batch
        fresh: list[Problem] = []
        for queue, present in zip(self._queues, self._present(batch), strict=True):
            free = queue.room - present
            if queue.taken < queue.total and free * 8 >= queue.room:
                fresh.append(queue.take(free))
        fresh = [problem for problem in fresh if len(problem)]
        if not fresh:
            return batch
        problem = fresh[0]
        for other in fresh[1:]:
            problem = problem.join(other)
        started = Batch(problem, attack.start(problem, noise))
        return self._ordered(batch.join(started)) if len(batch) else started

    def unfinished(self, problem: Problem) -> Tensor:
        """Return which images still need work items that are in this batch or in the queues."""
        waiting = torch.zeros_like(self._owners, dtype=torch.bool)
        waiting[problem.positions] = True
        for queue in self._queues:
            waiting[queue.rest().positions] = True
        return waiting

    def _present(self, batch: Batch) -> list[int]:
        if len(self._queues) == 1:
            return [len(batch)]
        owners = self._owners[batch.problem.positions]
        present: list[int] = torch.bincount(owners, minlength=len(self._queues)).tolist()
        return present

    def _ordered(self, batch: Batch) -> Batch:
        if len(self._queues) == 1:
            return batch
        return batch.reorder(self._owners[batch.problem.positions].argsort(stable=True))
