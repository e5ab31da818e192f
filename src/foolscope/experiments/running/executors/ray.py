"""Trains packs on a Ray cluster: the one at ``RAY_ADDRESS``, else one started on this machine.

The data go into Ray's object store once, where every worker of a machine reads them in place; so a machine of
the cluster needs foolscope and no data folder. Results come back as plain arrays, and this process puts them
into the store. Ray runs a pack again whose worker is lost: from its checkpoint, if that was on this machine.
"""

import logging
import os
import platform
import queue
import socket
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from foolscope.core.cores import available_cores
from foolscope.core.errors import FoolscopeError
from foolscope.data import Dataset, LabeledImages
from foolscope.experiments.running.executors.job import PackJob, job_from, report_from, train_job
from foolscope.experiments.running.session import Session
from foolscope.learning import EpochRecord, EpochReport, TrialOutcome
from foolscope.learning.parameters.treatments import GroupRecord

__all__ = ["map_on_ray"]

_RETRIES = 3  # of a pack whose worker is lost
_POLL_SECONDS = 0.2
_SEND_SECONDS = 10.0  # that a report may take, once the mailbox is up


@dataclass
class _Run:
    """Waiting and running jobs, and the data on the cluster; references and queue are Ray's."""

    jobs: Sequence[PackJob]
    session: Session
    mailbox: Any
    waiting: deque[int]
    data: dict[str, Any] = field(default_factory=dict)
    running: dict[Any, int] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)


