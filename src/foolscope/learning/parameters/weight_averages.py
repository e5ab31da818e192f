"""Averaged weights in the training loop: their shares in an epoch, and running statistics of their own."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float64
from torch import nn

from foolscope.core.randomness import torch_generator
from foolscope.learning.measuring.evaluation import to_pixels
from foolscope.learning.optimizers import PackTensors, along_trials
from foolscope.learning.packs.packing import Context
from foolscope.learning.parameters.averaging import AVERAGING, averaging_shares
from foolscope.learning.preparation import Setup
from foolscope.learning.state import PackState

__all__ = ["recomputed_statistics", "renew_statistics", "shares_of_epoch"]


def shares_of_epoch(setup: Setup, state: PackState) -> Float64[np.ndarray, "trial step"]:
    """Return the share of the new weights in the average after each step of the epoch that begins."""
    per_epoch = setup.steps_per_epoch
    steps = np.arange(per_epoch) + state.epoch * per_epoch
    shares = [
        averaging_shares(
            settings.averaging, steps, steps_per_epoch=per_epoch, epochs=settings.training.epochs
        )
        for settings in setup.trials
    ]
    return np.stack(shares)


def renew_statistics(setup: Setup, state: PackState, shares: Float64[np.ndarray, " trial"]) -> None:
    """Give averages of several weights running statistics of their own, where the averaging asks for it.

    Args:
        setup: of the trials.
        state: the averages in it get new statistics.
        shares: of the weights in the average after the epoch's last step; 1 where it is the weights.
    """
    recomputes = AVERAGING[setup.trials[0].averaging.name].recomputes
    is_mean = shares < 1.0
    if not recomputes or not state.statistics or not is_mean.any():
        return
    moving = _moving_statistics(setup, state)
    renewed = torch.from_numpy(is_mean.astype(np.float64))
    for name, value in recomputed_statistics(setup, state.averages, moving, state.epoch).items():
        rows = along_trials(renewed.to(value), value) > 0
        state.averages[name] = torch.where(rows, value, state.averages[name])


def _moving_statistics(setup: Setup, state: PackState) -> dict[str, float]:
    """Name the running statistics that training updates, with their momenta: not those of frozen layers."""
    found = {}
    for name in state.statistics:
        path, _, kind = name.rpartition(".")
        layer = setup.models[0].get_submodule(path)
        if (
            isinstance(layer, nn.BatchNorm2d)
            and kind.startswith("running_")
            and path not in setup.frozen_layers
        ):
            assert layer.momentum is not None
            found[name] = layer.momentum
    return found


@torch.no_grad()
def recomputed_statistics(
    setup: Setup, tensors: PackTensors, momenta: Mapping[str, float], epoch: int
) -> PackTensors:
    """Return the mean over minibatches of their means and variances, as training would see them.

    Every training image is in one minibatch, without augmentation; a last one that is smaller counts as much
    as any other, as in ``torch.optim.swa_utils.update_bn``.

    Args:
        setup: of the trials.
        tensors: parameters and running statistics of every trial.
        momenta: name to momentum of the statistics to compute.
        epoch: names the randomness of the minibatches and of dropout.
    """
    train = setup.dataset.train
    device = train.images.device
    context = Context(
        training=True,
        dtype=setup.dtype,
        generators=tuple(
            torch_generator(trial.seed, "averaging dropout", epoch, device=device) for trial in setup.trials
        ),
        frozen=setup.frozen_layers,
    )
    orders = [
        torch.randperm(len(train), generator=torch_generator(seed, "averaging", epoch))
        for seed in setup.group_seeds
    ]
    sums = {name: torch.zeros_like(tensors[name]) for name in momenta}
    batches = torch.split(torch.stack(orders).to(device), setup.batch_size, dim=1)
    for batch in batches:
        chosen = torch.unflatten(train.images.index_select(0, batch.flatten()), 0, batch.shape)
        own = {name: torch.zeros_like(tensors[name]) for name in momenta}
        setup.program(tensors | own, to_pixels(chosen, setup.master), context)
        for name, value in own.items():  # from zero, an update leaves momentum times the minibatch's own
            sums[name] += value / momenta[name]
    return {name: value / len(batches) for name, value in sums.items()}
