"""Plans of packs in the store, so that a run that was killed goes on with the packs that it had.

STORE/packs/<hash>.plan   the packs of a run in progress: identities of their trials, and threads

How packs are cut depends on how much there is to train. What is left of a run would be cut in another way,
and every trial's rounding depends on its neighbors.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from foolscope.core.errors import StoreError
from foolscope.core.files import read_json, write_json
from foolscope.experiments.running.packs import Pack, PackLimits, PendingTrial, pack_size
from foolscope.experiments.running.store import Store

__all__ = ["planned_before", "remembered"]


def planned_before(
    pending: Sequence[PendingTrial], store: Store, limits: PackLimits
) -> tuple[list[Pack], list[PendingTrial]]:
    """Return the packs that a killed run had planned of these trials, and the trials of no such pack.

    A pack some of whose trials are finished or not asked for is planned anew, and so is one that is now too
    large, as on a machine with less memory.
    """
    waiting = {trial.identity: trial for trial in pending}
    packs = []
    for path in _paths(store):
        for identities, threads in _read(path):
            if not identities or not all(identity in waiting for identity in identities):
                continue
            pack = Pack(tuple(waiting[identity] for identity in identities), threads)
            if all(len(identities) <= pack_size(trial, limits) for trial in pack.trials):
                packs.append(pack)
                for identity in identities:
                    del waiting[identity]
    return packs, list(waiting.values())


@contextmanager
def remembered(packs: Sequence[Pack], store: Store) -> Iterator[None]:
    """Keep a plan in the store until the ``with`` block has trained it; where it fails, for the next run.

    Raises:
        StoreError: it cannot be written.
    """
    before = _paths(store)
    text = " ".join(pack.identity for pack in packs)
    path = store.root / "packs" / f"{hashlib.sha256(text.encode()).hexdigest()[:20]}.plan"
    plan = [{"trials": [trial.identity for trial in pack.trials], "threads": pack.threads} for pack in packs]
    write_json(path, plan)
    taken = {trial.identity for pack in packs for trial in pack.trials}
    for other in before:
        over = (identity in taken or store.has(identity) for own, _ in _read(other) for identity in own)
        if other != path and all(over):
            other.unlink(missing_ok=True)
    yield
    path.unlink(missing_ok=True)


def _paths(store: Store) -> list[Path]:
    return sorted((store.root / "packs").glob("*.plan"))


def _read(path: Path) -> list[tuple[list[str], int | None]]:
    """Read a plan; one that is damaged or gone has no packs, which costs no results."""
    try:
        return [
            (list(map(str, pack["trials"])), None if pack["threads"] is None else int(pack["threads"]))
            for pack in read_json(path)
        ]
    except (StoreError, KeyError, TypeError, ValueError):
        return []