def map_on_ray(
    jobs: Sequence[PackJob], session: Session, on_epoch: Callable[[int, EpochReport], None]
) -> Generator[int, None, None]:
    """Run jobs as Ray tasks, the largest first; see :class:`Executor`.

    Raises:
        FoolscopeError: Ray is not installed; the cluster cannot be reached; what went wrong in a task; or,
            when all else is done, that a pack has lost all its workers.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        from ray.util.queue import Queue
    except ImportError as error:
        raise FoolscopeError("the executor ray needs Ray: pip install 'foolscope[ray]'") from error
    with _cluster(session.workers):
        mailbox = Queue(actor_options={"num_cpus": 0, "max_restarts": -1})
        waiting = deque(sorted(range(len(jobs)), key=lambda position: -jobs[position].work))
        run = _Run(jobs, session, mailbox, waiting)
        try:
            yield from _supervise(run, on_epoch)
        finally:
            for reference in run.running:
                ray.cancel(reference, force=True)
            mailbox.shutdown(force=True)
    if run.lost:
        raise FoolscopeError(f"{'; '.join(run.lost)}. The same command continues where it stopped")


@contextmanager
def _cluster(workers: int | None) -> Iterator[None]:
    """Connect to a cluster, or start one here and end it afterwards."""
    import ray

    if ray.is_initialized():
        yield
        return
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    address = os.environ.get("RAY_ADDRESS", "")
    if address in ("", "local"):  # not one that happens to run here: it may end with another run
        ray.init("local", num_cpus=workers or available_cores(), include_dashboard=False, **quiet)
    else:
        try:
            _knock(address)
            ray.init(address, **quiet)
        except (OSError, RuntimeError, ValueError) as error:
            raise FoolscopeError(
                f"no Ray cluster at RAY_ADDRESS={address} ({_first_line(error)}); "
                "start one there with ray start --head, set RAY_AUTH_MODE=token if it wants a token, "
                "or unset RAY_ADDRESS to train on this machine"
            ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Check that something listens at ``host:port``; Ray would retry for minutes and print warnings."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()


def _supervise(run: _Run, on_epoch: Callable[[int, EpochReport], None]) -> Generator[int, None, None]:
    """Submit jobs until none is left; yield the position of each finished job."""
    import ray
    from ray.exceptions import RayError, RayTaskError

    count, resources = _shares(run)
    while run.waiting or run.running:
        while run.waiting and len(run.running) < count:
            _submit(run, run.waiting.popleft(), resources)
        done, _ = ray.wait(list(run.running), timeout=_POLL_SECONDS)
        for position, report in _drain(run.mailbox):
            on_epoch(position, report_from(report))
        for reference in done:
            position = run.running.pop(reference)
            try:
                result = ray.get(reference)
            except RayTaskError as error:
                raise _cause(error) from error
            except RayError as error:
                run.lost.append(f"{run.jobs[position]} lost all its workers: {_first_line(error)}")
            else:
                _save(run.jobs[position], result, run.session)
                yield position


def _shares(run: _Run) -> tuple[int, dict[str, int]]:
    """Return how many jobs run at the same time, and what each asks of the cluster."""
    import ray

    if run.session.device.type == "cuda":
        count = min(len(run.jobs), run.session.workers or len(run.jobs))
        return count, {"num_cpus": 1, "num_gpus": 1}
    nodes = ray.nodes()  # type: ignore[no-untyped-call]
    cores = [int(node["Resources"].get("CPU", 0)) for node in nodes if node["Alive"]]
    count = min(len(run.jobs), run.session.workers or max(1, sum(cores)))
    return count, {"num_cpus": max(1, min(sum(cores) // count, max(cores)))}


def _submit(run: _Run, position: int, resources: Mapping[str, int]) -> None:
    import ray

    job, session = run.jobs[position], run.session
    if job.fingerprint not in run.data:
        run.data[job.fingerprint] = ray.put(_arrays(session.dataset(job.recipes[0].dataset)))
    place = {
        "foolscope": metadata.version("foolscope"),
        "machine": platform.node(),
        "checkpoint": str(session.store.pack_checkpoint(job.pack).absolute()),
        "device": session.device.type,
        "threads": resources["num_cpus"],
        "position": position,
    }
    task = ray.remote(_train).options(name=str(job), max_retries=_RETRIES, **resources)
    run.running[task.remote(job.as_document(), run.data[job.fingerprint], place, run.mailbox)] = position


def _drain(mailbox: Any) -> list[tuple[int, dict[str, Any]]]:
    """Return the reports of tasks; none if the mailbox was lost with its machine."""
    from ray.exceptions import RayError

    with suppress(RayError, queue.Empty):
        waiting: list[tuple[int, dict[str, Any]]] = mailbox.get_nowait_batch(mailbox.qsize())
        return waiting
    return []


def _cause(error: Any) -> Exception:
    """Return the error of a task as it would have been raised in this process."""
    if isinstance(error.cause, FoolscopeError):
        return type(error.cause)(str(error.cause))
    if "failed to import on the worker" in str(error):
        version = metadata.version("foolscope")
        return FoolscopeError(
            "the cluster's workers cannot import foolscope; on each of its machines: "
            f"pip install 'foolscope[ray]=={version}'"
        )
    return RuntimeError(f"in a Ray task:\n{error}")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _save(job: PackJob, result: Mapping[str, Any], session: Session) -> None:
    outcomes = [_outcome(*parts) for parts in result["outcomes"]]
    finished = list(zip(job.identities, job.recipes, outcomes, strict=True))
    session.store.save_pack(job.pack, finished, result["provenance"])


def _outcome(
    document: dict[str, Any], weights: Mapping[str, np.ndarray], correct: Mapping[str, np.ndarray]
) -> TrialOutcome:
    parts = {
        "history": tuple(EpochRecord(**record) for record in document["history"]),
        "confusion": tuple(map(tuple, document["confusion"])),
        "auc_by_class": tuple(document["auc_by_class"]),
        "parameter_groups": tuple(GroupRecord(**group) for group in document["parameter_groups"]),
        "weights": {name: torch.tensor(value) for name, value in weights.items()},
        "correct": correct,
    }
    return TrialOutcome(**{**document, **parts})


def _arrays(dataset: Dataset) -> dict[str, Any]:
    """Return a data set as arrays, which workers read from shared memory."""
    parts = {
        name: None if part is None else (part.images.cpu().numpy(), part.labels.cpu().numpy())
        for name, part in (
            ("train", dataset.train),
            ("validation", dataset.validation),
            ("test", dataset.test),
        )
    }
    return {
        "name": dataset.name,
        "classes": dataset.classes,
        **parts,
        "fingerprint": dataset.fingerprint,
    }


def _dataset(arrays: Mapping[str, Any], device: torch.device) -> Dataset:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not writable")  # nor does anything write to them
        parts = {
            name: LabeledImages(*map(torch.from_numpy, arrays[name]))
            for name in ("train", "validation", "test")
            if arrays[name] is not None
        }
    return Dataset(**{**arrays, **parts}).to(device)


def _train(
    document: Mapping[str, Any], data: Mapping[str, Any], place: Mapping[str, Any], mailbox: Any
) -> dict[str, Any]:
    """Train a pack on the cluster; arguments and result are plain values that need no class of foolscope."""
    import ray

    version = metadata.version("foolscope")
    if version != place["foolscope"]:
        raise FoolscopeError(
            f"{platform.node()} has foolscope {version}, this machine {place['foolscope']}; "
            "install the same version on all machines of the cluster"
        )

    def report(epoch: EpochReport) -> None:
        sent = mailbox.actor.put_nowait.remote((place["position"], asdict(epoch)))
        ray.wait([sent], timeout=_SEND_SECONDS)  # or the next one might overtake it

    dataset = _dataset(data, torch.device(place["device"]))
    checkpoint = Path(place["checkpoint"]) if platform.node() == place["machine"] else None
    outcomes, provenance = train_job(
        job_from(document), dataset, threads=place["threads"], checkpoint=checkpoint, report=report
    )
    arrays = [
        (
            outcome.as_document(),
            {name: value.numpy() for name, value in outcome.weights.items()},
            dict(outcome.correct),
        )
        for outcome in outcomes
    ]
    return {"outcomes": arrays, "provenance": provenance}
