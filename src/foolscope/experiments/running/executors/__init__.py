"""Executors: one ``map`` over packs. To add one, write its file and add its line to ``EXECUTORS``."""

from collections.abc import Callable, Generator, Sequence
from typing import Protocol, runtime_checkable

from foolscope.experiments.running.executors.in_process import map_in_process
from foolscope.experiments.running.executors.job import PackJob
from foolscope.experiments.running.executors.processes import map_in_processes
from foolscope.experiments.running.executors.ray import map_on_ray
from foolscope.experiments.running.session import Session
from foolscope.learning import EpochReport

__all__ = ["EXECUTORS", "Executor", "PackJob"]


@runtime_checkable
class Executor(Protocol):
    """Trains packs and puts their results into the session's store, wherever and in whatever order."""

    def __call__(
        self, jobs: Sequence[PackJob], session: Session, on_epoch: Callable[[int, EpochReport], None]
    ) -> Generator[int, None, None]:
        """Yield the position of each job once its results are in the store.

        Nothing runs before the first position is asked for; closing the iterator ends what still runs.

        Args:
            jobs: at least one.
            session: store, data, device and the most workers.
            on_epoch: called with a job's position after each of its epochs, from the thread that iterates.

        Raises:
            FoolscopeError: what a job met, as if it had run in this process; or its workers were lost.
        """
        ...


EXECUTORS: dict[str, Executor] = {
    "in-process": map_in_process,
    "processes": map_in_processes,
    "ray": map_on_ray,
}
