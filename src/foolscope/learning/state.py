"""The state of a pack between two epochs: all that training goes on from, trial by trial."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from foolscope.learning.optimizers import OptimizerState, PackTensors, along_trials
from foolscope.learning.outcome import EpochRecord, Status
from foolscope.learning.settings import TrainingSettings
from foolscope.statistics.classification import LOWER_IS_BETTER

__all__ = ["PackState"]


@dataclass
class PackState:
    """The state of a pack in training; mutable, with the training loop as its only owner.

    Args:
        epoch: number of epochs done.
        step: number of gradient steps done.
        trained: positions in the pack of the trials that are still computed. The leading axis of
            ``parameters``, ``statistics``, ``optimizer`` and ``averages`` runs over them; everything else
            covers all trials.
        parameters: what the optimizer updates.
        statistics: running means and variances of batch normalization.
        optimizer: its moments.
        averages: averaged parameters and statistics, which are evaluated in place of the others; empty
            without averaging.
        best: parameters and statistics of the checkpoint to be tested.
        best_epochs: the epoch of that checkpoint.
        histories: one record per epoch.
        statuses: of every trial.
        seconds: spent on the pack, in all the processes that worked on it.
    """

    epoch: int
    step: int
    trained: list[int]
    parameters: PackTensors
    statistics: PackTensors
    optimizer: OptimizerState
    averages: PackTensors
    best: PackTensors
    best_epochs: list[int]
    histories: list[list[EpochRecord]]
    statuses: list[Status | Literal["running"]]
    seconds: float = 0.0

    @classmethod
    def start(
        cls,
        parameters: PackTensors,
        statistics: PackTensors,
        optimizer: OptimizerState,
        trials: int,
        *,
        averages: bool = False,
    ) -> "PackState":
        """Return the state before the first epoch; ``averages`` says whether weights are averaged."""
        tensors = parameters | statistics
        return cls(
            epoch=0,
            step=0,
            trained=list(range(trials)),
            parameters=parameters,
            statistics=statistics,
            optimizer=optimizer,
            averages={name: value.clone() for name, value in tensors.items()} if averages else {},
            best={name: value.clone() for name, value in tensors.items()},
            best_epochs=[0] * trials,
            histories=[[] for _ in range(trials)],
            statuses=["running"] * trials,
        )

    @property
    def tensors(self) -> PackTensors:
        """Parameters and running statistics of the trials that are trained."""
        return self.parameters | self.statistics

    @property
    def evaluated(self) -> PackTensors:
        """What is validated, kept and tested: the averages where there are any."""
        return self.averages or self.tensors

    @torch.no_grad()
    def average(self, share: Float[Tensor, " trial"]) -> None:
        """Move every trial's average towards its weights: a ← a + share · (w − a)."""
        for name, value in self.tensors.items():
            self.averages[name].lerp_(value, along_trials(share, value).expand_as(value))

    def any_running(self) -> bool:
        """Whether a trial is neither finished nor has diverged or lost patience."""
        return "running" in self.statuses

    def record(self, trial: int, record: EpochRecord, settings: TrainingSettings, *, diverged: bool) -> None:
        """Append an epoch to a trial's history; keep its weights if they are best, end it if it is over."""
        history = self.histories[trial]
        history.append(record)
        row = self.trained.index(trial)
        if diverged:
            self._silence(trial, row)
            return
        best = _best_epoch(history, settings.select_by)
        if settings.keep == "last" or best is None or best == record.epoch:
            self.best_epochs[trial] = record.epoch
            for name, value in self.evaluated.items():
                self.best[name][trial] = value[row]
        if record.epoch == settings.epochs:
            self.statuses[trial] = "finished"
        elif settings.patience is not None and best is not None and record.epoch - best >= settings.patience:
            self.statuses[trial] = "stopped early"

    def _silence(self, trial: int, row: int) -> None:
        """End a diverged trial and set its numbers to zero, which cannot disturb its neighbors."""
        self.statuses[trial] = "diverged"
        moments = [moment for group in self.optimizer.values() for moment in group.values()]
        for tensor in (*self.tensors.values(), *self.averages.values(), *moments):
            tensor[row] = 0.0
        for tensor in self.best.values():
            tensor[trial] = 0.0

    def narrow(self, trials: Sequence[int]) -> None:
        """Go on with some of the trials only, given by their positions in the pack."""
        rows = torch.tensor([self.trained.index(trial) for trial in trials])

        def of_rows(tensors: PackTensors) -> PackTensors:
            return {name: value.index_select(0, rows.to(value.device)) for name, value in tensors.items()}

        self.parameters, self.statistics = of_rows(self.parameters), of_rows(self.statistics)
        self.averages = of_rows(self.averages)
        self.optimizer = {group: of_rows(tensors) for group, tensors in self.optimizer.items()}
        self.trained = list(trials)

    def groups(self) -> dict[str, PackTensors]:
        """Return all tensors by what they are: parameters, statistics, averages, best, and each moment."""
        return {
            "parameters": self.parameters,
            "statistics": self.statistics,
            "averages": self.averages,
            "best": self.best,
            **self.optimizer,
        }


def _best_epoch(history: Sequence[EpochRecord], select_by: str) -> int | None:
    """Return the first epoch of the best validation score; ``None`` without any.

    With a defense, robust accuracy takes the place of the score.
    """
    robust = [each.robust_validation_accuracy for each in history]
    clean = [getattr(each, f"validation_{select_by}") for each in history]
    sign = -1.0 if None in robust and select_by in LOWER_IS_BETTER else 1.0
    scores = [sign * each for each in (clean if None in robust else robust) if each is not None]
    return 1 + scores.index(max(scores)) if scores else None
