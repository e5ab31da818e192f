"""The file that keeps the state of a pack in training, and what such files say of the trials in them.

A pack's state is one file, so that its trials are always at one epoch. Each trial in it has a name of its
own, by which packs that are composed differently find it; see :mod:`foolscope.learning.resuming`.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from foolscope.core.errors import StoreError
from foolscope.learning.checkpoints import load_document, load_tensors, save_tensors
from foolscope.learning.optimizers import PackTensors
from foolscope.learning.outcome import EpochRecord, Status
from foolscope.learning.state import PackState

__all__ = ["Checkpoint", "StoredPack", "cut_pack", "load_pack", "save_pack", "stored_packs"]


@dataclass(frozen=True)
class Checkpoint:
    """Where the state of a pack is kept.

    Args:
        path: the file; those beside it with the same suffix may be the checkpoints of other packs.
        identities: the name of every trial, in the pack's order. Trials of one name are the same trial.
        version: of the training semantics; checkpoints of another version are not used.
    """

    path: Path
    identities: tuple[str, ...]
    version: int = 0


@dataclass(frozen=True)
class StoredPack:
    """What a checkpoint says of its pack.

    Args:
        path: the file.
        identities: the names of the trials, in order; none for a file of an older layout.
        version: of the training semantics; -1 for a file of an older layout.
        epoch: number of epochs done.
        trained: positions of the trials that were still computed.
        best_epochs: of every trial; see :class:`~foolscope.learning.state.PackState`.
        statuses: of every trial.
        histories: of every trial.
        seconds: spent on the pack.
    """

    path: Path
    identities: tuple[str, ...] = ()
    version: int = -1
    epoch: int = 0
    trained: tuple[int, ...] = ()
    best_epochs: tuple[int, ...] = ()
    statuses: tuple[Status | Literal["running"], ...] = ()
    histories: tuple[tuple[EpochRecord, ...], ...] = ()
    seconds: float = 0.0

    def is_over(self, identity: str) -> bool:
        """Return whether a trial of the pack needs no further epoch: it is finished, stopped or diverged."""
        return self.statuses[self.identities.index(identity)] != "running"

    def progress(self, identity: str) -> float:
        """Return how many epochs of a trial of the pack are done; infinity if it needs no further one."""
        return math.inf if self.is_over(identity) else self.epoch


def save_pack(state: PackState, checkpoint: Checkpoint) -> None:
    """Write the state of a pack, whole or not at all.

    Raises:
        StoreError: no space or no permission.
    """
    pack = StoredPack(
        path=checkpoint.path,
        identities=checkpoint.identities,
        version=checkpoint.version,
        epoch=state.epoch,
        trained=tuple(state.trained),
        best_epochs=tuple(state.best_epochs),
        statuses=tuple(state.statuses),
        histories=tuple(map(tuple, state.histories)),
        seconds=state.seconds,
    )
    _write(pack, state.groups())


def cut_pack(path: Path, checkpoint: Checkpoint) -> None:
    """Write the checkpoint of some trials of a stored pack; they continue from it as from that of the pack.

    Args:
        path: the checkpoint of the pack.
        checkpoint: of the trials.

    Raises:
        StoreError: there is no such pack or one of the trials is not in it; no space or no permission.
    """
    pack, groups = load_pack(path)
    if not set(checkpoint.identities) <= set(pack.identities) or checkpoint.version != pack.version:
        raise StoreError(f"{path} does not hold the trials {', '.join(checkpoint.identities)}")
    chosen = [pack.identities.index(identity) for identity in checkpoint.identities]
    computed = [position for position in chosen if position in pack.trained]
    rows = [pack.trained.index(position) for position in computed]
    part = StoredPack(
        path=checkpoint.path,
        identities=checkpoint.identities,
        version=checkpoint.version,
        epoch=pack.epoch,
        trained=tuple(chosen.index(position) for position in computed),
        best_epochs=tuple(pack.best_epochs[position] for position in chosen),
        statuses=tuple(pack.statuses[position] for position in chosen),
        histories=tuple(pack.histories[position] for position in chosen),
        seconds=pack.seconds * len(chosen) / len(pack.identities),
    )
    _write(
        part,
        {
            group: {name: value[chosen if group == "best" else rows] for name, value in tensors.items()}
            for group, tensors in groups.items()
        },
    )


def _write(pack: StoredPack, groups: Mapping[str, PackTensors]) -> None:
    document = {
        **{name: value for name, value in vars(pack).items() if name != "path"},
        "histories": [[asdict(record) for record in history] for history in pack.histories],
    }
    tensors = {f"{group}/{name}": value for group, part in groups.items() for name, value in part.items()}
    save_tensors(pack.path, tensors, document)


def load_pack(path: Path) -> tuple[StoredPack, dict[str, PackTensors]]:
    """Read a checkpoint: what it says, and the tensors by group and name, on the CPU.

    Raises:
        StoreError: the file is missing, damaged or not the checkpoint of a pack.
    """
    tensors, document = load_tensors(path, torch.device("cpu"))
    groups: dict[str, PackTensors] = {}
    for key, value in tensors.items():
        group, _, name = key.partition("/")
        groups.setdefault(group, {})[name] = value
    return _stored_pack(path, document), groups


def stored_packs(folder: Path) -> list[StoredPack]:
    """Return what the checkpoints in a folder say, in the order of their names, without damaged ones."""
    packs = []
    for path in sorted(folder.glob("*.safetensors")):
        try:
            packs.append(_stored_pack(path, load_document(path)))
        except StoreError:
            continue
    return packs


def _stored_pack(path: Path, document: Any) -> StoredPack:
    try:
        if "identity" in document and "epoch" in document:  # the layout in which a pack had one name
            return StoredPack(path)
        pack = StoredPack(
            path=path,
            identities=tuple(document["identities"]),
            version=int(document["version"]),
            epoch=int(document["epoch"]),
            trained=tuple(document["trained"]),
            best_epochs=tuple(document["best_epochs"]),
            statuses=tuple(document["statuses"]),
            histories=tuple(
                tuple(EpochRecord(**record) for record in history) for history in document["histories"]
            ),
            seconds=float(document["seconds"]),
        )
        is_whole = _is_consistent(pack)
    except (KeyError, TypeError, ValueError):
        is_whole = False
    if not is_whole:
        raise StoreError(f"{path} is not the checkpoint of a pack; delete it and run the same command again")
    return pack


def _is_consistent(pack: StoredPack) -> bool:
    count = len(set(pack.identities))
    lists = (pack.identities, pack.best_epochs, pack.statuses, pack.histories)
    if any(len(each) != count for each in lists) or not set(pack.trained) <= set(range(count)):
        return False
    running = [trial for trial, status in enumerate(pack.statuses) if status == "running"]
    return all(trial in pack.trained and len(pack.histories[trial]) == pack.epoch for trial in running)
