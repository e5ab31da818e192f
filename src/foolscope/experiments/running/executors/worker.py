"""A worker process: reads packs from standard input and reports on them through a pipe.

One JSON document a line. First the place of work, then jobs, one at a time; back come ``ready``, an ``epoch``
after each epoch, and ``finished``, or ``error``, or ``failure`` with a traceback. A worker ends when its
standard input does, which is also when the process that started it is no more.
"""

import json
import os
import queue
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from foolscope.core.allocation import reuse_freed_memory
from foolscope.core.errors import FoolscopeError
from foolscope.experiments.running.executors.job import job_from, run_pack
from foolscope.experiments.running.session import Session
from foolscope.experiments.running.store import Store
from foolscope.learning import EpochReport

__all__ = ["main"]

Send = Callable[[dict[str, Any]], None]


def main(messages: int) -> None:
    """Work until standard input ends.

    Args:
        messages: descriptor of the pipe.
    """
    reuse_freed_memory()
    pipe = os.fdopen(messages, "w", encoding="utf-8")

    def send(message: dict[str, Any]) -> None:
        pipe.write(json.dumps(message) + "\n")
        pipe.flush()

    orders: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(orders,), daemon=True).start()
    place = orders.get()
    data_dir = None if place["data_dir"] is None else Path(place["data_dir"])
    session = Session(Store(Path(place["store"])), data_dir, place["device"])
    send({"ready": True})
    while True:
        _work(orders.get(), session, place["threads"], send)


def _listen(orders: "queue.SimpleQueue[dict[str, Any]]") -> None:
    """Read orders; at their end exit at once, which loses nothing because files are written atomically."""
    for line in sys.stdin:
        orders.put(json.loads(line))
    os._exit(0)


def _work(document: dict[str, Any], session: Session, threads: int, send: Send) -> None:
    def report(epoch: EpochReport) -> None:
        send({"epoch": asdict(epoch)})

    try:
        job = job_from(document)
        dataset = session.dataset(job.recipes[0].dataset)
        run_pack(job, session.store, dataset, threads=threads, report=report)
    except FoolscopeError as error:
        send({"error": [type(error).__name__, str(error)]})
    except Exception:
        send({"failure": traceback.format_exc()})
    else:
        send({"finished": True})
