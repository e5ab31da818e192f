"""Decides how packs share the cores: one after another on all of them, or side by side in processes."""

import heapq
import os
from collections.abc import Sequence
from dataclasses import replace

from foolscope.experiments.running.costs import START_SECONDS, slowdown, speedup
from foolscope.experiments.running.packs import Pack, PackLimits, PendingTrial, plan_packs

__all__ = ["affordable_workers", "makespan", "plan_for_cores", "seconds_alone", "seconds_side_by_side"]


_DATA_SHARE = 0.5  # of the machine's memory that copies of the data may take


def affordable_workers(cores: int, data_bytes: int, memory_bytes: int | None = None) -> int:
    """Return how many workers, at most one a core, may hold a copy of the data beside this process.

    Args:
        cores: that this machine has for us.
        data_bytes: of the data set as it is held in memory.
        memory_bytes: of the machine, by default as it says.

    Example:
        >>> affordable_workers(8, data_bytes=4 * 10**9, memory_bytes=32 * 10**9)
        3
    """
    if memory_bytes is None:
        try:
            memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (AttributeError, ValueError, OSError):  # a system that does not know
            return cores
    copies = int(_DATA_SHARE * memory_bytes) // max(1, data_bytes)
    return max(1, min(cores, copies - 1))


def plan_for_cores(
    pending: Sequence[PendingTrial], limits: PackLimits, *, cores: int, threads: int
) -> list[Pack]:
    """Plan packs for the arrangement that is estimated to take least time.

    Packs as large as they may be, one after another, gather each minibatch once, but the threads of a step
    wait for each other. Packs in worker processes do not; those are the same packs where they happen to end
    at nearly the same time, or others, cut so that they do.

    Args:
        pending: the trials, in any order.
        limits: of a pack.
        cores: that this machine has for us.
        threads: that a step may use at most.

    Returns:
        Packs that say on how many threads they are to train if it is side by side.
    """
    joined = plan_packs(pending, limits)
    if cores < 2 or len(pending) < 2:
        return joined
    best, least = joined, seconds_alone(joined, threads)
    for packs in (joined, plan_packs(pending, limits, workers=min(cores, len(pending)))):
        workers = min(cores, len(packs))
        each = max(1, min(threads, cores // workers))
        seconds = START_SECONDS + seconds_side_by_side(packs, workers, each)
        if workers > 1 and seconds < least:
            best, least = [replace(pack, threads=each) for pack in packs], seconds
    return best


def seconds_alone(packs: Sequence[Pack], threads: int) -> float:
    """Estimate the seconds of packs that train one after another."""
    return sum(_seconds(pack, threads) for pack in packs)


def seconds_side_by_side(packs: Sequence[Pack], workers: int, threads: int) -> float:
    """Estimate the seconds of packs in worker processes, not counting the start of these."""
    return slowdown(workers) * makespan([_seconds(pack, threads) for pack in packs], workers)


def makespan(durations: Sequence[float], workers: int) -> float:
    """Return when the last job ends if each free worker takes the longest remaining job.

    Example:
        >>> makespan([3, 3, 2, 2, 2], 2)
        7.0
    """
    ends = [0.0] * workers
    for duration in sorted(durations, reverse=True):
        heapq.heapreplace(ends, ends[0] + duration)
    return max(ends)


def _seconds(pack: Pack, threads: int) -> float:
    return pack.core_seconds / speedup(pack.step_flops, threads)
