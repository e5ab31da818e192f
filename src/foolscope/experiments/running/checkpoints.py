"""Plans packs around the checkpoints of a run that was killed, and deletes checkpoints that none needs.

A trial is looked for by its identity in the checkpoints of all packs, so that a run with one value changed,
or with other packs for another reason, continues with every trial that it shares with the one before.
"""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from foolscope.core.errors import StoreError
from foolscope.experiments.running.packs import Pack, PendingTrial, pack_identity
from foolscope.experiments.running.store import TRAINING_VERSION, Store
from foolscope.learning.pack_checkpoints import Checkpoint, StoredPack, cut_pack

__all__ = ["plan_from_checkpoints", "sweep_checkpoints"]

_KEPT_SECONDS = 30 * 24 * 3600.0  # of a checkpoint that no run asks for


def plan_from_checkpoints(
    pending: Sequence[PendingTrial],
    stored: Sequence[StoredPack],
    plan: Callable[[Sequence[PendingTrial]], list[Pack]],
    fits: Callable[[Pack], bool],
) -> list[Pack]:
    """Plan packs such that every trial continues from the furthest epoch that a checkpoint has of it.

    A pack whose trials are all pending continues as it was, to the same bits, if it fits. Other trials are
    planned among those that are at the same epoch.

    Args:
        pending: trials that are not finished.
        stored: checkpoints of this version of the training semantics.
        plan: groups trials into packs.
        fits: whether trials may train together and there is room for the pack.

    Returns:
        Packs in progress first, then the others, those furthest on first.
    """
    progress = _progress(stored)
    waiting = {trial.identity: trial for trial in pending}
    packs: list[Pack] = []
    for own in sorted(stored, key=lambda each: (-each.epoch, -len(each.identities), each.path.name)):
        if all(
            identity in waiting and own.progress(identity) == progress[identity]
            for identity in own.identities
        ):
            pack = Pack(tuple(waiting[identity] for identity in own.identities))
            if fits(pack):
                packs.append(pack)
                for identity in own.identities:
                    del waiting[identity]
    by_epoch: dict[int, list[PendingTrial]] = {}
    for identity, trial in waiting.items():
        epochs = [
            each.epoch
            for each in stored
            if identity in each.identities and each.progress(identity) == progress[identity]
        ]
        by_epoch.setdefault(max(epochs, default=0), []).append(trial)
    for _, trials in sorted(by_epoch.items(), reverse=True):
        packs += plan(trials)
    return packs


def sweep_checkpoints(store: Store, wanted: Iterable[str]) -> None:
    """Delete the checkpoints from which no run will continue, and from the others the trials that none needs.

    A trial is needed while it is neither finished nor further on in another checkpoint. Checkpoints are
    deleted that hold none that is needed, or none that is wanted and have not changed for 30 days; further
    those of an older layout or version of the training semantics, and damaged ones after as long.

    Args:
        store: where they are.
        wanted: identities of the trials that the run asks for.
    """
    paths = store.checkpoint_paths()
    if not paths:
        return
    asked = set(wanted)
    stored = {each.path: each for each in store.checkpoints()}
    progress = _progress([each for each in stored.values() if each.version == TRAINING_VERSION])
    for path in paths:
        pack = stored.get(path)
        if pack is None or pack.version > TRAINING_VERSION:  # damaged, or written by a later foolscope
            is_needed = not _is_old(path)
        else:
            left = [
                identity
                for identity in pack.identities
                if pack.version == TRAINING_VERSION
                and pack.progress(identity) == progress[identity]
                and not store.has(identity)
            ]
            is_needed = bool(left) and (not asked.isdisjoint(left) or not _is_old(path))
            if is_needed and len(left) < len(pack.identities):
                _cut(path, left, store)
        if not is_needed:
            with suppress(OSError):
                path.unlink()


def _cut(path: Path, left: Sequence[str], store: Store) -> None:
    """Replace a checkpoint by one of fewer trials, as old as it was; leave it if that cannot be written."""
    smaller = store.pack_checkpoint(pack_identity(left))
    with suppress(StoreError, OSError):
        written = path.stat().st_mtime
        cut_pack(path, Checkpoint(smaller, tuple(left), TRAINING_VERSION))
        os.utime(smaller, (written, written))
        path.unlink()


def _progress(stored: Sequence[StoredPack]) -> dict[str, float]:
    """Return the epochs done of every trial in the checkpoint that has most."""
    furthest: dict[str, float] = {}
    for each in stored:
        for identity in each.identities:
            furthest[identity] = max(furthest.get(identity, 0.0), each.progress(identity))
    return furthest


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > _KEPT_SECONDS
    except OSError:  # it is gone
        return True
