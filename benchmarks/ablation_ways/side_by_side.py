"""Single-thread processes that train in parallel, timed from the first start to the last end."""

import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from types import TracebackType

import torch

from ablation_ways.way import CORES, Training, Way, advance, calls_for

__all__ = ["SideBySide"]

_PATIENCE_SECONDS = 300.0


class SideBySide:
    """One process per core, kept alive for a whole benchmark.

    Args:
        ways: those that the processes may be asked to run.
    """

    def __init__(self, ways: Sequence[Way]) -> None:
        context = torch.multiprocessing.get_context("spawn")
        self._barrier = context.Barrier(CORES, timeout=_PATIENCE_SECONDS)  # lives as long as it is kept
        self._numbers = {way: number for number, way in enumerate(ways)}
        self._connections: list[Connection] = []
        self._processes = []
        for number in range(CORES if ways else 0):
            ours, theirs = context.Pipe()
            arguments = (number, list(ways), theirs, self._barrier)
            process = context.Process(target=_serve, args=arguments, daemon=True)
            process.start()
            theirs.close()
            self._connections.append(ours)
            self._processes.append(process)

    def __enter__(self) -> "SideBySide":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for connection in self._connections:
            connection.close()
        for process in self._processes:
            process.join(10.0)

    def measure(self, way: Way, steps: float) -> float:
        """Return the milliseconds of wall-clock time per gradient step of one trial.

        Args:
            way: one of those given at the beginning.
            steps: trial-steps that each process takes.

        Raises:
            RuntimeError: a process failed; it has said why.
        """
        try:
            for connection in self._connections:
                connection.send((self._numbers[way], steps))
            answers = [connection.recv() for connection in self._connections]
        except (EOFError, OSError):
            raise RuntimeError(f"a process that trains {way} failed; its error stands above") from None
        starts, ends, trial_steps = zip(*answers, strict=True)
        return float(1e3 * (max(ends) - min(starts)) / sum(trial_steps))


def _serve(number: int, ways: Sequence[Way], connection: Connection, barrier: Barrier) -> None:
    """Run requests until there are no more; answer with start, end and trial-steps."""
    torch.set_num_threads(1)
    started: dict[int, list[Training]] = {}
    while True:
        try:
            which, steps = connection.recv()
        except EOFError:
            return
        way = ways[which]
        if which not in started:
            started[which] = way.start(number)
        trainings = started[which]
        calls = calls_for(way, steps, len(trainings))
        advance(trainings, way.warm_up)
        barrier.wait()
        start = time.perf_counter()  # one clock for all processes of a machine
        advance(trainings, calls)
        connection.send((start, time.perf_counter(), calls * len(trainings) * way.trial_steps))
