"""Resumes a pack from checkpoints: its own, or those of other packs out of which its trials are cut."""

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from foolscope.core.errors import StoreError
from foolscope.learning.optimizers import OPTIMIZERS, OptimizerState, PackTensors
from foolscope.learning.pack_checkpoints import Checkpoint, StoredPack, load_pack, stored_packs
from foolscope.learning.packs.stacking import own_part
from foolscope.learning.preparation import Setup
from foolscope.learning.state import PackState

__all__ = ["resume"]


def resume(state: PackState, setup: Setup, checkpoint: Checkpoint) -> None:
    """Continue with what checkpoints hold of a pack's trials, at the furthest epoch at which all are found.

    From its own checkpoint a pack continues to the same bits. The trials may also come from those of several
    other packs, whatever their neighbors and their padding were there. A pack is at one epoch: where one
    of its trials is found nowhere, all begin anew, except those that need no further epoch. Files that are
    damaged or do not fit are passed over.

    Args:
        state: as it was prepared; changed in place.
        setup: of the whole pack.
        checkpoint: of the pack.
    """
    packs = [
        pack
        for pack in stored_packs(checkpoint.path.parent)
        if pack.version == checkpoint.version and not set(pack.identities).isdisjoint(checkpoint.identities)
    ]
    packs.sort(key=lambda pack: pack.path != checkpoint.path)  # its own comes first
    while packs:
        try:
            _take_over(state, setup, _furthest(checkpoint.identities, packs))
        except _UnfitError as error:
            packs = [pack for pack in packs if pack.path != error.path]
        else:
            return


class _UnfitError(Exception):
    """A checkpoint from which a pack cannot continue."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.path = path


@dataclass(frozen=True)
class _Part:
    """Where a trial is found: its position in a stored pack."""

    pack: StoredPack
    position: int

    @property
    def is_computed(self) -> bool:
        """Whether the pack still computed the trial; if not, only its best checkpoint is there."""
        return self.position in self.pack.trained


def _furthest(identities: Sequence[str], packs: Sequence[StoredPack]) -> list[_Part | None]:
    """Choose where each trial continues from, such that all that need further epochs are at the same one."""
    held = [[pack for pack in packs if identity in pack.identities] for identity in identities]
    over = [
        next((pack for pack in holders if pack.is_over(identity)), None)
        for identity, holders in zip(identities, held, strict=True)
    ]
    epochs = [
        {pack.epoch for pack in holders} for holders, ended in zip(held, over, strict=True) if ended is None
    ]
    epoch = max(set.intersection(*epochs), default=0) if epochs else 0
    parts: list[_Part | None] = []
    for identity, holders, ended in zip(identities, held, over, strict=True):
        pack = ended or next((each for each in holders if each.epoch == epoch), None)
        parts.append(None if pack is None else _Part(pack, pack.identities.index(identity)))
    return parts


def _take_over(state: PackState, setup: Setup, parts: Sequence[_Part | None]) -> None:
    """Copy into the state the trials that are found; nothing has changed where that fails.

    Raises:
        _UnfitError: a checkpoint is damaged, has changed since it was chosen, or does not fit.
    """
    loaded: dict[Path, dict[str, PackTensors]] = {}
    copies: list[tuple[Tensor, Tensor]] = []
    for trial, part in enumerate(parts):
        if part is not None:
            path = part.pack.path
            if path not in loaded:
                loaded[path] = _load(part.pack)
            copies += _copies(state, setup, trial, part, loaded[path])
    for place, value in copies:
        place.copy_(value)
    for trial, part in enumerate(parts):
        if part is not None:
            pack, position = part.pack, part.position
            state.best_epochs[trial] = pack.best_epochs[position]
            state.statuses[trial] = pack.statuses[position]
            state.histories[trial] = list(pack.histories[position])
            state.seconds += pack.seconds / len(pack.identities)
            if state.statuses[trial] == "running":
                state.epoch = pack.epoch
    state.step = state.epoch * setup.steps_per_epoch
    computed = [trial for trial, part in enumerate(parts) if part is None or part.is_computed]
    if computed and computed != state.trained:
        state.narrow(computed)


def _load(pack: StoredPack) -> dict[str, PackTensors]:
    try:
        found, groups = load_pack(pack.path)
    except StoreError as error:
        raise _UnfitError(pack.path) from error
    if found != pack:  # another process has trained it further
        raise _UnfitError(pack.path)
    return groups


def _copies(
    state: PackState, setup: Setup, trial: int, part: _Part, groups: dict[str, PackTensors]
) -> list[tuple[Tensor, Tensor]]:
    """Return what is to be copied for one trial: pairs of a place in the state and a stored value.

    Raises:
        _UnfitError: names, shapes or data types are not those of the trial.
    """
    pack = part.pack
    shapes = {name: value.shape for name, value in setup.models[trial].state_dict().items()}
    copies = []
    for group, tensors in state.groups().items():
        stored = groups.get(group, {})
        if group in state.optimizer and not stored and group not in _moments(state, setup, trial):
            continue  # moments that this trial does not use and that its former neighbors did not use either
        if stored.keys() != tensors.keys():
            raise _UnfitError(pack.path)
        rows = range(len(pack.identities)) if group == "best" else pack.trained
        if part.position not in rows:
            continue
        row = rows.index(part.position)
        for name, tensor in tensors.items():
            if stored[name].dtype != tensor.dtype or stored[name].shape[:1] != (len(rows),):
                raise _UnfitError(pack.path)
            place, value = tensor[trial], stored[name][row]
            if place.shape != value.shape:  # padded to another width
                own = shapes.get(name, place.shape)
                if len(own) != value.dim() or any(map(operator.gt, own, value.shape)):
                    raise _UnfitError(pack.path)
                place, value = own_part(place, own), own_part(value, own)
            copies.append((place, value))
    return copies


def _moments(state: PackState, setup: Setup, trial: int) -> OptimizerState:
    """Return the moments of a trial on its own; a pack has those that any of its trials uses."""
    own = slice(trial, trial + 1)
    return OPTIMIZERS[setup.trials[trial].optimizer.name].init(
        {name: value[own] for name, value in state.parameters.items()},
        {name: value[own] for name, value in setup.optimizer_hyperparameters.items()},
    )
