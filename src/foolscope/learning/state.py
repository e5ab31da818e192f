"""The state of a pack between two epochs: all that a killed run needs to go on to the same bits."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from foolscope.core.errors import StoreError
from foolscope.learning.checkpoints import load_tensors, save_tensors
from foolscope.learning.optimizers import OptimizerState, PackTensors
from foolscope.learning.outcome import EpochRecord

__all__ = ["PackState"]

_Status = Literal["running", "stopped early", "diverged"]


@dataclass
class PackState:
    """Parameters, optimizer state, best checkpoints and histories of the trials of one pack.

    Mutable on purpose: the training loop is its only owner.
    """

    epoch: int
    step: int
    parameters: PackTensors
    optimizer: OptimizerState
    best: PackTensors
    best_epochs: list[int]
    histories: list[list[EpochRecord]]
    statuses: list[_Status]

    @classmethod
    def start(cls, parameters: PackTensors, optimizer: OptimizerState, trials: int) -> "PackState":
        """Return the state before the first epoch."""
        return cls(
            epoch=0,
            step=0,
            parameters=parameters,
            optimizer=optimizer,
            best={name: value.clone() for name, value in parameters.items()},
            best_epochs=[0] * trials,
            histories=[[] for _ in range(trials)],
            statuses=["running"] * trials,
        )

    def any_running(self) -> bool:
        """Whether a trial has neither diverged nor lost patience."""
        return "running" in self.statuses

    def record(
        self,
        trial: int,
        record: EpochRecord,
        keep: Literal["best", "last"],
        patience: int | None,
        *,
        diverged: bool,
    ) -> None:
        """Append an epoch to a trial's history, keep its weights if they are to be kept, end it if over."""
        history = self.histories[trial]
        history.append(record)
        if diverged:
            self._silence(trial)
            return
        best = _best_epoch(history)
        if keep == "last" or best is None or best == record.epoch:
            self.best_epochs[trial] = record.epoch
            for name, value in self.parameters.items():
                self.best[name][trial] = value[trial]
        if patience is not None and best is not None and record.epoch - best >= patience:
            self.statuses[trial] = "stopped early"

    def _silence(self, trial: int) -> None:
        """End a diverged trial: zeros compute as fast as numbers and cannot disturb its neighbours."""
        self.statuses[trial] = "diverged"
        moments = [moment for group in self.optimizer.values() for moment in group.values()]
        for tensor in (*self.parameters.values(), *self.best.values(), *moments):
            tensor[trial] = 0.0

    def save(self, path: Path, identity: str) -> None:
        """Write the state, whole or not at all."""
        document = {
            "identity": identity,
            "epoch": self.epoch,
            "step": self.step,
            "best_epochs": self.best_epochs,
            "statuses": self.statuses,
            "histories": [[asdict(record) for record in history] for history in self.histories],
        }
        save_tensors(path, self._tensors(), document)

    def restore(self, path: Path, identity: str) -> None:
        """Go on from a saved state.

        Raises:
            StoreError: the file is damaged or belongs to another pack.
        """
        mine = self._tensors()
        tensors, document = load_tensors(path, next(iter(self.parameters.values())).device)
        try:
            same = document["identity"] == identity and _kinds(tensors) == _kinds(mine)
            epoch, step = document["epoch"], document["step"]
            best_epochs, statuses = document["best_epochs"], document["statuses"]
            histories = [[EpochRecord(**record) for record in history] for history in document["histories"]]
        except (KeyError, TypeError):
            same = False
        if not same:
            raise StoreError(
                f"{path} is the checkpoint of another pack; delete it and run the same command again"
            )
        for name, value in mine.items():
            value.copy_(tensors[name])
        self.epoch, self.step, self.histories = epoch, step, histories
        self.best_epochs, self.statuses = best_epochs, statuses

    def _tensors(self) -> dict[str, Tensor]:
        groups: dict[str, PackTensors] = {"parameters": self.parameters, "best": self.best, **self.optimizer}
        return {
            f"{group}/{name}": value for group, tensors in groups.items() for name, value in tensors.items()
        }


def _best_epoch(history: Sequence[EpochRecord]) -> int | None:
    """Return the first epoch of the best validation accuracy; ``None`` without validation."""
    accuracies = [record.validation_accuracy for record in history if record.validation_accuracy is not None]
    return 1 + accuracies.index(max(accuracies)) if accuracies else None


def _kinds(tensors: PackTensors) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (value.shape, value.dtype) for name, value in tensors.items()}
