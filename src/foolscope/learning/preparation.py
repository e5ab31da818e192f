"""Turns the settings of a pack's trials into what the training loop needs: program, tensors and state."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from foolscope.core.precision import resolve_precision
from foolscope.data.dataset import Dataset
from foolscope.learning.adversarial import PackDefense, check_defense
from foolscope.learning.initial_models import initial_models
from foolscope.learning.losses import LOSSES, PackLoss, smoothing_per_trial
from foolscope.learning.optimizers import OPTIMIZERS, hyperparameters
from foolscope.learning.packing import Program, pack_program
from foolscope.learning.regularizers import PackRegularizers
from foolscope.learning.settings import TrainableTrial
from foolscope.learning.stacking import stacked_parameters, stacked_statistics
from foolscope.learning.state import PackState

__all__ = ["Setup", "prepare"]


@dataclass(frozen=True)
class Setup:
    """Everything that stays the same from step to step, for the trials that are trained.

    Args:
        trials: trials of one seed next to each other.
        models: one per trial; their structure is used and their values are not.
        master: data type of parameters, losses and updates.
        dtype: data type of the products.
        groups: the number of minibatches at a time: one per seed if all seeds have equally many trials, else
            one per trial.
    """

    trials: Sequence[TrainableTrial]
    dataset: Dataset
    models: Sequence[nn.Module]
    program: Program
    loss: PackLoss
    master: torch.dtype
    dtype: torch.dtype
    smoothing: Tensor | None
    clipping: Tensor | None
    regularizers: PackRegularizers
    defense: PackDefense | None
    optimizer_hyperparameters: dict[str, Tensor]
    groups: int

    @classmethod
    def gather(
        cls, trials: Sequence[TrainableTrial], dataset: Dataset, models: Sequence[nn.Module]
    ) -> "Setup":
        """Derive the packed program and collect the settings along the trial axis."""
        device = dataset.train.images.device
        master, dtype = _data_types(trials[0], device)
        thresholds = [trial.training.clipping or math.inf for trial in trials]
        return cls(
            trials=trials,
            dataset=dataset,
            models=models,
            program=pack_program(models),
            loss=LOSSES[trials[0].loss.name][1],
            master=master,
            dtype=dtype,
            smoothing=smoothing_per_trial([trial.loss for trial in trials], device, master),
            clipping=(
                torch.tensor(thresholds, device=device, dtype=master) if min(thresholds) < math.inf else None
            ),
            regularizers=PackRegularizers.gather(
                [trial.regularization for trial in trials],
                [trial.optimizer.weight_decay for trial in trials],
                device,
                master,
            ),
            defense=PackDefense.gather([trial.defense for trial in trials], device, master),
            optimizer_hyperparameters=hyperparameters([trial.optimizer for trial in trials], device, master),
            groups=_group_count([trial.seed for trial in trials]),
        )

    @property
    def group_seeds(self) -> list[int]:
        """The seed of every group's minibatches."""
        return [trial.seed for trial in self.trials[:: len(self.trials) // self.groups]]

    @property
    def batch_size(self) -> int:
        """The number of images in a minibatch."""
        return self.trials[0].training.batch_size

    @property
    def epochs(self) -> int:
        """The number of epochs of the trial that has most."""
        return max(trial.training.epochs for trial in self.trials)

    @property
    def steps_per_epoch(self) -> int:
        """Gradient steps in an epoch; the last minibatch may be smaller."""
        return math.ceil(len(self.dataset.train) / self.batch_size)

    def narrowed(self, kept: Sequence[int]) -> "Setup":
        """Return the setup of some of the trials, given by position."""
        if len(kept) == len(self.trials):
            return self
        return Setup.gather(
            [self.trials[position] for position in kept],
            self.dataset,
            [self.models[position] for position in kept],
        )


def prepare(trials: Sequence[TrainableTrial], dataset: Dataset) -> tuple[Setup, PackState]:
    """Build the models of a pack, stack their parameters, and gather their settings along the trial axis.

    Args:
        trials: of one shape, those of one seed next to each other.
        dataset: on the device to train on.

    Raises:
        RecipeError: the model does not fit the images, or the loss the defense.
    """
    check_defense(trials[0].defense, trials[0].loss)
    device = dataset.train.images.device
    master, _ = _data_types(trials[0], device)
    models = [model.to(device, master) for model in initial_models(trials, dataset)]
    setup = Setup.gather(trials, dataset, models)
    parameters, statistics = stacked_parameters(models), stacked_statistics(models)
    optimizer = OPTIMIZERS[trials[0].optimizer.name].init(parameters, setup.optimizer_hyperparameters)
    return setup, PackState.start(parameters, statistics, optimizer, len(trials))


def _data_types(trial: TrainableTrial, device: torch.device) -> tuple[torch.dtype, torch.dtype]:
    """Return the data types of parameters and of products."""
    precision = resolve_precision(trial.precision, device)
    master = torch.float64 if precision == "float64" else torch.float32
    return master, torch.bfloat16 if precision == "bfloat16" else master


def _group_count(seeds: Sequence[int]) -> int:
    """Count the groups of trials that share minibatches: one per seed if these are equal, else one per trial.

    Example:
        >>> _group_count([0, 0, 1, 1]), _group_count([0, 0, 1])
        (2, 3)
    """
    distinct = list(dict.fromkeys(seeds))
    size, rest = divmod(len(seeds), len(distinct))
    contiguous = [seed for seed in distinct for _ in range(size)]
    return len(distinct) if rest == 0 and contiguous == list(seeds) else len(seeds)
