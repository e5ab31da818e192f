"""Trains packs in parallel, each in a worker process with its share of the cores.

The workers are fresh interpreters that import nothing of the user's program, so that a script needs no
``if __name__ == "__main__"`` and a notebook works. A worker that is lost has its pack taken over by a fresh
one, from the pack's checkpoint.
"""

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Any, NoReturn

import torch

from foolscope.core import errors
from foolscope.core.cores import available_cores
from foolscope.core.errors import FoolscopeError
from foolscope.experiments.running.executors.job import PackJob, report_from
from foolscope.experiments.running.session import Session
from foolscope.learning import EpochReport

__all__ = ["map_in_processes", "shares"]

_PROGRAM = """
import json, os, sys
messages = os.dup(1)
os.dup2(2, 1)  # what a library prints is no message
sys.path[:] = json.loads(sys.argv[1])
from foolscope.experiments.running.executors.worker import main
main(messages)
"""
_LIVES = 2  # of a pack: it is run again once


@dataclass(eq=False)
class _Worker:
    """A worker process, its standard error, and the job it runs."""

    process: subprocess.Popen[str]
    complaints: IO[bytes]
    position: int
    ready: bool = False


@dataclass
class _Crew:
    """The workers, the waiting jobs, and the messages of the workers; ``None`` marks the end of a worker."""

    jobs: Sequence[PackJob]
    place: dict[str, Any]
    waiting: deque[int]
    workers: list[_Worker] = field(default_factory=list)
    messages: "queue.SimpleQueue[tuple[_Worker, dict[str, Any] | None]]" = field(
        default_factory=queue.SimpleQueue
    )
    deaths: Counter[int] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)


def shares(jobs: int, workers: int | None) -> tuple[int, int]:
    """Return the number of worker processes for a number of jobs, and the threads of each.

    Args:
        jobs: at least 1.
        workers: the most there may be; as many as there are cores if not given.
    """
    cores = available_cores()
    count = min(jobs, workers or cores)
    return count, max(1, min(torch.get_num_threads(), cores // count))


def map_in_processes(
    jobs: Sequence[PackJob], session: Session, on_epoch: Callable[[int, EpochReport], None]
) -> Generator[int, None, None]:
    """Run jobs in worker processes, the largest first; see :class:`Executor`.

    Raises:
        FoolscopeError: what went wrong in a worker; or no worker can start; or, when all else is done, that a
            pack has lost two workers.
    """
    count, threads = shares(len(jobs), session.workers)
    place = {
        "store": str(session.store.root),
        "data_dir": None if session.data_dir is None else str(session.data_dir),
        "device": str(session.device),
        "threads": threads,
    }
    crew = _Crew(jobs, place, deque(sorted(range(len(jobs)), key=lambda position: -jobs[position].work)))
    try:
        for _ in range(count):
            _start(crew)
        yield from _supervise(crew, on_epoch)
    finally:
        for worker in crew.workers:
            _end(worker)
    if crew.lost:
        raise FoolscopeError(
            f"{'; '.join(crew.lost)}. Try fewer --workers; the same command continues where it stopped"
        )


def _supervise(crew: _Crew, on_epoch: Callable[[int, EpochReport], None]) -> Generator[int, None, None]:
    """Give jobs to free workers until none is left; yield the position of each finished job."""
    while crew.workers:
        worker, message = crew.messages.get()
        if worker not in crew.workers:
            continue
        if message is None:
            _replace(crew, worker)
        elif "ready" in message:
            worker.ready = True
        elif "epoch" in message:
            on_epoch(worker.position, report_from(message["epoch"]))
        elif "finished" in message:
            finished = worker.position
            if crew.waiting:
                worker.position = crew.waiting.popleft()
                _send(worker, crew.jobs[worker.position].as_document())
            else:
                crew.workers.remove(worker)
                _end(worker)
            yield finished
        else:
            _raise(message)


def _replace(crew: _Crew, worker: _Worker) -> None:
    """Start a new worker in place of a lost one, if it could start; give up a pack that has lost two."""
    crew.workers.remove(worker)
    reason = _post_mortem(worker)
    if not worker.ready:
        raise FoolscopeError(f"a worker process cannot start: {reason}. Try fewer --workers")
    position = worker.position
    crew.deaths[position] += 1
    if crew.deaths[position] < _LIVES:
        crew.waiting.append(position)  # as the last, when there may be more memory
    else:
        job = crew.jobs[position]
        crew.lost.append(f"{job} lost {_LIVES} worker processes, the last one {reason}")
    if crew.waiting:
        _start(crew)


def _start(crew: _Crew) -> None:
    """Start a worker on the first waiting job."""
    complaints = tempfile.TemporaryFile()  # noqa: SIM115  # closed when the worker is no more
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, json.dumps(sys.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=complaints,
        env={**os.environ, "OMP_NUM_THREADS": str(crew.place["threads"])},
        encoding="utf-8",
    )
    worker = _Worker(process, complaints, crew.waiting.popleft())
    crew.workers.append(worker)
    threading.Thread(target=_listen, args=(worker, crew), daemon=True).start()
    _send(worker, crew.place)
    _send(worker, crew.jobs[worker.position].as_document())


def _send(worker: _Worker, document: dict[str, Any]) -> None:
    assert worker.process.stdin is not None
    with suppress(BrokenPipeError):  # a worker that is lost is noticed where it is listened to
        worker.process.stdin.write(json.dumps(document) + "\n")
        worker.process.stdin.flush()


def _listen(worker: _Worker, crew: _Crew) -> None:
    """Pass on the messages of a worker, and ``None`` at their end."""
    assert worker.process.stdout is not None
    try:
        with worker.process.stdout as lines:
            for line in lines:
                if line.endswith("\n"):  # the last one may be cut off
                    crew.messages.put((worker, json.loads(line)))
    finally:
        crew.messages.put((worker, None))


def _end(worker: _Worker) -> None:
    """End a worker at once; what it was writing is written whole or not at all."""
    worker.process.kill()
    _post_mortem(worker)


def _post_mortem(worker: _Worker) -> str:
    """Clean up after a worker that has ended, and return how it ended."""
    assert worker.process.stdin is not None
    code = worker.process.wait()
    with suppress(BrokenPipeError):
        worker.process.stdin.close()
    with worker.complaints as stream:
        stream.seek(0)
        last = stream.read().decode(errors="replace").strip().rpartition("\n")[2]
    if code == -signal.SIGKILL:
        return "killed, perhaps because the machine ran out of memory"
    how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
    return f"ended {how}" + (f" ({last})" if last else "")


def _raise(message: dict[str, Any]) -> NoReturn:
    """Raise the error of a worker in this process."""
    if "failure" in message:
        raise RuntimeError(f"in a worker process:\n{message['failure']}")
    name, text = message["error"]
    kind = getattr(errors, name, FoolscopeError)
    raise kind(text)
