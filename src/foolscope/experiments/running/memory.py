"""The memory that training needs at a time: in the plan of packs, and told before the run."""

from collections.abc import Sequence

import torch

from foolscope.core.cores import available_cores
from foolscope.core.memory import available_memory, memory_limit
from foolscope.experiments.running.packs import Pack, PackLimits, pack_bytes
from foolscope.experiments.running.session import Session

__all__ = ["memory_line", "pack_limits"]

_PACKS_SHARE = 0.5  # of the machine's or the container's memory; the rest is for data and for other programs
_LARGE = 0.7  # of the memory that is free, from which on a person should know
_WORKER_BYTES = 350 * 2**20  # an interpreter with torch, measured
_MOST_PARTS = 64


def pack_limits(session: Session) -> PackLimits:
    """Return the limits of packs on a session's device, with a share of its memory for each worker.

    They rest on what the machine or its container has, not on what is free at the moment, so that a killed
    run finds its packs again.
    """
    limit = None if session.device.type == "cuda" else memory_limit()
    share = None if limit is None else int(_PACKS_SHARE * limit / most_workers(session))
    return PackLimits.of_device(session.device, memory=share)


def most_workers(session: Session) -> int:
    """Return how many packs may train at the same time on this machine."""
    if session.executor == "in-process" or session.device.type != "cpu":
        return 1
    return session.workers or available_cores()


def memory_line(
    packs: Sequence[Pack], session: Session, workers: int, available: int | None = None
) -> str | None:
    """Return a line with what to change where training needs most of the free memory, else ``None``.

    Args:
        packs: that are to be trained.
        session: device and data.
        workers: how many processes train packs at the same time; 1 for this process alone.
        available: free bytes; by default as found.
    """
    if available is None:
        available = _free(session.device)
    if available is None or not packs:
        return None
    largest = sorted(packs, key=pack_bytes, reverse=True)[:workers]
    needed = sum(map(pack_bytes, largest))
    if workers > 1:  # each has torch and the images of its own
        needed += sum(_WORKER_BYTES + _data_bytes(pack, session) for pack in largest)
    if needed <= _LARGE * available:
        return None
    first = largest[0].trials[0].recipe
    count = len(largest[0].trials)
    what = f"{count} trials" if count > 1 else "1 trial"
    each = f" in each of {workers} workers" if workers > 1 else ""
    size = f"{what} of {first.model.name} with batch_size = {first.training.batch_size}{each}"
    remedies = _remedies(largest[0], workers, _LARGE * available / workers)
    return (
        f"training needs about {needed / 1e9:.1f} GB of memory at a time ({size}), and "
        f"{available / 1e9:.1f} GB are free; to use less, {remedies}"
    )


def _remedies(pack: Pack, workers: int, room: float) -> str:
    """Say what would need less: more parts of a minibatch, a smaller one, or fewer workers."""
    training = pack.trials[0].recipe.training
    parts, most = 2 * training.accumulation, min(training.batch_size, _MOST_PARTS)
    while parts < most and pack_bytes(pack, accumulation=parts) > room:
        parts *= 2
    advice = [f"set accumulation = {parts}"] if parts <= most else []
    advice += [f"lower batch_size from {training.batch_size}"] if training.batch_size > 1 else []
    advice += [f"train with fewer --workers than {workers}"] if workers > 1 else []
    return " or ".join(advice) or "take a smaller model"


def _data_bytes(pack: Pack, session: Session) -> int:
    dataset = session.dataset(pack.trials[0].recipe.dataset)
    splits = (dataset.train, dataset.validation, dataset.test)
    return sum(split.images.numel() for split in splits if split is not None)


def _free(device: torch.device) -> int | None:
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else available_memory()
