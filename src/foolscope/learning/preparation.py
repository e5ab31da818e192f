"""From the settings of a pack's trials to all that the training loop needs: data, program, tensors, state."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from foolscope.core.precision import resolve_precision
from foolscope.data.dataset import Dataset
from foolscope.learning.evaluation import channel_statistics
from foolscope.learning.losses import LOSSES, PackLoss, smoothing_per_trial
from foolscope.learning.optimizers import OPTIMIZERS, hyperparameters
from foolscope.learning.packing import Program, pack_program
from foolscope.learning.regularizers import PackRegularizers
from foolscope.learning.settings import TrainableTrial
from foolscope.learning.state import PackState
from foolscope.models import build_model

__all__ = ["Setup", "prepare"]


@dataclass(frozen=True)
class Setup:
    """Everything that stays the same from the first step to the last."""

    trials: Sequence[TrainableTrial]
    dataset: Dataset
    program: Program
    loss: PackLoss
    dtype: torch.dtype
    smoothing: Tensor | None
    clipping: Tensor | None
    regularizers: PackRegularizers
    optimizer_hyperparameters: dict[str, Tensor]
    groups: int

    @property
    def batch_size(self) -> int:
        """Images in a minibatch."""
        return self.trials[0].training.batch_size

    @property
    def epochs(self) -> int:
        """How many there are."""
        return self.trials[0].training.epochs

    @property
    def steps_per_epoch(self) -> int:
        """Gradient steps in an epoch; the last minibatch may be smaller."""
        return math.ceil(len(self.dataset.train) / self.batch_size)


def prepare(
    trials: Sequence[TrainableTrial], dataset: Dataset
) -> tuple[Setup, PackState, list[torch.nn.Module]]:
    """Build the models of a pack, stack their parameters, and gather their settings along the trial axis.

    Args:
        trials: of one shape, those of one seed next to each other.
        dataset: on the device to train on.

    Returns:
        What stays the same, the state before the first epoch, and the models, one per trial.

    Raises:
        RecipeError: the model does not fit the images.
    """
    device = dataset.train.images.device
    precision = resolve_precision(trials[0].precision, device)
    master = torch.float64 if precision == "float64" else torch.float32
    mean, deviation = channel_statistics(dataset.train)
    models = [
        build_model(
            trial.model,
            dataset.image_shape,
            len(dataset.classes),
            seed=trial.seed,
            mean=mean,
            deviation=deviation,
        ).to(device, master)
        for trial in trials
    ]
    parameters = {
        name: torch.stack([model.get_parameter(name).detach() for model in models])
        for name, _ in models[0].named_parameters()
    }
    hyper = hyperparameters([trial.optimizer for trial in trials], device, master)
    thresholds = [trial.training.clipping or math.inf for trial in trials]
    setup = Setup(
        trials=trials,
        dataset=dataset,
        program=pack_program(models),
        loss=LOSSES[trials[0].loss.name][1],
        dtype=torch.bfloat16 if precision == "bfloat16" else master,
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
        optimizer_hyperparameters=hyper,
        groups=_group_count([trial.seed for trial in trials]),
    )
    optimizer = OPTIMIZERS[trials[0].optimizer.name].init(parameters, hyper)
    return setup, PackState.start(parameters, optimizer, len(trials)), models


def _group_count(seeds: Sequence[int]) -> int:
    """Count the groups of trials that share minibatches: one a seed if each has as many, else one a trial.

    Example:
        >>> _group_count([0, 0, 1, 1]), _group_count([0, 0, 1])
        (2, 3)
    """
    distinct = list(dict.fromkeys(seeds))
    size, rest = divmod(len(seeds), len(distinct))
    contiguous = [seed for seed in distinct for _ in range(size)]
    return len(distinct) if rest == 0 and contiguous == list(seeds) else len(seeds)
