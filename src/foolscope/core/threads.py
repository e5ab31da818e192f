"""The number of threads that torch uses."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from foolscope.core.cores import available_cores

__all__ = ["limit_threads", "thread_count", "usable_threads", "worthwhile_threads"]

_WORTHWHILE_FLOPS = 50e6


@contextmanager
def thread_count(count: int) -> Iterator[None]:
    """Set the number of torch threads inside the ``with`` block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def usable_threads() -> int:
    """Return how many threads torch should use: as many as it is set to, but no more than there are cores."""
    return min(torch.get_num_threads(), available_cores())


def limit_threads() -> None:
    """Let torch use no more threads than there are cores for this process, from now on.

    By itself torch counts the cores of the machine, of which a container may be allowed a few.
    """
    torch.set_num_threads(usable_threads())


def worthwhile_threads(flops: float) -> int:
    """Return the number of threads that makes a training step of this size fastest: one, or all.

    Threads synchronize after every operation. In a short step they wait longer than they save, and on a
    machine that also does other work the waiting costs ten times the step.
    """
    return 1 if flops < _WORTHWHILE_FLOPS else torch.get_num_threads()
