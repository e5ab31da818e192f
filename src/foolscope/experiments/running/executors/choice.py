"""Chooses the executor: worker processes where they save more time than their start takes."""

import heapq
from collections.abc import Sequence

from foolscope.core.errors import RecipeError, did_you_mean
from foolscope.core.threads import thread_count, usable_threads, worthwhile_threads
from foolscope.experiments.running.executors.job import PackJob
from foolscope.experiments.running.executors.processes import shares
from foolscope.experiments.running.session import Session

__all__ = ["choose_executor", "makespan", "seconds_saved"]

_CORE_FLOPS = 15e9  # of a job's work that a core does in a second; nine packs had 10e9 to 43e9 on an AMD EPYC
_FURTHER_THREAD = 0.5  # what each thread beyond the first adds to the speed of the first; assumed
_WORTHWHILE_SECONDS = 5.0  # twice what a worker took there to import torch and read its data


def choose_executor(jobs: Sequence[PackJob], session: Session, known: Sequence[str]) -> str:
    """Return the name of the executor for these jobs.

    Worker processes are chosen where the user names no executor, the device is the CPU, and they save more
    time than their start takes.

    Raises:
        RecipeError: there is no such executor, or it has one worker and more are asked for.
    """
    name, workers = session.executor, session.workers
    if name not in ("auto", *known):
        raise RecipeError(f"unknown executor {name!r}. {did_you_mean(name, ('auto', *known))}")
    if name == "in-process" and (workers or 1) > 1:
        raise RecipeError(f"the executor in-process has 1 worker; got {workers}. Use --executor processes")
    if name != "auto":
        return name
    if len(jobs) < 2 or session.device.type != "cpu":
        return "in-process"
    return "processes" if seconds_saved(jobs, workers) > _WORTHWHILE_SECONDS else "in-process"


def seconds_saved(jobs: Sequence[PackJob], workers: int | None) -> float:
    """Estimate the seconds that worker processes, not counting their start, save over this process."""
    count, threads = shares(len(jobs), workers)
    alone = sum(_seconds(job, usable_threads()) for job in jobs)
    return alone - makespan([_seconds(job, threads) for job in jobs], count)


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


def _seconds(job: PackJob, threads: int) -> float:
    with thread_count(threads):
        used = worthwhile_threads(job.step_flops)
    return job.work / _CORE_FLOPS / (1 + _FURTHER_THREAD * (used - 1))
