"""Trains one pack after another in this process."""

from collections.abc import Callable, Generator, Sequence

import torch

from foolscope.experiments.running.executors.job import PackJob, run_pack
from foolscope.experiments.running.session import Session
from foolscope.learning import EpochReport

__all__ = ["map_in_process"]


def map_in_process(
    jobs: Sequence[PackJob], session: Session, on_epoch: Callable[[int, EpochReport], None]
) -> Generator[int, None, None]:
    """Run jobs in their order; see :class:`~foolscope.experiments.running.executors.Executor`."""
    for position, job in enumerate(jobs):

        def report(epoch: EpochReport, position: int = position) -> None:
            on_epoch(position, epoch)

        run_pack(
            job,
            session.store,
            session.dataset(job.recipes[0].dataset),
            threads=torch.get_num_threads(),
            report=report,
        )
        yield position
