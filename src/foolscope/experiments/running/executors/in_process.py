"""Trains one pack after another in this process."""

from collections.abc import Callable, Generator, Sequence
from functools import partial

from foolscope.core.threads import usable_threads
from foolscope.experiments.running.executors.job import PackJob, run_pack
from foolscope.experiments.running.session import Session
from foolscope.learning import EpochReport

__all__ = ["map_in_process"]


def map_in_process(
    jobs: Sequence[PackJob], session: Session, on_epoch: Callable[[int, EpochReport], None]
) -> Generator[int, None, None]:
    """Run jobs in their order; see :class:`~foolscope.experiments.running.executors.Executor`."""
    for position, job in enumerate(jobs):
        dataset, threads = session.dataset(job.recipes[0].dataset), usable_threads()
        run_pack(job, session.store, dataset, threads=threads, report=partial(on_epoch, position))
        yield position
