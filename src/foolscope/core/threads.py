"""The number of threads that torch uses."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["thread_count", "worthwhile_threads"]

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


def worthwhile_threads(flops: float) -> int:
    """Return the number of threads that makes a training step of this size fastest: one, or all.

    Threads synchronize after every operation. In a short step they wait longer than they save, and on a
    machine that also does other work the waiting costs ten times the step.
    """
    return 1 if flops < _WORTHWHILE_FLOPS else torch.get_num_threads()
