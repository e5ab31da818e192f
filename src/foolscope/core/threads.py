"""How many threads torch may use, set for a while and restored."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["thread_count", "worthwhile_threads"]

_WORTHWHILE_FLOPS = 50e6


@contextmanager
def thread_count(count: int) -> Iterator[None]:
    """Let torch compute with so many threads inside the ``with`` block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def worthwhile_threads(flops: float) -> int:
    """Return how many threads pay for a step of so many floating-point operations.

    Threads meet at a barrier after every operation. Where a step is short, waiting costs more than sharing
    gains, and on a machine that also does other work it costs ten times the step.

    Args:
        flops: of one training step.
    """
    return 1 if flops < _WORTHWHILE_FLOPS else torch.get_num_threads()
